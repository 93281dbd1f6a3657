"""From a DAG file to a plan: stage types, wiring, the matrix, and every mistake in them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.located import Mistake
from pipelines.plan import Plan

PlanOf = Callable[..., Plan]
MistakesOf = Callable[..., list[Mistake]]
Write = Callable[[str, str], Path]

HEAD = "pipeline: p\nstages:\n"
A = "  a: {uses: toy_stages:Make}\n"
B = "  b: {uses: toy_stages:MakeBitext}\n"
SEEDS = "  a: {uses: toy_stages:Make, matrix: {seed: [1, 2, 3]}}\n"


def names(plan: Plan) -> list[str]:
    return [stage.name for stage in plan.stages]


def wired(plan: Plan, stage: str, name: str) -> list[str]:
    return [f"{wire.stage}.{wire.output}" for wire in plan[stage].needs[name]]


def said(mistakes: list[Mistake]) -> list[str]:
    """Mistakes without the folder of the file."""
    return [str(m).rpartition("dag.yaml:")[2] for m in mistakes]


# -- wiring ----------------------------------------------------------------------------------------


def test_stages_stand_after_all_they_need_whatever_their_order_in_the_file(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + "  c: {uses: toy_stages:Both, needs: {left: b, right: a}}\n"
        + "  b: {uses: toy_stages:Clean, needs: {documents: a}}\n"
        + A
    )
    assert names(plan) == ["a", "b", "c"]
    assert plan["c"].upstream() == {"a", "b"}


def test_a_reference_without_an_output_means_the_first_declared(plan_of: PlanOf) -> None:
    plan = plan_of(HEAD + A + "  c: {uses: toy_stages:Clean, needs: {documents: a}}\n")
    assert wired(plan, "c", "documents") == ["a.documents"]


def test_an_optional_input_may_be_left_out_and_may_be_given(plan_of: PlanOf) -> None:
    stage = "  c: {uses: toy_stages:Both, needs: {left: a, right: a%s}}\n"
    assert "extra" not in plan_of(HEAD + A + stage % "")["c"].needs
    assert wired(plan_of(HEAD + A + stage % ", extra: a"), "c", "extra") == ["a.documents"]


def test_resources_retries_and_pinning_reach_the_plan(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD + "  a: {uses: toy_stages:Make, resources: {cpus: 2}, retries: 1, code: pinned}\n"
    )
    assert (plan["a"].resources.cpus, plan["a"].retries.task, plan["a"].pinned) == (2.0, 1, True)


CHAIN = (
    HEAD
    + A
    + "  b: {uses: toy_stages:Clean, needs: {documents: a}}\n"
    + "  c: {uses: toy_stages:Clean, needs: {documents: b}}\n"
    + "  d: {uses: toy_stages:Clean, needs: {documents: a}}\n"
    + "  e: {uses: toy_stages:Both, needs: {left: c, right: d}}\n"
)


@pytest.mark.parametrize(
    ("given", "needed", "behind"),
    [("a", "a", "abcde"), ("b", "ab", "bce"), ("d", "ad", "de"), ("e", "abcde", "e"), ("bd", "abd",
     "bcde"), ("", "", "")],
)  # fmt: skip
def test_needed_for_looks_up_and_downstream_of_looks_down(
    plan_of: PlanOf, given: str, needed: str, behind: str
) -> None:
    plan = plan_of(CHAIN)
    assert plan.needed_for(set(given)) == set(needed)
    assert plan.downstream_of(set(given)) == set(behind)


def test_a_stage_is_found_by_its_full_name_and_by_its_name_in_the_file(plan_of: PlanOf) -> None:
    plan = plan_of(HEAD + SEEDS)
    assert [s.name for s in plan.matching("a")] == ["a[seed=1]", "a[seed=2]", "a[seed=3]"]
    assert [s.name for s in plan.matching("a[seed=2]")] == ["a[seed=2]"]
    with pytest.raises(LookupError, match='there is no stage "aa"'):
        plan.matching("aa")


# -- the matrix ------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_a_matrix_gives_one_stage_a_combination_in_the_order_of_the_file(
    plan_of: PlanOf, sizes: list[int], seeds: list[int]
) -> None:
    plan = plan_of(
        HEAD + f"  a: {{uses: toy_stages:Make, matrix: {{size: {sizes}, seed: {seeds}}}}}\n"
    )
    expected = list(itertools.product(sizes, seeds))
    assert names(plan) == [f"a[size={size},seed={seed}]" for size, seed in expected]
    assert [(s.config.size, s.config.seed) for s in plan.stages] == expected
    assert [dict(s.cell) for s in plan.stages] == [{"size": n, "seed": m} for n, m in expected]


def test_an_axis_named_as_a_config_field_sets_it_with_its_type(plan_of: PlanOf) -> None:
    plan = plan_of(HEAD + "  a: {uses: toy_stages:Make, matrix: {rate: [0.25, 1]}}\n")
    assert [s.config.rate for s in plan.stages] == [0.25, 1.0]


def test_a_stage_is_run_once_for_each_cell_of_what_it_needs(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + SEEDS
        + "  c: {uses: toy_stages:Clean, needs: {documents: a}}\n"
        + "  d: {uses: toy_stages:Clean, needs: {documents: c}}\n"
    )
    assert names(plan)[-3:] == ["d[seed=1]", "d[seed=2]", "d[seed=3]"]
    assert wired(plan, "d[seed=2]", "documents") == ["c[seed=2].documents"]
    assert wired(plan, "c[seed=2]", "documents") == ["a[seed=2].documents"]


def test_inputs_are_matched_on_the_axes_that_they_share(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + SEEDS
        + "  c: {uses: toy_stages:Clean, needs: {documents: a}, matrix: {min_chars: [5, 6]}}\n"
        + "  d: {uses: toy_stages:Both, needs: {left: c, right: a}}\n"
    )
    cells = [s for s in plan.stages if s.stage == "d"]
    assert len(cells) == 6
    for stage in cells:
        seed, size = stage.cell["seed"], stage.cell["min_chars"]
        assert wired(plan, stage.name, "right") == [f"a[seed={seed}].documents"]
        assert wired(plan, stage.name, "left") == [f"c[min_chars={size},seed={seed}].documents"]


def test_inputs_without_a_shared_axis_are_crossed(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + "  a: {uses: toy_stages:Make, matrix: {seed: [1, 2]}}\n"
        + "  b: {uses: toy_stages:Make, matrix: {size: [1, 2]}}\n"
        + "  c: {uses: toy_stages:Both, needs: {left: a, right: b}}\n"
    )
    cells = {s.name for s in plan.stages if s.stage == "c"}
    assert cells == {f"c[seed={n},size={m}]" for n in (1, 2) for m in (1, 2)}


def test_the_axis_of_a_stage_itself_is_matched_with_that_of_its_input(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + "  a: {uses: toy_stages:Make, matrix: {size: [1, 2]}}\n"
        + "  c: {uses: toy_stages:Clean, needs: {documents: a}, matrix: {size: [1, 2]},"
        + " with: {min_chars: {by: size, 1: 10, 2: 20}}}\n"
    )
    assert names(plan)[2:] == ["c[size=1]", "c[size=2]"]
    assert wired(plan, "c[size=2]", "documents") == ["a[size=2].documents"]
    assert plan["c[size=2]"].config.min_chars == 20


def test_an_input_declared_many_takes_all_cells_at_once(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + SEEDS
        + "  r: {uses: toy_stages:Compare, needs: {scores: a}, with: {baseline: x}}\n"
        + "  q: {uses: toy_stages:Compare, needs: {scores: [a, other]}, with: {baseline: x}}\n"
        + "  other: {uses: toy_stages:Make}\n"
    )
    every = [f"a[seed={n}].documents" for n in (1, 2, 3)]
    assert wired(plan, "r", "scores") == every
    assert wired(plan, "q", "scores") == [*every, "other.documents"]
    assert [s.name for s in plan.stages if s.stage in "rq"] == ["r", "q"]


def test_a_selection_takes_the_cells_that_have_the_value(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + "  a: {uses: toy_stages:Make, matrix: {name: [baseline, edited], seed: [1, 2]}}\n"
        + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[name=baseline]'}}\n"
        + "  d: {uses: toy_stages:Clean, needs: {documents: 'a[name=edited, seed=2]'}}\n"
        + "  r: {uses: toy_stages:Compare, needs: {scores: 'a[seed=1].documents'}, "
        + "with: {baseline: x}}\n"
    )
    assert [s.name for s in plan.stages if s.stage == "c"] == [
        "c[name=baseline,seed=1]",
        "c[name=baseline,seed=2]",
    ]
    assert [s.name for s in plan.stages if s.stage == "d"] == ["d[name=edited,seed=2]"]
    assert wired(plan, "r", "scores") == [
        "a[name=baseline,seed=1].documents",
        "a[name=edited,seed=1].documents",
    ]


def test_needs_are_chosen_by_an_axis(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + A
        + "  b: {uses: toy_stages:Clean, needs: {documents: a}}\n"
        + "  c:\n    uses: toy_stages:Clean\n    matrix: {arm: [plain, clean]}\n"
        + "    needs: {documents: {by: arm, clean: b, else: a}}\n"
    )
    assert wired(plan, "c[arm=plain]", "documents") == ["a.documents"]
    assert wired(plan, "c[arm=clean]", "documents") == ["b.documents"]


def test_needs_may_be_chosen_by_one_axis_inside_another(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + A
        + "  b: {uses: toy_stages:Clean, needs: {documents: a}}\n"
        + "  c:\n    uses: toy_stages:Clean\n    matrix: {arm: [l, r], min_chars: [1, 2]}\n"
        + "    needs: {documents: {by: arm, l: a, r: {by: min_chars, 1: a, 2: b}}}\n"
    )
    assert wired(plan, "c[arm=r,min_chars=1]", "documents") == ["a.documents"]
    assert wired(plan, "c[arm=r,min_chars=2]", "documents") == ["b.documents"]


def test_settings_are_chosen_by_an_axis_at_any_depth(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + "  a:\n    uses: toy_stages:Make\n    matrix: {arm: [l, r]}\n"
        + "    with:\n      size: {by: arm, l: 3, else: 4}\n"
        + "      words: [x, {by: arm, l: left, r: right}]\n"
        + "      table: {k: {by: arm, l: 1, r: 2}}\n"
    )
    left, right = plan["a[arm=l]"].config, plan["a[arm=r]"].config
    assert (left.size, left.words, left.table) == (3, ["x", "left"], {"k": 1})
    assert (right.size, right.words, right.table) == (4, ["x", "right"], {"k": 2})


def test_settings_are_chosen_by_an_axis_that_comes_with_an_input(plan_of: PlanOf) -> None:
    plan = plan_of(
        HEAD
        + SEEDS
        + "  c:\n    uses: toy_stages:Clean\n    needs: {documents: a}\n"
        + "    with: {min_chars: {by: seed, 1: 10, else: 20}}\n"
    )
    assert [s.config.min_chars for s in plan.stages if s.stage == "c"] == [10, 20, 20]


@pytest.mark.parametrize(
    ("values", "keys"),
    [("[true, false]", "true: 3, false: 4"), ("[0.10, 0.5]", "0.10: 3, 0.5: 4"),
     ("[1, 2]", "1: 3, 2: 4"), ("[yes, no]", "yes: 3, no: 4"), ("['1', '2']", "1: 3, 2: 4")],
)  # fmt: skip
def test_a_choice_spells_a_value_as_the_matrix_spells_it(
    plan_of: PlanOf, values: str, keys: str
) -> None:
    plan = plan_of(
        HEAD
        + f"  a: {{uses: toy_stages:Make, matrix: {{x: {values}}}, "
        + f"with: {{size: {{by: x, {keys}}}}}}}\n"
    )
    assert [s.config.size for s in plan.stages] == [3, 4]


def test_a_seed_that_the_dag_does_not_set_is_that_of_the_pipeline(plan_of: PlanOf) -> None:
    plan = plan_of(
        "seed: 17\n"
        + HEAD
        + A
        + "  b: {uses: toy_stages:Make, with: {seed: 5}}\n"
        + "  c: {uses: toy_stages:Make, matrix: {seed: [6]}}\n"
        + "  d: {uses: toy_stages:MakeBitext}\n"
    )
    seeds = {s.stage: getattr(s.config, "seed", None) for s in plan.stages}
    assert seeds == {"a": 17, "b": 5, "c": 6, "d": None}


def test_set_reaches_the_config_and_its_mistakes_are_found(
    plan_of: PlanOf, mistakes_of: MistakesOf
) -> None:
    assert plan_of(HEAD + A, overrides=["a.size=7"])["a"].config.size == 7
    (mistake,) = mistakes_of(HEAD + A, overrides=["a.sise=7"])
    assert 'no field "sise"; did you mean "size"?' in str(mistake)


def test_a_date_given_with_set_is_text_and_no_traceback(plan_of: PlanOf) -> None:
    plan = plan_of(HEAD + A, overrides=["a.name=2024-05-06"])
    assert plan["a"].config.name == "2024-05-06"


# -- one mistake, one line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            A + "  c: {uses: toy_stages:Cleen, needs: {documents: a}}\n",
            '4: stages.c.uses: the module "toy_stages" has no stage "Cleen"; did you mean "Clean"?',
        ),
        (
            "  c: {uses: corpus.claen}\n",
            '3: stages.c.uses: unknown stage type "corpus.claen"; did you mean "corpus.clean"?',
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      sise: 3\n",
            '6: stages.a.with.sise: toy_stages:Make has no field "sise"; did you mean "size"?',
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      size: many\n",
            "6: stages.a.with.size: should be a whole number, and is 'many' (text)",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      size: '3'\n",
            "6: stages.a.with.size: should be a whole number, and is '3' (text)",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      size: 0\n",
            "6: stages.a.with.size: should be greater than or equal to 1, and is 0",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      words: [x, 3]\n",
            "6: stages.a.with.words.1: should be text, and is 3",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    with:\n      method: lenght\n",
            "6: stages.a.with.method: has no choice 'lenght' (text); did you mean \"length\"?",
        ),
        (
            A + "  r:\n    uses: toy_stages:Compare\n    needs: {scores: a}\n",
            '4: stages.r.with: the field "baseline" (the arm to compare with) is missing; '
            "add `baseline:` under with",
        ),
        (
            A + "  r:\n    uses: toy_stages:Compare\n    needs: {scores: a}\n"
            "    with: {baseline: x, low: 5, high: 2}\n",
            "7: stages.r.with: low must not be above high",
        ),
        (
            "  c: {uses: toy_stages:Clean}\n",
            '3: stages.c: the input "documents" (documents: what is cleaned) is missing; '
            "add `documents: STAGE` under needs",
        ),
        (
            A + "  c:\n    uses: toy_stages:Clean\n    needs: {document: a, documents: a}\n",
            '6: stages.c.needs.document: toy_stages:Clean has no input "document"; '
            'did you mean "documents"?',
        ),
        (
            A + "  cd:\n    uses: toy_stages:Clean\n    needs:\n      documents: cdd\n",
            '7: stages.cd.needs.documents: unknown stage "cdd"; did you mean "cd"?',
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: a.dropt}}\n",
            '4: stages.c.needs.documents: the stage "a" has no output "dropt"; '
            'did you mean "dropped"?',
        ),
        (
            A + "  l: {uses: toy_stages:Last, needs: {documents: a}}\n"
            "  c: {uses: toy_stages:Clean, needs: {documents: l}}\n",
            '5: stages.c.needs.documents: the stage "l" has no output',
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: 3}}\n",
            "4: stages.c.needs.documents: should name a stage, as STAGE or STAGE.OUTPUT, and is 3",
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: }}\n",
            "4: stages.c.needs.documents: should name a stage, as STAGE or STAGE.OUTPUT, "
            "and is empty",
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: [a, a]}}\n",
            '4: stages.c.needs.documents: the input "documents" takes one artifact, '
            "and is given a list",
        ),
        (
            A + B + "  c: {uses: toy_stages:Clean, needs: {documents: b}}\n",
            '5: stages.c.needs.documents: the input "documents" takes documents, and b.bitext is '
            "bitext; wire an output of the right kind",
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: a.dropped}}\n",
            '4: stages.c.needs.documents: the input "documents" takes documents, and a.dropped is '
            "dropped; use a.documents",
        ),
        (
            "  c: {uses: toy_stages:Clean, needs: {documents: d}}\n"
            "  d: {uses: toy_stages:Clean, needs: {documents: c}}\n",
            "3: stages.c.needs: the stages need each other in a circle: c -> d -> c; "
            "take one of these needs away",
        ),
        (
            "  c:\n    uses: toy_stages:Clean\n    needs: {documents: c}\n",
            "5: stages.c.needs: the stages need each other in a circle: c -> c; "
            "take one of these needs away",
        ),
        (
            SEEDS + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[sed=1]'}}\n",
            '4: stages.c.needs.documents: "a" has no axis "sed"; did you mean "seed"?',
        ),
        (
            SEEDS + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[seed=7]'}}\n",
            '4: stages.c.needs.documents: the axis "seed" of "a" has no value "7"; '
            "it can be one of: 1, 2, 3",
        ),
        (
            SEEDS + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[seed]'}}\n",
            '4: stages.c.needs.documents: "[seed]" is no selection; write [axis=value]',
        ),
        (
            A + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[arm=x]'}}\n",
            '4: stages.c.needs.documents: "a" has no axis "arm"',
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix: {size: [1, 2]}\n"
            "    with: {name: {by: sizes, 1: x, 2: y}}\n",
            '6: stages.a.with.name.by: "sizes" is no axis here; did you mean "size"?',
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix: {arm: [l, r]}\n"
            "    with:\n      name:\n        by: arm\n        l: x\n",
            "7: stages.a.with.name: says nothing for arm=r; add `r:` or `else:`",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix: {arm: [left, right]}\n"
            "    with:\n      name:\n        by: arm\n        left: x\n        rihgt: y\n"
            "        else: z\n",
            '10: stages.a.with.name.rihgt: the axis "arm" has no value "rihgt"; '
            'did you mean "right"?',
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix:\n      arm: [l, r]\n",
            '6: stages.a.matrix.arm: nobody uses the axis "arm" or its values; '
            "choose something by it ({by: arm, ...}) or take it away",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix:\n      arm:\n        - l\n        - r\n"
            "        - s\n    with: {name: {by: arm, l: x, else: y}}\n",
            '9: stages.a.matrix.arm.2: nobody uses "s": it makes the same stage as "r"; '
            "choose something by it ({by: arm, s: ...}) or take it away",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix: {size: [1, 2]}\n    with: {size: 3}\n",
            "6: stages.a.with.size: is set here and by the matrix axis of the same name; "
            "keep one of them",
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix:\n      size: [1, two]\n",
            "6: stages.a.matrix.size: should be a whole number, and is 'two' (text)",
        ),
        (
            "  a:\n    uses: nothing_here:Make\n",
            '4: stages.a.uses: there is no module "nothing_here"; '
            "looked for nothing_here.py in FOLDER",
        ),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_line(
    mistakes_of: MistakesOf, tmp_path: Path, text: str, line: str
) -> None:
    assert said(mistakes_of(HEAD + text)) == [line.replace("FOLDER", str(tmp_path))]


@pytest.mark.parametrize(
    "text",
    [
        A + "  c: {uses: toy_stages:Clean, needs: {documents: []}}\n",
        "  r: {uses: toy_stages:Compare, needs: {scores: []}, with: {baseline: x}}\n",
    ],
    ids=["one", "many"],
)
def test_an_input_wired_to_an_empty_list_is_a_mistake(mistakes_of: MistakesOf, text: str) -> None:
    assert len(mistakes_of(HEAD + text)) == 1


def test_a_value_of_none_of_several_types_is_one_mistake(mistakes_of: MistakesOf) -> None:
    (mistake,) = mistakes_of(
        HEAD + "  a:\n    uses: toy_stages:Make\n    with:\n      table: {k: [1]}\n"
    )
    assert (mistake.line, mistake.where.startswith("stages.a.with.table.k")) == (6, True)


def test_an_unset_variable_is_one_mistake_and_brings_no_others(mistakes_of: MistakesOf) -> None:
    (mistake,) = mistakes_of(
        HEAD + "  a:\n    uses: toy_stages:Make\n    with:\n      size: ${MISSING}\n",
        environment={},
    )
    assert (mistake.line, "variable MISSING is not set" in mistake.problem) == (6, True)


def test_a_stage_without_a_type_is_not_unknown_to_those_that_need_it(
    mistakes_of: MistakesOf,
) -> None:
    (mistake,) = mistakes_of(
        HEAD + "  a:\n    with: {}\n  c: {uses: toy_stages:Clean, needs: {documents: a}}\n"
    )
    assert (mistake.line, mistake.problem) == (3, 'the key "uses" is missing')


def test_a_mistake_in_a_stage_brings_none_to_those_that_need_it(mistakes_of: MistakesOf) -> None:
    mistakes = mistakes_of(
        HEAD
        + "  a: {uses: toy_stages:Make, matrix: {seed: [1, 2]}, with: {sise: 3}}\n"
        + "  c: {uses: toy_stages:Clean, needs: {documents: 'a[seed=1]'}}\n"
        + "  d: {uses: toy_stages:Clean, needs: {documents: c.dropt}}\n"
        + "  r: {uses: toy_stages:Compare, needs: {scores: c}, with: {baseline: x}}\n"
    )
    assert [m.line for m in mistakes] == [3, 5]


# -- a user's own stages ---------------------------------------------------------------------------


OWN = """\
from stages.contract import Kind, Output, Stage

