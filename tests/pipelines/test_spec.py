"""The shape of a DAG file, key by key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.needs import Needs
from pipelines.located import InvalidDag
from pipelines.spec import DagSpec, Retries, read_dag

Write = Callable[[str, str], Path]

STAGE = "pipeline: p\nstages:\n  a:\n    uses: toy_stages:Make\n"


@pytest.fixture
def read(write: Write) -> Callable[..., DagSpec]:
    def spec(text: str, **options: object) -> DagSpec:
        return read_dag(write("dag.yaml", text), **options)  # type: ignore[arg-type]

    return spec


def said(spec: DagSpec) -> list[str]:
    return [str(m).rpartition("dag.yaml:")[2] for m in InvalidDag(spec.located.mistakes).mistakes]


# -- what a good file says -------------------------------------------------------------------------


def test_a_stage_has_what_the_file_says(read: Callable[..., DagSpec]) -> None:
    spec = read(
        """\
        pipeline: trial-1
        description: what it is for
        seed: 17
        verify: always
        stages:
          a:
            uses: toy_stages:Make
            needs: {x: b}
            with: {size: 3}
            matrix: {arm: [l, r], seed: [1, 2]}
            resources: {cpus: 2, gpus: auto, memory: 1.5GiB}
            retries: {task: 2, infrastructure: 5}
            timeout: 20min
            quarantine: 2%
            code: pinned
        """
    )
    assert said(spec) == []
    assert (spec.pipeline, spec.description, spec.seed) == ("trial-1", "what it is for", 17)
    stage = spec.stages["a"]
    assert stage.uses == "toy_stages:Make"
    assert (stage.needs, stage.settings) == ({"x": "b"}, {"size": 3})
    assert stage.matrix == {"arm": ["l", "r"], "seed": [1, 2]}
    assert stage.resources == Needs(2.0, "auto", 3 * 2**29)
    assert stage.retries == Retries(2, 5)
    assert stage.code == "pinned"
    assert (stage.timeout, stage.quarantine, spec.verify) == (1200.0, 0.02, "always")


def test_what_a_file_leaves_out_has_defaults(read: Callable[..., DagSpec]) -> None:
    spec = read(STAGE)
    stage = spec.stages["a"]
    assert said(spec) == []
    assert (spec.seed, spec.description) == (0, "")
    assert (stage.resources, stage.retries) == (Needs(1.0, 0.0, None), Retries(0, 3))
    assert (stage.code, stage.matrix, stage.needs, stage.settings) == ("auto", {}, {}, {})
    assert (stage.timeout, stage.quarantine, spec.verify) == (None, 0.001, "on-open")


def test_a_number_of_retries_counts_those_of_the_method(read: Callable[..., DagSpec]) -> None:
    assert read(STAGE + "    retries: 2\n").stages["a"].retries == Retries(2, 3)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("2GiB", 2**31), ("2 GB", 2_000_000_000), ("0.5MiB", 2**19), ("7B", 7)],
)
def test_memory_is_a_size_with_a_unit(read: Callable[..., DagSpec], text: str, size: int) -> None:
    spec = read(STAGE + f"    resources: {{memory: {text}}}\n")
    assert said(spec) == []
    assert spec.stages["a"].resources.memory == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5 min", 90), ("2h", 7200), ("1d", 86400), ("0.5s", 0.5)],
)
def test_a_time_limit_is_a_time_with_a_unit(
    read: Callable[..., DagSpec], text: str, seconds: float
) -> None:
    spec = read(STAGE + f"    timeout: {text}\n")
    assert said(spec) == []
    assert spec.stages["a"].timeout == seconds


@pytest.mark.parametrize(
    ("text", "share"), [("0", 0), ("1", 1), ("0.25", 0.25), ("0.1%", 0.001), ("100 %", 1)]
)
def test_the_share_that_may_be_set_aside_is_a_share_or_a_percentage(
    read: Callable[..., DagSpec], text: str, share: float
) -> None:
    spec = read(STAGE + f"    quarantine: {text}\n")
    assert said(spec) == []
    assert spec.stages["a"].quarantine == share


@pytest.mark.parametrize(
    "line",
    ["timeout: 0", "timeout: -5s", "timeout: soon", "timeout: true", "timeout: 5 years",
     "quarantine: 2", "quarantine: 101%", "quarantine: -1", "quarantine: some",
     "quarantine: true"],
)  # fmt: skip
def test_a_time_or_a_share_that_is_none_is_a_mistake_with_its_line(
    read: Callable[..., DagSpec], line: str
) -> None:
    (mistake,) = said(read(STAGE + f"    {line}\n"))
    key = line.partition(":")[0]
    assert mistake.startswith(f"5: stages.a.{key}: should be a ")


def test_how_to_verify_is_one_of_two_words(read: Callable[..., DagSpec]) -> None:
    (mistake,) = said(read(STAGE + "verify: never\n"))
    assert mistake.startswith('5: verify: should be "on-open" or "always"')


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "pipline: p\n" + STAGE,
            '1: pipline: unknown key "pipline"; did you mean "pipeline"?',
        ),
        (STAGE + "    need: {}\n", '5: stages.a.need: unknown key "need"; did you mean "needs"?'),
        (
            STAGE + "    resources: {cpu: 1}\n",
            '5: stages.a.resources.cpu: unknown key "cpu"; did you mean "cpus"?',
        ),
        (
            STAGE + "    retries: {tasks: 1}\n",
            '5: stages.a.retries.tasks: unknown key "tasks"; did you mean "task"?',
        ),
        ("stages: {a: {uses: x}}\n", '1: the key "pipeline" is missing; give the pipeline a name'),
        ("pipeline: p\n", '1: the key "stages" is missing; name at least one stage under it'),
        (
            "pipeline: p\nstages: {}\n",
            "2: stages: no stages are given; name at least one stage under it",
        ),
        (
            "seed: 1\npipeline: 3\nstages: {a: {uses: x}}\n",
            "2: pipeline: should be a name of letters, digits, - and _, and is 3",
        ),
        (
            "pipeline: p\nseed: many\nstages: {a: {uses: x}}\n",
            "2: seed: should be a whole number of 0 or more, and is 'many' (text)",
        ),
        (
            "pipeline: p\nseed: -1\nstages: {a: {uses: x}}\n",
            "2: seed: should be a whole number of 0 or more, and is -1",
        ),
        (
            "pipeline: p\nseed: true\nstages: {a: {uses: x}}\n",
            "2: seed: should be a whole number of 0 or more, and is True (true or false)",
        ),
        (
            "pipeline: p\nstages:\n  a: toy\n",
            "3: stages.a: should be a mapping with the keys uses, needs, with, matrix, resources, "
            "retries, timeout, quarantine, code, and is 'toy' (text)",
        ),
        (
            "pipeline: p\nstages:\n  a:\n    with: {}\n",
            '3: stages.a: the key "uses" is missing; say which stage type it is '
            "(`tokenmill stages` lists them)",
        ),
        (
            "pipeline: p\nstages:\n  a:\n    uses: [x]\n",
            "4: stages.a.uses: should be the name of a stage type, and is ['x'] (a list)",
        ),
        (
            "pipeline: p\nstages:\n  a b:\n    uses: x\n",
            '3: stages.a b: "a b" is no name; use letters, digits, - and _',
        ),
        (STAGE + "    needs: [b]\n", "5: stages.a.needs: should be a mapping, and is ['b'] (a list)"),
        (STAGE + "    with: 3\n", "5: stages.a.with: should be a mapping, and is 3"),
        (STAGE + "    matrix: {x: 1}\n", "5: stages.a.matrix.x: should be a list of values, and is 1"),
        (
            STAGE + "    matrix: {x: []}\n",
            "5: stages.a.matrix.x: should be a list of values, and is [] (a list)",
        ),
        (
            STAGE + "    matrix: {x: [[1]]}\n",
            "5: stages.a.matrix.x: should be a list of plain values, and is [1] (a list)",
        ),
        (STAGE + "    matrix: {x: [1, '1']}\n", '5: stages.a.matrix.x.1: "1" stands twice; keep one'),
        (
            STAGE + "    matrix: {x: ['a,b']}\n",
            '5: stages.a.matrix.x.0: "a,b" is no matrix value; leave out the characters [ ] , =',
        ),
        (
            STAGE + "    matrix: {by: [1]}\n",
            '5: stages.a.matrix.by: "by" is no name for an axis; use a plain word',
        ),
        (
            STAGE + "    resources: {cpus: lots}\n",
            "5: stages.a.resources.cpus: should be a number of 0 or more, and is 'lots' (text)",
        ),
        (
            STAGE + "    resources: {memory: 3 apples}\n",
            "5: stages.a.resources.memory: should be a size such as 2GiB, "
            "and is '3 apples' (text)",
        ),
        (
            STAGE + "    retries: often\n",
            "5: stages.a.retries: should be a number, or a mapping of task and infrastructure, "
            "and is 'often' (text)",
        ),
        (
            STAGE + "    code: frozen\n",
            "5: stages.a.code: should be \"auto\" or \"pinned\", and is 'frozen' (text)",
        ),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_with_its_place_and_what_is_right(
    read: Callable[..., DagSpec], text: str, line: str
) -> None:
    assert said(read(text)) == [line]


def test_all_mistakes_are_found_at_once_in_the_order_of_their_lines(
    read: Callable[..., DagSpec],
) -> None:
    spec = read(
        """\
        pipeline: p
        sed: 3
        stages:
          a:
            uses: toy_stages:Make
            resources: {cpu: 1}
            code: frozen
          b:
            with: {}
            retries: no-number
          c: 3
        """
    )
    places = [line.split(":")[0] for line in said(spec)]
    assert places == ["2", "6", "7", "8", "10", "11"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is empty"), ("# only a comment\n", "is empty"), ("- a\n", "is not a mapping of keys"),
     ("text\n", "is not a mapping of keys")],
)  # fmt: skip
def test_a_file_that_is_no_dag_at_all_is_refused(
    read: Callable[..., DagSpec], text: str, problem: str
) -> None:
    with pytest.raises(InvalidDag, match=f"dag.yaml:1: the file {problem}; a DAG has the keys"):
        read(text)


# -- --set -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "settings"),
    [
        ("a.size=5", {"size": 5, "name": "old"}),
        ("a.name=new", {"size": 1, "name": "new"}),
        ("a.name='5'", {"size": 1, "name": "5"}),
        ("a.name=", {"size": 1, "name": None}),
        ("a.name=x=y", {"size": 1, "name": "x=y"}),
        ("a.words=[x, y]", {"size": 1, "name": "old", "words": ["x", "y"]}),
        ("a.table.arm=left", {"size": 1, "name": "old", "table": {"arm": "left"}}),
        ("a.rate=1e-3", {"size": 1, "name": "old", "rate": 1e-3}),
        ("a.name=2024-05-06", {"size": 1, "name": "2024-05-06"}),
    ],
)
def test_set_changes_a_setting_as_the_file_would(
    read: Callable[..., DagSpec], override: str, settings: object
) -> None:
    spec = read(STAGE + "    with: {size: 1, name: old}\n", overrides=[override])
    assert said(spec) == []
    assert spec.stages["a"].settings == settings


def test_set_works_where_the_stage_has_no_settings(read: Callable[..., DagSpec]) -> None:
    assert read(STAGE, overrides=["a.size=5"]).stages["a"].settings == {"size": 5}
    assert read(STAGE + "    with:\n", overrides=["a.size=5"]).stages["a"].settings == {"size": 5}


def test_the_last_of_two_sets_stands(read: Callable[..., DagSpec]) -> None:
    assert read(STAGE, overrides=["a.size=5", "a.size=6"]).stages["a"].settings == {"size": 6}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("size=5", '--set:1: "size=5" is not of the form stage.field=value'),
        ("a.size", '--set:1: "a.size" is not of the form stage.field=value'),
        ("=", '--set:1: "=" is not of the form stage.field=value'),
        ("aa.size=1", '--set:1: aa.size=1: unknown stage "aa"; did you mean "a"?'),
    ],
)
def test_a_set_that_names_nothing_is_a_mistake(
    read: Callable[..., DagSpec], override: str, line: str
) -> None:
    spec = read(STAGE, overrides=[override])
    assert [str(m) for m in spec.located.mistakes] == [line]


@pytest.mark.parametrize(
    ("settings", "override"),
    [("{name: old}", "a.name.inner=1"), ("[1, 2]", "a.size=5"), ("7", "a.size=5")],
    ids=["inside_a_text", "list_for_mapping", "number_for_mapping"],
)
def test_a_set_into_what_is_no_mapping_is_a_mistake_and_no_traceback(
    read: Callable[..., DagSpec], settings: str, override: str
) -> None:
    spec = read(STAGE + f"    with: {settings}\n", overrides=[override])
    assert len(said(spec)) == 1
