"""What a stage is: a typed config, typed inputs and outputs, and one method that does the work.

There are two shapes. A `RowStage` sees one shard of rows at a time, so the engine can run it on as
many workers as there are; most stages are of this shape and are twenty lines long. A `Stage` sees
its whole inputs: training, tokenizer training, reports. Where rows of different shards must meet
(deduplication, joins) it need not see them itself: `Context.shuffle` spreads the work.

Nothing here knows where it runs: no Ray, no MLflow, no paths. This module is the interface between
stages and engine, and is left out of every stage's code identity (`pipelines.code`): a change here
changes how a stage is called, not what it computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from stages.kinds import Kind

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Artifact",
    "Checkpoints",
    "Context",
    "Field",
    "Input",
    "Kind",
    "Output",
    "RowStage",
    "Shuffled",
    "Sink",
    "Stage",
    "StageConfig",
    "Step",
    "TeamStep",
    "execution_field",
]


class StageConfig(BaseModel):
    """The settings of a stage, as written under `with:`. Every field has a description.

    A field named `seed` that the DAG does not set takes the pipeline's seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def execution_field(default: Any, *, description: str, why: str) -> Any:
    """A config field that cannot change the result, and so is no part of the stage's key.

    `why` says what makes that true; a field whose `why` is hard to write belongs in the key.
    """
    return Field(default, description=description, json_schema_extra={"execution_only": why})


@dataclass(frozen=True)
class Input:
    """An artifact that a stage takes.

    `many`: takes every cell of a matrix at once (a report over arms). Otherwise a stage that needs
    a matrix stage is itself run once a cell.

    `provenance`: of a `many` input, its artifacts say what went into them (`Artifact.provenance`),
    and the key of the stage holds it.
    """

    kind: Kind
    description: str
    many: bool = False
    optional: bool = False
    provenance: bool = False


@dataclass(frozen=True)
class Output:
    """An artifact that a stage makes; the first declared is meant where a DAG names no other."""

    kind: Kind
    description: str


class Artifact(Protocol):
    """An input as a stage sees it: immutable, addressed by content, wherever it lies."""

    @property
    def kind(self) -> Kind: ...

    @property
    def digest(self) -> str: ...

    @property
    def rows(self) -> int: ...

    @property
    def cell(self) -> Mapping[str, Any]:
        """The matrix values of the stage that made it, for inputs declared `many`; else empty."""
        ...

    @property
    def provenance(self) -> Mapping[str, Mapping[str, Mapping[str, list[Any]]]]:
        """What went into it, and not into all artifacts of the input alike; empty where the input
        does not declare `provenance`.

        By stage of the DAG, then by part, then by name, the values in the cells of that stage:
        `uses` (named ""), `config` by field, `code` ("": the name of the set of code), `library` by
        distribution, `source` ("": hash of all), and `input` by name with {kind, digest, stage}.
        What is missing here and not in another artifact did not go into this one.
        """
        ...

    @property
    def bytes(self) -> int:
        """What its shards or files take, as they lie."""
        ...

    @property
    def parts(self) -> int:
        """How many shards its rows lie in."""
        ...

    def part(self, index: int) -> pa.Table:
        """The rows of one shard."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, in record batches: memory stays bounded."""
        ...

    def table(self) -> pa.Table:
        """All rows at once, memory-mapped where the store is local."""
        ...

    def folder(self) -> Path:
        """A local folder with the files of a model or tokenizer."""
        ...


class Sink(Protocol):
    """Where a stage puts one output: rows shard by shard, or files in a folder."""

    def write(self, rows: pa.Table) -> None:
        """Write one shard. The order of calls is the order of the shards."""
        ...

    def folder(self) -> Path:
        """A local folder; what lies in it when the stage returns is the artifact."""
        ...


