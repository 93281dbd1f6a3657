"""Stages without store, cluster or record: inputs, sinks and context that live in memory.

They follow `stages.contract` to the letter, and check what the engine checks: the schema of each
shard, a folder where a kind is files, and that no row of a conserving stage gets lost.
"""

import itertools
import multiprocessing
import multiprocessing.connection
import random
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.shuffle import cut
from stages.contract import RowStage
from stages.kinds import DOCUMENTS, FILE_KINDS, SCHEMAS, schema_faults


class MemoryArtifact:
    """An `Artifact` of shards in memory, or of files in a folder."""

    _numbers = itertools.count()

    def __init__(self, kind, shards=(), folder=None, cell=None, provenance=None):
        self.kind, self.cell, self.provenance = kind, cell or {}, provenance or {}
        self.shards, self._folder = list(shards), folder
        self.digest = f"memory-{next(self._numbers)}"

    @property
    def rows(self):
        return sum(shard.num_rows for shard in self.shards)

    @property
    def bytes(self):
        return sum(shard.nbytes for shard in self.shards)

    @property
    def parts(self):
        return len(self.shards)

    def part(self, index):
        return self.shards[index]

    def batches(self):
        for shard in self.shards:
            yield from shard.to_batches()

    def table(self):
        return pa.concat_tables(self.shards) if self.shards else SCHEMAS[self.kind].empty_table()

    def folder(self):
        assert self.kind in FILE_KINDS, f"{self.kind} are rows, not files"
        return self._folder

    def of_cell(self, **cell):
        """The same artifact, as made by the cell of a matrix."""
        return MemoryArtifact(self.kind, self.shards, self._folder, cell)

    def in_shards_of(self, rows):
        """The same rows, divided otherwise."""
        table = self.table()
        starts = range(0, table.num_rows, rows)
        return MemoryArtifact(self.kind, [table.slice(start, rows) for start in starts])


class MemorySink:
    """A `Sink` that keeps what it is given."""

    def __init__(self, kind, folder):
        self.kind, self._folder, self.shards = kind, folder, []

    def write(self, rows):
        assert self.kind not in FILE_KINDS, f"a {self.kind} is files, not rows"
        assert schema_faults(self.kind, rows.schema) == []
        assert not self.shards or rows.schema == self.shards[0].schema, "shards differ"
        self.shards.append(rows)

    def folder(self):
        assert self.kind in FILE_KINDS, f"{self.kind} are rows, not files"
        self._folder.mkdir(exist_ok=True)
        return self._folder

    def artifact(self):
        if self.kind in FILE_KINDS:
            assert any(self._folder.iterdir()), f"the stage wrote no file of its {self.kind}"
        return MemoryArtifact(self.kind, self.shards, self._folder)


class MemoryShuffled:
    """What a shuffle left, in memory."""

    def __init__(self, shards, counts):
        self.shards, self.counts = shards, counts
        self.rows = sum(shard.num_rows for shard in shards)
        self.bytes = sum(shard.nbytes for shard in shards)

    def tables(self):
        yield from self.shards


