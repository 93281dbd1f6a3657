"""A user's folder with small stages that keep a diary, a DAG and a store."""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from serial_runtime import SerialRuntime

from pipelines.plan import Plan
from pipelines.planner import make_plan
from pipelines.resolve import preview
from pipelines.run import Runner
from pipelines.spec import read_dag
from pipelines.status import StageStatus
from pipelines.store import Store

STAGES = '''\
"""The stages of the tests: letters are made, changed, and counted."""
import pyarrow as pa
from pathlib import Path

from stages.contract import Field, Input, Kind, Output, RowStage, Stage, StageConfig, execution_field
from stages.kinds import DOCUMENTS, DROPPED, METRICS

DIARY = Path(__file__).with_name("diary.txt")


def note(text):
    with DIARY.open("a") as file:
        file.write(text + "\\n")


def row(id_, text):
    return {"id": id_, "text": text, "language": "eng_Latn", "source": "toy", "group": None,
            "edits": []}


class Make(Stage):
    """Letters, in shards of two."""

    class Config(StageConfig):
        letters: str = Field("abcde", description="one row each")
        speed: int = execution_field(1, description="of nothing", why="it does nothing")
        seed: int = Field(0, description="of nothing")

    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def run(self, inputs, outputs, context):
        note("Make")
        letters = [row(letter, letter) for letter in self.config.letters]
        for start in range(0, len(letters), 2):
            outputs["documents"].write(pa.Table.from_pylist(letters[start : start + 2], DOCUMENTS))
            context.progress(start, len(letters))
        context.metric("letters", len(letters))
        context.metric("curve", 1.0, step=1)
        context.metric("curve", 2.0, step=2)
        context.figure("picture", b"png")


def changed(text, suffix):
    # The method of Upper.
    return text.upper() + suffix


class Upper(RowStage):
    """Upper case, a shard at a time."""

    class Config(StageConfig):
        suffix: str = Field("", description="put behind each")
        fails_at: str = Field("", description="a text at which it fails")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "upper case")}
    conserves = ("documents", ("documents",))

    def apply(self, rows, context):
        note("Upper")
        made = []
        for entry in rows.to_pylist():
            if entry["text"] == self.config.fails_at:
                raise ValueError(f"cannot read {entry['text']}")
            made.append(entry | {"text": changed(entry["text"], self.config.suffix)})
        context.count("rows_seen", len(made))
        return pa.Table.from_pylist(made, DOCUMENTS)

    def summary(self, counts):
        return {"twice": 2.0 * counts.get("rows_seen", 0)}


class Sort(Stage):
    """All letters in one shard, in order: the same bytes from the same rows."""

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "sorted")}

    def run(self, inputs, outputs, context):
        note("Sort")
        rows = sorted(inputs["documents"].table().to_pylist(), key=lambda entry: entry["id"])
        outputs["documents"].write(pa.Table.from_pylist(rows, DOCUMENTS))


class Filter(Stage):
    """Vowels are dropped; `loses` rows vanish, `doubles` rows come twice."""

    class Config(StageConfig):
        loses: int = Field(0, description="rows that vanish")
        doubles: int = Field(0, description="rows that come twice")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "kept"), "dropped": Output(Kind.DROPPED, "not")}
    conserves = ("documents", ("documents", "dropped"))

    def run(self, inputs, outputs, context):
        rows = inputs["documents"].table().to_pylist()
        vowels = [r for r in rows if r["text"] in "aeiou"]
        kept = [r for r in rows if r["text"] not in "aeiou"]
        kept = kept[self.config.loses :] + kept[: self.config.doubles]
        outputs["documents"].write(pa.Table.from_pylist(kept, DOCUMENTS))
        outputs["dropped"].write(pa.Table.from_pylist(
            [{"id": r["id"], "source": "toy", "reason": "vowel", "value": 1.0, "text": r["text"]}
             for r in vowels], DROPPED))


class Flaky(Stage):
    """Fails `times` times, then makes letters."""

    class Config(StageConfig):
        times: int = Field(1, description="failures")

    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def run(self, inputs, outputs, context):
        note("Flaky")
        outputs["documents"].write(pa.Table.from_pylist([row("x", "x")], DOCUMENTS))
        outputs["documents"].write(pa.Table.from_pylist([row("y", "y")], DOCUMENTS))
        if DIARY.read_text().count("Flaky") <= self.config.times:
            raise OSError("the network is away")


class Broken(RowStage):
    """Each way in which a stage can be wrong."""

    class Config(StageConfig):
        how: str = Field(description="the way")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def apply(self, rows, context):
        how = self.config.how
        if how == "schema":
            return rows.drop_columns(["text"])
        if how == "shards differ":
            first = rows.column("id")[0].as_py() == "a"
            return rows.append_column("more", pa.nulls(len(rows)) if first else rows.column("id"))
        if how == "together" and rows.num_rows > 1:
            raise ValueError("too many")
        if how == "counts":
            context.count("rows", 1)
        return rows

    def summary(self, counts):
        return {"share": 1 / (counts.get("rows", 0) - 3)} if self.config.how == "counts" else {}


class Folder(Stage):
    """A model of two files."""

    class Config(StageConfig):
        writes: bool = Field(True, description="whether it does")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"model": Output(Kind.MODEL, "a model")}

    def run(self, inputs, outputs, context):
        if self.config.writes:
            folder = outputs["model"].folder()
            (folder / "config.json").write_text("{}")
            (folder / "weights").write_bytes(str(inputs["documents"].rows).encode())


class Compare(Stage):
    """Who is who."""

    inputs = {"scores": Input(Kind.DOCUMENTS, "letters of all cells", many=True)}
    outputs = {"metrics": Output(Kind.METRICS, "rows by cell")}

    def run(self, inputs, outputs, context):
        note("Compare")
        outputs["metrics"].write(pa.Table.from_pylist(
            [{"id": str(dict(a.cell)), "metric": "rows", "value": float(a.rows), "weight": 1.0,
              "group": None} for a in inputs["scores"]], METRICS))


class Reads(Stage):
    """The text of a file beside it."""

    class Config(StageConfig):
        path: str = Field("words.txt", description="the file")

    outputs = {"documents": Output(Kind.DOCUMENTS, "the text")}

    def _path(self):
        return Path(__file__).with_name(self.config.path)

    def sources(self):
        return {self.config.path: self._path().read_text()}

    def run(self, inputs, outputs, context):
        outputs["documents"].write(pa.Table.from_pylist([row("t", self._path().read_text())],
                                                        DOCUMENTS))


class Dice(Stage):
    """Other rows each time."""

    outputs = {"documents": Output(Kind.DOCUMENTS, "a throw")}

    def run(self, inputs, outputs, context):
        note("Dice")
        thrown = DIARY.read_text().count("Dice")
        outputs["documents"].write(pa.Table.from_pylist([row("t", str(thrown))], DOCUMENTS))
'''