class Mine(Stage):
    outputs = {"documents": Output(Kind.DOCUMENTS, "mine")}

    def run(self, inputs, outputs, context):
        pass
"""


def test_a_stage_from_a_file_beside_the_dag_is_found(plan_of: PlanOf, write: Write) -> None:
    write("mine.py", OWN)
    plan = plan_of(HEAD + "  a: {uses: mine:Mine}\n")
    assert plan["a"].word == "mine:Mine"


def test_a_class_that_is_imported_into_a_file_is_no_stage_of_that_file(
    mistakes_of: MistakesOf, write: Write
) -> None:
    write("mine.py", OWN)
    write("other.py", "from mine import Mine\n")
    (mistake,) = mistakes_of(HEAD + "  a: {uses: other:Mine}\n")
    assert mistake.problem == 'the module "other" has no stage "Mine"'


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError"),
        ("import not_installed_here\n", "No module named 'not_installed_here'"),
        ("from stages.contract import Nothing\n", "cannot import name 'Nothing'"),
        ("raise SystemExit(3)\n", "SystemExit"),
    ],
    ids=["raises", "syntax", "missing_library", "missing_name", "exits"],
)
def test_a_file_that_cannot_be_imported_is_a_mistake_with_the_reason(
    mistakes_of: MistakesOf, write: Write, source: str, why: str
) -> None:
    write("mine.py", source)
    (mistake,) = mistakes_of(HEAD + "  a:\n    uses: mine:Mine\n")
    assert (mistake.line, mistake.where) == (4, "stages.a.uses")
    assert mistake.problem.startswith('"mine" cannot be imported: ')
    assert why in mistake.problem
    assert "\n" not in str(mistake)


# -- all at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "  c:\n    uses: toy_stages:Clean\n    needs: {documents: nobody}\n"
            "    with: {min_chars: few}\n",
            [5, 6],
        ),
        (
            "  c:\n    uses: toy_stages:Clean\n    with: {min_chars: few}\n",
            [3, 5],
        ),
        (
            A + B + "  c:\n    uses: toy_stages:Clean\n    needs: {documents: b}\n"
            "    with: {min_chars: few}\n",
            [7, 8],
        ),
        (
            "  x: {uses: no.stage}\n"
            "  c: {uses: toy_stages:Clean, needs: {documents: x}, with: {min_chars: few}}\n"
            "  d: {uses: toy_stages:Clean, needs: {documents: c}, with: {min_chars: many}}\n",
            [3, 4, 5],
        ),
        (
            "  a: {uses: toy_stages:Make, with: {size: no-number}}\n"
            "  c: {uses: toy_stages:Clean, needs: {documents: a}, with: {min_chars: few}}\n",
            [3, 4],
        ),
        (
            "  c: {uses: toy_stages:Clean, needs: {documents: d}}\n"
            "  d: {uses: toy_stages:Clean, needs: {documents: c}}\n"
            "  a: {uses: toy_stages:Make, with: {size: no-number}}\n",
            [3, 5],
        ),
        (
            "  c: {uses: toy_stages:Clean, needs: {documents: d}}\n"
            "  d: {uses: toy_stages:Clean, needs: {documents: c}}\n"
            "  e: {uses: toy_stages:Clean, needs: {documents: f}}\n"
            "  f: {uses: toy_stages:Clean, needs: {documents: e}}\n",
            [3, 5],
        ),
        (
            "  a:\n    uses: toy_stages:Make\n    matrix: {arm: [l, r]}\n    with: {size: few}\n",
            [5, 6],
        ),
    ],
    ids=[
        "unknown_need_and_field",
        "missing_need_and_field",
        "wrong_kind_and_field",
        "behind_an_unknown_type",
        "behind_a_wrong_field",
        "beside_a_circle",
        "two_circles",
        "unused_axis_and_field",
    ],
)
def test_no_mistake_hides_another(mistakes_of: MistakesOf, text: str, lines: list[int]) -> None:
    assert [m.line for m in mistakes_of(HEAD + text)] == lines


def test_mistakes_of_every_sort_are_found_in_one_reading(mistakes_of: MistakesOf) -> None:
    mistakes = mistakes_of(
        """\
        pipeline: p
        sed: 3
        stages:
          a:
            uses: toy_stages:Make
            with:
              size: ${MISSING_SIZE}
              sise: 3
              method: lenght
              method: length
          b: {uses: toy_stages:MakeBitext, resources: {cpu: 1}}
          c: {uses: toy_stages:Clean, needs: {documents: b}}
          d: {uses: toy_stages:Clean, needs: {documents: a.doc}}
          e: {uses: toy_stages:Cleen}
          f: {uses: toy_stages:Clean}
        """,
        environment={},
    )
    found = {(m.line, m.where) for m in mistakes}
    assert {
        (2, "sed"),
        (7, "stages.a.with.size"),
        (8, "stages.a.with.sise"),
        (9, "stages.a.with.method"),
        (10, "stages.a.with"),
        (11, "stages.b.resources.cpu"),
        (12, "stages.c.needs.documents"),
        (13, "stages.d.needs.documents"),
        (14, "stages.e.uses"),
        (15, "stages.f"),
    } <= found


def test_the_dag_of_the_project_has_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.planner import make_plan
    from pipelines.spec import read_dag

    root = Path(__file__).parents[2]
    plan = make_plan(read_dag(root / "dag.yaml", environment={}))
    assert {"documents", "comparison"} <= {s.stage for s in plan.stages}