class Shuffled(Protocol):
    """Rows as a shuffle left them: in parts, over the workers."""

    @property
    def rows(self) -> int: ...

    @property
    def bytes(self) -> int:
        """What they take in memory."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """What the steps of the shuffle counted."""
        ...

    def tables(self) -> Iterator[pa.Table]:
        """The parts in order, one at a time. They come to the stage: only for what is small."""
        ...


class Checkpoints(Protocol):
    """Where a stage saves its work while it runs, and finds it when it is started again.

    They belong to the key of the stage: a task that is tried again, and the next run of the same
    DAG after a kill, see what was saved; a stage with other settings, code or inputs does not. They
    are removed when the outputs of the stage are committed.

    A stage must give the same bytes whether or not it went on from a checkpoint, so a checkpoint
    holds all that the rest depends on: weights, optimiser, order of the data, random state, and
    what was recorded for an output so far.
    """

    def save(self, step: int, folder: Path) -> None:
        """Take over the files of a local folder as the checkpoint of a step.

        The files are gone from the folder afterwards. Whoever reads sees the whole checkpoint or
        none: when this is interrupted the earlier ones are as they were. One of the same step is
        replaced.
        """
        ...

    def latest(self) -> tuple[int, Path] | None:
        """The last step whose checkpoint is whole, and a local folder with its files, to read.

        A damaged one is passed over, and counted as `checkpoints_damaged`; of the one that is given
        the step is recorded as `resumed_from_step`.
        """
        ...

    def keep(self, steps: Iterable[int]) -> None:
        """Remove the checkpoints of all other steps; call it after `save`."""
        ...


class Context(Protocol):
    """What a stage may tell while it runs, and how it spreads work over the workers.

    Telling is optional; it never changes a result.
    """

    def progress(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        """How far the stage is, for the live display."""
        ...

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record a number; with `step`, a point of a curve that can be watched as it grows."""
        ...

    def count(self, name: str, amount: int) -> None:
        """Add to a counter. Counters are summed over shards and recorded as metrics."""
        ...

    def figure(self, name: str, png: bytes) -> None:
        """Record a picture with the run."""
        ...

    def shuffle(
        self,
        rows: Artifact | Shuffled | Sequence[Shuffled],
        split: Step | None,
        by: str,
        gather: Step | None,
        *,
        partitions: int | None = None,
        outputs: Mapping[str, Sink] | None = None,
    ) -> Shuffled:
        """Bring rows together that have the same value of a column, on the workers.

        `split` makes rows with the column `by` out of each part; all of one value of it, modulo
        `partitions`, then come to one call of `gather`, in the order of the parts. No worker sees
        more than its parts and one partition. Steps are methods of the stage, called as

            step(self, rows: pa.Table, part: int, inputs, context) -> pa.Table

        on a copy of the stage with its config and nothing else: what `run` has set is not there.
        `inputs` are those of `run`; `part` numbers the part or the partition. What a step counts is
        in `Shuffled.counts`; what else it tells is not kept.

        What becomes of a row must depend neither on `partitions` nor on what else is in its part.

        Args:
            rows: shards of an artifact, or what earlier shuffles left (parts numbered one after
                the other).
            split: None where the rows have the column already.
            by: a column of integers that are not negative.
            gather: None to leave the rows as they meet.
            partitions: by default so many that one holds some 32 MiB of `rows`. Partition p holds
                the rows whose `by` modulo `partitions` is p: with as many partitions as an artifact
                has parts, `by` can say in which part rows belong.
            outputs: `gather` then returns a table for each of these by name, which become shard
                `part` of the output where they are made; nothing is left in `Shuffled`.
        """
        ...

    def checkpoints(self) -> Checkpoints:
        """What the stage has saved of its work, and where it saves more. Not for a `RowStage`,
        whose finished shards are found again without it.
        """
        ...

    def team(self, step: TeamStep, size: int) -> Any:
        """Run a method of the stage on `size` workers at once, as ranks of one process group.

        `torch.distributed` is ready when the step begins: `nccl` where each worker has a GPU, else
        `gloo`. With one worker nothing is started: the step runs in this process, without a group.
        Each rank takes the processors and GPUs of the stage's `resources`; a stage with `size` > 1
        says so beforehand by `Stage.workers`. The step is called as

            step(self, rank: int, size: int, inputs, context) -> Any

        on a copy of the stage with its config and nothing else: what `run` has set is not there.
        `inputs` are those of `run`. Rank 0 tells: metrics, progress, figures, counts. What others
        tell is dropped. Every rank may read `context.checkpoints()`; only rank 0 saves, and the
        others wait for it (`torch.distributed.barrier`) where they must.

        Returns:
            What rank 0 returned; large results lie better in a checkpoint.

        Raises:
            Exception: what a rank raised; the others are ended. When a worker is lost the engine
                starts the whole stage again.
        """
        ...


