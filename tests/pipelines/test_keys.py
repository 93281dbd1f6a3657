"""What must change the key of a stage, and what must not: one edit a case, on a small project."""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import resolve
from pipelines.planner import make_plan
from pipelines.resolve import Resolver
from pipelines.spec import read_dag
from pipelines.status import StageStatus
from pipelines.store import Store
from stages.kinds import DOCUMENTS, Kind

FILES = {
    "own.py": '''
        """Stages of a user's own."""
        import functools
        from dataclasses import dataclass, field
        from functools import partial
        from typing import TYPE_CHECKING

        import method.numbers as numbers
        from method import renamed as short
        from method.deep import near
        from stages.contract import (
            Field, Input, Kind, Output, RowStage, Stage, StageConfig, execution_field,
        )

        if TYPE_CHECKING:
            from method.types import Row

        LIMIT = 3
        TABLE = {"a": LIMIT}
        TABLE["b"] = 5
        WAYS = {"plain": near.plain, "loud": near.loud}
        scaled = partial(numbers.scale, by=2)


        def twice(times):
            def wrapped(function):
                return lambda *given: function(*given) * times
            return wrapped


        def outer(x):
            def inner(y):
                return y + LIMIT
            return inner(x)


        def filled():
            return [7]


        @dataclass
        class Settings:
            values: list = field(default_factory=filled)


        @functools.singledispatch
        def show(value):
            return "any"


        @show.register
        def _(value: int):
            return "a number"


        class Meta(type):
            pass


        class Mine:
            pass


        class Mixin:
            def shared(self):
                return WAYS


        def unreached(x):
            return x - 1


        class Own(Mixin, Stage):
            """Documented."""

            class Config(StageConfig):
                size: int = Field(3, ge=1, description="how many")
                url: str = Field("https://example.org/x", description="where")
                arm: str = Field("a", description="an arm")
                log_every: int = execution_field(5, description="how often", why="only looks")

            inputs = {"documents": Input(Kind.DOCUMENTS, "rows")}
            outputs = {"documents": Output(Kind.DOCUMENTS, "rows")}
            libraries = ("pyarrow",)

            @twice(times=LIMIT)
            def decorated(self, x: int) -> int:
                # A comment.
                return x

            def run(self, inputs, outputs, context):
                rows: "Row" = [outer(x) for x in (1, 2)]
                made = sorted(rows, key=lambda row: scaled(row))
                return made, TABLE, short(), Settings(), show(1), self.shared()


        class Other(Stage):
            outputs = {"documents": Output(Kind.DOCUMENTS, "rows")}

            def run(self, inputs, outputs, context):
                return unreached(1)


        class Source(Stage):
            class Config(StageConfig):
                path: str = Field("words.txt", description="what is read")

            outputs = {"documents": Output(Kind.DOCUMENTS, "rows")}

            def sources(self):
                from pathlib import Path

                return {self.config.path: Path(__file__).with_name(self.config.path).read_text()}

            def run(self, inputs, outputs, context):
                return None
    ''',
    "words.txt": "some words",
    "method/__init__.py": "from method.names import original as renamed\n",
    "method/names.py": "def original():\n    return 1\n\n\ndef another():\n    return 2\n",
    "method/numbers.py": "BASE = 10\n\n\ndef scale(x, by):\n    return BASE * x * by\n",
    "method/types.py": "class Row:\n    pass\n",
    "method/deep/__init__.py": "",
    "method/deep/near.py": """
        from .far import volume


        def plain(text):
            return text


        def loud(text):
            return text.upper() * volume()
    """,
    "method/deep/far.py": "def volume():\n    return 1\n",
    "dag.yaml": """
        pipeline: keys
        seed: 17
        stages:
          given: {uses: own:Source}
          more: {uses: own:Other}
          stage:
            uses: own:Own
            needs: {documents: given}
            with: {size: 4}
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return tmp_path


KeyOf = Callable[..., str]


@pytest.fixture
def key_of(project: Path, own_modules_are_forgotten: Callable[[], None]) -> KeyOf:
    """The key of a planned stage as the project is now; its input holds `rows`."""

    def key(stage: str = "stage", rows: str = "abc", store: str = "store", **options: Any) -> str:
        own_modules_are_forgotten()
        resolve._version.cache_clear()
        plan = make_plan(read_dag(project / "dag.yaml", **options))
        kept = Store(str(project / store))
        statuses = {planned.name: StageStatus(planned) for planned in plan.stages}
        for status in statuses.values():
            status.outputs = {"documents": _artifact(kept, rows)}
        return Resolver(plan, kept).parts(plan[stage], statuses).key

    return key


def _artifact(store: Store, letters: str) -> Any:
    rows = [{"id": x, "text": x, "language": "eng_Latn", "source": "s", "group": None, "edits": []}
            for x in letters]  # fmt: skip
    location = f"{store.new_attempt('given', '0' * 12)}/documents"
    part = store.write_rows(location, 0, Kind.DOCUMENTS, pa.Table.from_pylist(rows, DOCUMENTS))
    schema = [(f.name, str(f.type)) for f in DOCUMENTS]
    return store.commit(Kind.DOCUMENTS, location, schema, [part], {"stage": "given"})


def edit(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert old in text, f"{name} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1))


# A case is (file, what stands there, what comes in its place).
MUST: Mapping[str, tuple[str, str, str]] = {
    "the body of its run": ("own.py", "for x in (1, 2)", "for x in (1, 3)"),
    "a lambda in its run": ("own.py", "scaled(row)", "-scaled(row)"),
    "a setting in the DAG": ("dag.yaml", "size: 4", "size: 5"),
    "the default of a setting it does not set": ("own.py", 'Field("a"', 'Field("b"'),
    "a bound of a setting": ("own.py", "ge=1", "ge=2"),
    "the type of a setting": ("own.py", "size: int", "size: float"),
    "a new setting": ("own.py", "class Config(StageConfig):\n        size",
                      'class Config(StageConfig):\n        new: int = Field(1, description="n")\n'
                      "        size"),
    "a function it calls": ("own.py", "return inner(x)", "return -inner(x)"),
    "a nested function": ("own.py", "return y + LIMIT", "return y - LIMIT"),
    "a constant that a nested function reads": ("own.py", "LIMIT = 3", "LIMIT = 4"),
    "the decorator of a method": ("own.py", "function(*given) * times", "function(*given) + times"),
    "the argument of a decorator": ("own.py", "twice(times=LIMIT)", "twice(times=2)"),
    "a mixin": ("own.py", "return WAYS", "return dict(WAYS)"),
    "a base that is added": ("own.py", "class Own(Mixin, Stage)", "class Own(Mixin, Mine, Stage)"),
    "a constant's table": ("own.py", '{"a": LIMIT}', '{"a": LIMIT + 1}'),
    "what fills a constant later": ("own.py", 'TABLE["b"] = 5', 'TABLE["b"] = 6'),
    "the arguments of a partial": ("own.py", "partial(numbers.scale, by=2)",
                                   "partial(numbers.scale, by=3)"),
    "the function of a partial": ("method/numbers.py", "BASE * x * by", "BASE + x * by"),
    "a constant behind a partial": ("method/numbers.py", "BASE = 10", "BASE = 11"),
    "a function in a table of functions": ("method/deep/near.py", "return text\n", "return 'x'\n"),
    "a function behind a relative import": ("method/deep/far.py", "return 1", "return 2"),
    "a function behind a re-export": ("method/names.py", "return 1", "return 11"),
    "where a re-export points": ("method/__init__.py", "original as", "another as"),
    "what fills a field of a dataclass": ("own.py", "return [7]", "return [8]"),
    "the default of a dispatching function": ("own.py", 'return "any"', 'return "all"'),
    "the default of an argument": ("method/numbers.py", "scale(x, by)", "scale(x, by=1)"),
}  # fmt: skip

MUST_NOT: Mapping[str, tuple[str, str, str]] = {
    "a comment": ("own.py", "# A comment.", "# Another."),
    "the docstring of the stage": ("own.py", '"""Documented."""', '"""Otherwise."""'),
    "the docstring of a module": ("own.py", "Stages of a user's own", "My stages"),
    "layout": ("own.py", "def outer(x):\n", "def outer(\n    x,\n):\n"),
    "quotes": ("own.py", 'return "a number"', "return 'a number'"),
    "an annotation of an argument": ("own.py", "x: int) -> int", "x: float) -> float"),
    "a function that it does not reach": ("own.py", "return x - 1", "return x - 2"),
    "a class that it does not reach": ("own.py", "class Meta(type):\n    pass",
                                       "class Meta(type):\n    x = 1"),
    "a stage that it is not": ("own.py", "return unreached(1)", "return unreached(2)"),
    "a name that is imported for types only": ("method/types.py", "pass", "x = 1"),
    "a function beside one it reaches": ("method/names.py", "return 2", "return 22"),
    "the description of a setting": ("own.py", '"how many"', '"the number"'),
    "the description of an output": ("own.py", 'Output(Kind.DOCUMENTS, "rows")}\n    libraries',
                                     'Output(Kind.DOCUMENTS, "made")}\n    libraries'),
    "the default of an execution field": ("own.py", "execution_field(5", "execution_field(6"),
    "a setting that cannot change the result": ("dag.yaml", "{size: 4}", "{size: 4, log_every: 9}"),
    "a default that is written out": ("dag.yaml", "{size: 4}", "{size: 4, arm: a}"),
    "resources": ("dag.yaml", "with: {size: 4}", "with: {size: 4}\n    resources: {cpus: 2}"),
    "retries": ("dag.yaml", "with: {size: 4}", "with: {size: 4}\n    retries: 5"),
    "a time limit": ("dag.yaml", "with: {size: 4}", "with: {size: 4}\n    timeout: 2h"),
    "the share that may be set aside": ("dag.yaml", "with: {size: 4}",
                                        "with: {size: 4}\n    quarantine: 5%"),
    "pinning its code": ("dag.yaml", "with: {size: 4}", "with: {size: 4}\n    code: pinned"),
    "the seed of a pipeline whose stage has none": ("dag.yaml", "seed: 17", "seed: 18"),
    "the name of the pipeline": ("dag.yaml", "pipeline: keys", "pipeline: others"),
    "a description of the pipeline": ("dag.yaml", "seed: 17", "seed: 17\ndescription: what for"),
    "how closely the store is verified": ("dag.yaml", "seed: 17", "seed: 17\nverify: always"),
    "another stage": ("dag.yaml", "  more: {uses: own:Other}", "  less: {uses: own:Other}"),
    "a comment in the DAG": ("dag.yaml", "pipeline: keys", "# The first.\npipeline: keys"),
    "the order of keys in the DAG": ("dag.yaml", "uses: own:Own\n    needs: {documents: given}",
                                     "needs: {documents: given}\n    uses: own:Own"),
    "a default with another spelling": ("dag.yaml", "{size: 4}", '{"size": 4}'),
}  # fmt: skip


@pytest.mark.parametrize("case", MUST)
def test_must_change_the_key(project: Path, key_of: KeyOf, case: str) -> None:
    before = key_of()
    edit(project, *MUST[case])
    assert key_of() != before


@pytest.mark.parametrize("case", MUST_NOT)
def test_must_not_change_the_key(project: Path, key_of: KeyOf, case: str) -> None:
    before = key_of()
    edit(project, *MUST_NOT[case])
    assert key_of() == before


def test_an_edit_that_is_undone_must_give_the_key_back(project: Path, key_of: KeyOf) -> None:
    before = key_of()
    edit(project, "own.py", "LIMIT = 3", "LIMIT = 4")
    edit(project, "own.py", "LIMIT = 4", "LIMIT = 3")
    assert key_of() == before


def test_the_content_of_an_input_must_change_the_key(key_of: KeyOf) -> None:
    assert key_of(rows="abc") != key_of(rows="abd")


def test_the_order_of_the_rows_of_an_input_must_change_the_key(key_of: KeyOf) -> None:
    assert key_of(rows="abc") != key_of(rows="acb")


def test_the_name_of_the_stage_that_made_an_input_must_not_change_the_key(
    project: Path, key_of: KeyOf
) -> None:
    before = key_of()
    edit(project, "dag.yaml", "  given:", "  gift:")
    edit(project, "dag.yaml", "documents: given", "documents: gift")
    assert key_of() == before


def test_the_place_of_the_store_must_not_change_the_key(key_of: KeyOf) -> None:
    assert key_of(store="here") == key_of(store="elsewhere")


def test_a_file_that_is_read_must_change_the_key(project: Path, key_of: KeyOf) -> None:
    before = key_of("given")
    (project / "words.txt").write_text("other words")
    assert key_of("given") != before


def test_a_file_that_is_not_read_must_not_change_the_key(project: Path, key_of: KeyOf) -> None:
    before = key_of("given")
    (project / "notes.txt").write_text("something")
    assert key_of("given") == before


def test_the_time_a_file_was_touched_must_not_change_the_key(project: Path, key_of: KeyOf) -> None:
    before = key_of("given")
    (project / "words.txt").touch()
    assert key_of("given") == before


def test_the_version_of_a_library_that_the_stage_declares_must_change_the_key(
    key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of()
    with monkeypatch.context() as patched:
        patched.setattr(resolve.metadata, "version", lambda name: f"{name} 99")
        assert key_of() != before
    assert key_of() == before


def test_the_version_of_a_library_that_it_does_not_declare_must_not_change_the_key(
    key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of("more")
    with monkeypatch.context() as patched:
        patched.setattr(resolve.metadata, "version", lambda name: f"{name} 99")
        assert key_of("more") == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKENMILL_STORE", "/elsewhere"), ("MLFLOW_TRACKING_URI", "http://x"), ("TZ", "Asia/Tokyo"),
     ("TOKENMILL_FAULTS", "slow=1"), ("OMP_NUM_THREADS", "9"), ("PYTHONHASHSEED", "5")],
)  # fmt: skip
def test_the_environment_must_not_change_the_key(
    key_of: KeyOf, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    before = key_of()
    monkeypatch.setenv(name, value)
    assert key_of() == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://key:old-password@host/x", "s3://key:new-password@host/x"),
        ("https://host/x?token=first-secret", "https://host/x?token=second-secret"),
        ("https://host/x?a=1&X-Amz-Signature=0a1b", "https://host/x?a=1&X-Amz-Signature=2c3d"),
    ],
)
def test_a_secret_in_a_url_must_not_change_the_key(
    project: Path, key_of: KeyOf, one: str, other: str
) -> None:
    text = (project / "dag.yaml").read_text()
    keys = set()
    for url in (one, other):
        (project / "dag.yaml").write_text(text.replace("{size: 4}", f'{{size: 4, url: "{url}"}}'))
        keys.add(key_of())
    assert len(keys) == 1


def test_the_rest_of_a_url_must_change_the_key(project: Path, key_of: KeyOf) -> None:
    text = (project / "dag.yaml").read_text()
    keys = set()
    for url in ("s3://key:secret@host/x", "s3://key:secret@host/y", "s3://other:secret@host/x"):
        (project / "dag.yaml").write_text(text.replace("{size: 4}", f'{{size: 4, url: "{url}"}}'))
        keys.add(key_of())
    assert len(keys) == 3


def test_a_cell_must_not_change_the_key_of_another(project: Path, key_of: KeyOf) -> None:
    text = (project / "dag.yaml").read_text()

    def with_arms(arms: str) -> str:
        (project / "dag.yaml").write_text(f"{text.rstrip()}\n    matrix: {{arm: {arms}}}\n")
        return key_of("stage[arm=x]")

    assert with_arms("[x, y]") == with_arms("[z, x]")
