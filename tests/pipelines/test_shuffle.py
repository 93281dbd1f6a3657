"""Rows of different shards meet: what a shuffle promises to a stage, in this process."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_project import Project, states

from pipelines.code import CodeIndex
from pipelines.shuffle import cut

STAGES = '''
import hashlib
import pyarrow as pa
from stages.contract import Field, Input, Kind, Output, Stage, StageConfig, execution_field
from stages.kinds import DOCUMENTS, DROPPED


def number_of(text):
    return sum(text.encode())


class Same(Stage):
    """Letters of equal case-folded text meet; the smallest id of each stays."""

    class Config(StageConfig):
        partitions: int | None = execution_field(None, description="parts", why="they meet anyway")
        fails: str = Field("", description="the step that does")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "kept"), "dropped": Output(Kind.DROPPED, "not")}
    conserves = ("documents", ("documents", "dropped"))

    def run(self, inputs, outputs, context):
        self.seen = "by run"
        rows = inputs["documents"]
        doubles = context.shuffle(rows, self.addressed, "number", self.doubled,
                                  partitions=self.config.partitions)
        context.metric("doubles", doubles.rows)
        context.metric("met", doubles.counts["met"])
        context.metric("read", sum(table.num_rows for table in doubles.tables()))
        context.shuffle([doubles, doubles], None, "part", self.divided, partitions=rows.parts,
                        outputs=outputs)

    def addressed(self, rows, part, inputs, context):
        assert not hasattr(self, "seen"), "a step sees what run has set"
        if self.config.fails == "addressed":
            raise ValueError("no address")
        texts = rows["text"].to_pylist()
        return pa.table({
            "number": [number_of(text.lower()) for text in texts],
            "id": rows["id"], "part": [part] * len(texts),
            "row": pa.array(range(len(texts)), pa.int64())})

    def doubled(self, rows, part, inputs, context):
        first, more = {}, []
        for row in sorted(rows.to_pylist(), key=lambda row: row["id"]):
            if first.setdefault(row["number"], row) is not row:
                more.append(row)
        context.count("met", rows.num_rows)
        return pa.Table.from_pylist(more, rows.schema)

    def divided(self, rows, part, inputs, context):
        documents = inputs["documents"].part(part)
        assert set(rows["part"].to_pylist()) <= {part}
        gone = set(rows["row"].to_pylist())
        assert 2 * len(gone) == rows.num_rows, "both of the shuffles that were given come"
        stay = [k for k in range(documents.num_rows) if k not in gone]
        rest = documents.take(pa.array(sorted(gone), pa.int64()))
        return {"documents": documents.take(pa.array(stay, pa.int64())), "dropped": pa.table({
            "id": rest["id"], "source": rest["source"],
            "reason": pa.array(["double"] * rest.num_rows, pa.string()),
            "value": pa.nulls(rest.num_rows, pa.float64()), "text": rest["text"]})}


class Wrong(Stage):
    """Each way in which a shuffle can be asked for wrongly."""

    class Config(StageConfig):
        how: str = Field(description="the way")

    inputs = {"documents": Input(Kind.DOCUMENTS, "letters")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "letters")}

    def run(self, inputs, outputs, context):
        step = (lambda rows, part, inputs, context: rows) if self.config.how == "lambda" else None
        by = {"no column": "nothing", "no integers": "text"}.get(self.config.how, "id")
        partitions = 0 if self.config.how == "no partitions" else 2
        context.shuffle(inputs["documents"], step, by, None, partitions=partitions)
'''

DAG = """
pipeline: shuffled
stages:
  made: {{uses: "toy_words:Make", with: {{letters: "{letters}"}}}}
  same: {{uses: "shuffling:Same", needs: {{documents: made}}, with: {{{settings}}}}}
"""


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    made = Project(tmp_path, own_modules_are_forgotten)
    (tmp_path / "shuffling.py").write_text(STAGES, encoding="utf-8")
    return made


def test_rows_meet_across_shards_and_each_output_lies_in_the_shards_of_the_input(
    project: Project,
) -> None:
    done = project.run(DAG.format(letters="abAcCB", settings=""))
    assert states(done) == {"made": "computed", "same": "computed"}, done["same"].error
    kept = done["same"].outputs["documents"]
    # "A" < "a": the smallest id stays, wherever it lies.
    assert project.texts(done["same"]) == ["A", "C", "B"]
    assert [part.rows for part in kept.parts] == [0, 1, 2]
    assert [part.path for part in kept.parts] == [f"part-0000{k}.arrow" for k in range(3)]
    assert done["same"].dropped == {"double": 3}
    assert done["same"].metrics == {"doubles": 3.0, "met": 6.0, "read": 3.0}


@pytest.mark.parametrize("partitions", [1, 2, 5, 64])
def test_the_number_of_partitions_changes_neither_key_nor_digest(
    project: Project, tmp_path: Path, partitions: int
) -> None:
    one = project.run(DAG.format(letters="abAcCBxyX", settings=""))["same"]
    project.store_folder = tmp_path / "another"
    other = project.run(DAG.format(letters="abAcCBxyX", settings=f"partitions: {partitions}"))
    assert other["same"].state == "computed"
    assert other["same"].key == one.key
    assert {n: m.digest for n, m in other["same"].outputs.items()} == {
        n: m.digest for n, m in one.outputs.items()
    }


def test_a_step_that_fails_fails_the_stage_and_is_named_with_its_part(project: Project) -> None:
    done = project.run(DAG.format(letters="ab", settings="fails: addressed"))
    assert done["same"].state == "failed"
    assert "no address" in (done["same"].error or "")
    assert "addressed, part 0" in (done["same"].error or "")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lambda", "must be a method of Wrong"),
        ("no column", 'a shuffle by "nothing" needs a column of integers'),
        ("no integers", 'a shuffle by "text" needs a column of integers'),
        ("no partitions", "partitions must be at least 1"),
    ],
)
def test_a_shuffle_that_is_asked_for_wrongly_is_an_error_that_says_what_is_wrong(
    project: Project, how: str, said: str
) -> None:
    dag = DAG.format(letters="ab", settings="").replace(":Same", ":Wrong")
    done = project.run(dag.replace("with: {}", f'with: {{how: "{how}"}}'))
    assert said in (done["same"].error or "")


def test_what_a_step_reaches_is_code_of_the_stage(project: Project, tmp_path: Path) -> None:
    before = CodeIndex([tmp_path]).reach("shuffling", "Same")
    assert "shuffling:number_of" in before
    path = tmp_path / "shuffling.py"
    path.write_text(STAGES.replace("sum(text.encode())", "len(text)"), encoding="utf-8")
    assert CodeIndex([tmp_path]).reach("shuffling", "Same") != before
    path.write_text(STAGES.replace('context.count("met", rows.num_rows)', ""), encoding="utf-8")
    assert CodeIndex([tmp_path]).reach("shuffling", "Same") != before


@given(st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 9))
def test_rows_are_cut_by_the_remainder_and_keep_their_order(
    values: list[int], partitions: int
) -> None:
    rows = pa.table({"by": pa.array(values, pa.uint64()), "at": list(range(len(values)))})
    pieces = cut(rows, "by", partitions)
    assert [piece["at"].to_pylist() for piece in pieces] == [
        [at for at, value in enumerate(values) if value % partitions == p]
        for p in range(partitions)
    ]
    assert all(piece.schema == rows.schema for piece in pieces)