# A step of a shuffle: see `Context.shuffle`.
Step = Callable[["pa.Table", int, Mapping[str, Any], Context], Any]
# What a team runs: see `Context.team`.
TeamStep = Callable[[int, int, Mapping[str, Any], Context], Any]


class Stage(ABC):
    """One word of the DAG language. Subclass it, declare inputs and outputs, write `run`.

    `word` is how a DAG says it (`corpus.clean`); a stage in a file of your own needs none and is
    written `my_file:ClassName`. `conserves` names the input whose every row must be found again, by
    its `id` and once, in the outputs listed with it; the engine checks it before a stage succeeds.
    A `RowStage` conserves its rows without saying so (see `conservation`).

    `libraries` names the distributions whose version changes the result ("torch"): their installed
    versions are part of the key. Leave out what only draws, reads or moves data.
    """

    word: ClassVar[str] = ""
    Config: ClassVar[type[StageConfig]] = StageConfig
    inputs: ClassVar[Mapping[str, Input]] = {}
    outputs: ClassVar[Mapping[str, Output]] = {}
    conserves: ClassVar[tuple[str, tuple[str, ...]] | None] = None
    libraries: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any) -> None:
        self.config: Any = config

    def sources(self) -> Mapping[str, str]:
        """What the stage reads from outside the store: address -> hash of the content there.

        Part of the key, asked for each time a plan is made, so it must be quick when nothing
        has changed. A stage that reads only its inputs has none.
        """
        return {}

    def workers(self) -> int:
        """How many workers the largest `Context.team` of the stage has.

        Each takes the stage's `resources`; of more than one, the task that waits for them takes
        processors only, so that the GPUs are theirs.
        """
        return 1

    @classmethod
    def conservation(cls) -> tuple[str, tuple[str, ...]] | None:
        """The input whose rows must be accounted for, and the outputs to find them in."""
        return cls.conserves

    @abstractmethod
    def run(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Sink],
        context: Context,
    ) -> None:
        """Do the work. `inputs` holds an `Artifact` a name (a list of them where `many`)."""


class RowStage(Stage):
    """A stage that treats each shard of its first input by itself.

    The first input gives the rows; further inputs (a model, a tokenizer) are the same for all.
    What becomes of a row must not depend on the others in its shard. A row at which `apply` raises
    is set aside in the output `quarantined`, up to the share that the DAG allows.

    Where an output has the kind of the first input, every row must be found again in the outputs of
    that kind, in a `dropped` one, or among those set aside. `expands = True` is for a stage that
    makes rows of its own out of each (units, permutations), where nothing can be counted.
    """

    expands: ClassVar[bool] = False

    @classmethod
    def conservation(cls) -> tuple[str, tuple[str, ...]] | None:
        if cls.conserves is not None or cls.expands:
            return cls.conserves
        name, rows = next(iter(cls.inputs.items()))
        if all(output.kind is not rows.kind for output in cls.outputs.values()):
            return None
        kinds = (rows.kind, Kind.DROPPED)
        return name, tuple(n for n, output in cls.outputs.items() if output.kind in kinds)

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        """Load what every shard needs, once a worker. `inputs` lacks the rows."""

    @abstractmethod
    def apply(self, rows: pa.Table, context: Context) -> pa.Table | Mapping[str, pa.Table]:
        """One shard in; one table out, or one table for each output by name."""

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        """Metrics derived from the counters of all shards."""
        return {}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        """Shard by shard in one process; the engine spreads the shards over workers instead."""
        raise TypeError("a RowStage is run shard by shard: call apply")