class FolderCheckpoints:
    """`Checkpoints` in a local folder; what a test hands to a second run is found by it."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(exist_ok=True)

    @property
    def steps(self):
        return sorted(int(path.name) for path in self._folder.iterdir())

    def save(self, step, folder):
        assert any(folder.iterdir()), "a checkpoint without files"
        shutil.rmtree(self._folder / str(step), ignore_errors=True)
        (self._folder / str(step)).mkdir()
        for path in list(folder.iterdir()):
            path.rename(self._folder / str(step) / path.name)

    def latest(self):
        return (self.steps[-1], self._folder / str(self.steps[-1])) if self.steps else None

    def keep(self, steps):
        for step in set(self.steps) - set(steps):
            shutil.rmtree(self._folder / str(step))


class MemoryContext:
    """A `Context` that remembers what it was told, shuffles step by step, and forks for a team."""

    def __init__(self, inputs=None, checkpoints=None):
        self.inputs = inputs or {}
        self.metrics, self.curves, self.counts, self.figures = {}, {}, {}, {}
        self._checkpoints = checkpoints

    def checkpoints(self):
        if self._checkpoints is None:
            self._checkpoints = FolderCheckpoints(tempfile.mkdtemp())
        return self._checkpoints

    def team(self, step, size):
        assert 1 <= size <= step.__self__.workers(), "the stage's workers() says otherwise"
        copied = type(step.__self__)(step.__self__.config)  # what `run` has set is not there
        method = getattr(copied, step.__name__)
        if size == 1:
            return method(0, 1, self.inputs, self)
        self.checkpoints()
        forking = multiprocessing.get_context("fork")
        with tempfile.TemporaryDirectory() as folder:
            ends = [forking.Pipe(duplex=False) for _ in range(size)]
            ranks = [
                forking.Process(
                    target=self._rank, args=(method, rank, size, f"{folder}/store", ends[rank][1])
                )
                for rank in range(size)
            ]
            for process in ranks:
                process.start()
            told = [None] * size
            waiting = {end: rank for rank, (end, _) in enumerate(ends)}
            while waiting:
                for end in multiprocessing.connection.wait(list(waiting)):
                    rank = waiting.pop(end)
                    told[rank] = end.recv()
                    if isinstance(told[rank], BaseException):
                        for process in ranks:
                            process.kill()
                        raise told[rank]
            for process in ranks:
                process.join()
        value, tellings = told[0]
        for name, telling in tellings.items():
            getattr(self, name).update(telling)
        return value

    def _rank(self, method, rank, size, store, end):
        import torch
        import torch.distributed as dist

        # A fork has no threads but its own: a parallel region of OpenMP would wait for ever.
        torch.set_num_threads(1)
        context = MemoryContext(self.inputs, self._checkpoints)
        context.counts, context.curves = dict(self.counts), dict(self.curves)
        try:
            dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=size)
            value = method(rank, size, self.inputs, context)
            dist.destroy_process_group()
        except Exception as error:  # noqa: BLE001 - it goes home, whatever it is
            end.send(error)
            return
        tellings = ("metrics", "curves", "counts", "figures")
        end.send((value, {name: getattr(context, name) for name in tellings}) if rank == 0 else ())

    def shuffle(self, rows, split, by, gather, *, partitions=None, outputs=None):
        given = rows if isinstance(rows, list) else [rows]
        shards = [shard for one in given for shard in one.shards]
        there = MemoryContext(self.inputs)

        def step(method, table, part):
            if method is None:
                return table
            owner = method.__self__
            copied = type(owner)(owner.config)  # what `run` has set is not there
            return getattr(copied, method.__name__)(table, part, self.inputs, there)

        partitions = partitions or 3
        pieces = [cut(step(split, t, part), by, partitions) for part, t in enumerate(shards)]
        made = []
        for part in range(partitions):
            table = step(gather, pa.concat_tables([piece[part] for piece in pieces]), part)
            for name, sink in (outputs or {}).items():
                sink.write(table[name])
            made += [] if outputs else [table]
        return MemoryShuffled(made, there.counts)

    def progress(self, done, total=None, unit="rows"):
        assert done >= 0
        assert total is None or done <= total

    def metric(self, name, value, step=None):
        assert re.fullmatch(r"[/\w.\- :]+", name), f"MLflow takes no metric {name!r}"
        self.metrics[name] = float(value)
        if step is not None:
            self.curves.setdefault(name, []).append((step, float(value)))

    def count(self, name, amount):
        self.counts[name] = self.counts.get(name, 0) + int(amount)

    def figure(self, name, png):
        self.figures[name] = png


@dataclass
class Ran:
    """What a stage left behind: its outputs by name, and what it told."""

    outputs: dict[str, MemoryArtifact]
    context: MemoryContext = field(default_factory=MemoryContext)

    def rows(self, output=None):
        name = output or next(iter(self.outputs))
        return self.outputs[name].table().to_pylist()

    def __getitem__(self, name):
        return self.outputs[name]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Content hashes are remembered in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def run_stage(tmp_path_factory):
    """`run_stage(Stage, inputs, **settings)` -> `Ran`; a `RowStage` is run shard by shard.

    `checkpoints` (see the fixture of that name) are found again by a later run that is given them.
    """

    def run(stage_class, inputs=None, *, checkpoints=None, **settings):
        inputs = dict(inputs or {})
        stage = stage_class(stage_class.Config(**settings))
        folder = tmp_path_factory.mktemp("outputs")
        sinks = {
            name: MemorySink(output.kind, folder / name)
            for name, output in stage_class.outputs.items()
        }
        context = MemoryContext(inputs, checkpoints)
        if isinstance(stage, RowStage):
            first = inputs.pop(next(iter(stage_class.inputs)))
            stage.prepare(inputs)
            for shard in first.shards:
                made = stage.apply(shard, context)
                tables = {next(iter(sinks)): made} if isinstance(made, pa.Table) else made
                for name, sink in sinks.items():
                    sink.write(tables[name])
            for name, value in stage.summary(context.counts).items():
                context.metric(name, value)
            inputs[next(iter(stage_class.inputs))] = first
        else:
            stage.run(inputs, sinks, context)
        ran = Ran({name: sink.artifact() for name, sink in sinks.items()}, context)
        if stage_class.conserves is not None:
            taken, given = stage_class.conserves
            assert inputs[taken].rows == sum(ran[name].rows for name in given), "rows were lost"
        return ran

    return run


@pytest.fixture
def checkpoints(tmp_path):
    """Checkpoints that outlive a run, with their `steps`."""
    return FolderCheckpoints(tmp_path / "checkpoints")


@pytest.fixture(scope="session")
def artifact():
    """`artifact(kind, rows, shards=1, cell=None)` -> an input made of rows."""

    def make(kind, rows, *, shards=1, cell=None):
        table = pa.Table.from_pylist(rows, SCHEMAS[kind])
        size = max(1, -(-table.num_rows // shards))
        parts = [table.slice(start, size) for start in range(0, max(table.num_rows, 1), size)]
        return MemoryArtifact(kind, parts, cell=cell)

    return make


@pytest.fixture(scope="session")
def documents(artifact):
    """`documents(texts, ...)` -> documents; `texts` maps ids to texts, or to rows to complete."""

    def make(texts, *, shards=1):
        rows = []
        for id_, given in texts.items():
            row = {"text": given} if isinstance(given, str) else given
            plain = {"language": "eng_Latn", "source": f"source of {id_}", "group": None}
            rows.append({"id": id_, "edits": [], **plain, **row})
        assert all(row.keys() == set(DOCUMENTS.names) for row in rows)
        return artifact("documents", rows, shards=shards)

    return make


@pytest.fixture(scope="session")
def prose():
    """`prose(seed, words)` -> text of made-up words, the same for the same seed."""

    def make(seed, words=80):
        chance = random.Random(seed)
        syllables = ["ka", "lo", "mi", "ren", "tu", "sha", "vel", "dor", "ni", "pas", "gu", "eth"]
        made = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(words)]
        sentences = [" ".join(made[start : start + 9]) for start in range(0, words, 9)]
        return ". ".join(sentence.capitalize() for sentence in sentences) + "."

    return make


@pytest.fixture(scope="session")
def sayings(documents):
    """Thirty short documents that a tiny model soon knows by heart, in two shards."""
    animals = ["cat", "dog", "hen", "fox", "owl", "cow"]
    places = ["on the mat", "in the sun", "by the door", "under the old tree", "on the roof"]
    return documents(
        {
            f"{animal}-{number}": " ".join(f"The {animal} sat {place}." for _ in range(4))
            for animal in animals
            for number, place in enumerate(places)
        },
        shards=2,
    )


@pytest.fixture(scope="session")
def tokenizer(run_stage, sayings):
    from stages.tokenizer import Train

    return run_stage(Train, {"documents": sayings}, vocab_size=300)["tokenizer"]


@pytest.fixture(scope="session")
def tokens(run_stage, sayings, tokenizer):
    from stages.tokenizer import Encode

    inputs = {"documents": sayings, "tokenizer": tokenizer}
    return run_stage(Encode, inputs, sequence_length=16)["tokens"]


TINY_MODEL = {
    "steps": 40, "batch_size": 8, "hidden_size": 16, "layers": 1, "heads": 2, "warmup_steps": 4,
    "weighting_warmup_steps": 5, "learning_rate": 2e-2, "device": "cpu", "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="session")
def trained(run_stage, tokens, tokenizer):
    """A tiny model that has learnt the sayings; with its history."""
    from stages.training import LanguageModel

    return run_stage(LanguageModel, {"tokens": tokens, "tokenizer": tokenizer}, **TINY_MODEL)


@pytest.fixture(scope="session")
def tiny_model():
    """The settings of `trained`."""
    return dict(TINY_MODEL)