CHAIN = """\
pipeline: toy
stages:
  made: {uses: toy_words:Make}
  upper: {uses: toy_words:Upper, needs: {documents: made}}
  sorted: {uses: toy_words:Sort, needs: {documents: upper}}
"""


class Project:
    """A folder with stages, a DAG and a store, as a user has it."""

    def __init__(self, folder: Path, forget: Callable[[], None]) -> None:
        self.folder = folder
        self._forget = forget
        self.store_folder = folder / "store"
        self.runtimes: list[SerialRuntime] = []
        self.edit_stages(lambda _: STAGES)

    def edit_stages(self, edit: Callable[[str], str]) -> None:
        path = self.folder / "toy_words.py"
        before = path.read_text() if path.exists() else ""
        after = edit(before)
        assert after != before, "the edit changed nothing"
        path.write_text(after)
        self._forget()

    def replace(self, old: str, new: str) -> None:
        self.edit_stages(lambda text: text.replace(old, new, 1))

    @property
    def store(self) -> Store:
        return Store(str(self.store_folder))

    def plan(self, dag: str = CHAIN, **options: Any) -> Plan:
        path = self.folder / "dag.yaml"
        path.write_text(textwrap.dedent(dag))
        return make_plan(read_dag(path, **options))

    def run(
        self, dag: str = CHAIN, *, runtime: SerialRuntime | None = None, **options: Any
    ) -> dict[str, StageStatus]:
        """Run a DAG; the status of each planned stage."""

        def start() -> SerialRuntime:
            self.runtimes.append(runtime or SerialRuntime())
            return self.runtimes[-1]

        self.runtimes = []
        statuses = Runner(self.plan(dag), self.store, start, **options).run()
        return {status.name: status for status in statuses}

    def preview(self, dag: str = CHAIN, names: set[str] | None = None) -> dict[str, StageStatus]:
        return {s.name: s for s in preview(self.plan(dag), self.store, names)}

    def texts(self, status: StageStatus, output: str = "documents") -> list[str]:
        return list(self.store.table(status.outputs[output]).column("text").to_pylist())

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary.txt"
        return path.read_text().split() if path.exists() else []


def states(statuses: Mapping[str, StageStatus]) -> dict[str, str]:
    return {name: status.state for name, status in statuses.items()}


def having(statuses: Mapping[str, StageStatus], state: str) -> set[str]:
    return {name for name, status in statuses.items() if status.state == state}
