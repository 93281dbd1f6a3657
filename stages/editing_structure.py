"""The same text in another form: units in another order, gaps to fill, masked inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import DOCUMENTS, TOKENS
from stages.tokenizer_files import load_tokenizer

_SENTINEL = "stands before the {}; text that holds a sentinel is left as it is"


class Permute(RowStage):
    """SPT: the semantic units of each sentence in the original, the reversed or a random order.

    Guo et al. 2024 (arXiv 2403.00758), against the reversal curse. Sentences stay in their order,
    and words inside of a unit keep theirs. Units are cut by rule; `segmenter` of a subclass gives
    any other function. A sentence whose units do not make up its text stays as it is.
    """

    word = "editing.permute"

    class Config(StageConfig):
        units: Literal["semantic", "words", "chunks"] = Field(
            "semantic", description="names, numbers and phrases; or the baselines: single words, "
            "chunks of chunk_words",
        )  # fmt: skip
        chunk_words: int = Field(5, ge=1, description="words in a unit of chunks")
        original: float = Field(1 / 3, ge=0, le=1, description="chance that the order stays")
        reversed: float = Field(1 / 3, ge=0, le=1, description="chance of the last unit first")
        random: float = Field(
            1 / 3, ge=0, le=1, validate_default=True,
            description="chance of a random order; the three chances make 1",
        )  # fmt: skip
        joiner: str = Field(
            " ", description='between units in another order; "" for a script without spaces'
        )
        seed: int = Field(0, description="of the draws; each row has a stream of its own")

        @field_validator("random")
        @classmethod
        def _makes_one(cls, random: float, info: ValidationInfo) -> float:
            total = random + sum(info.data.get(name, 0.0) for name in ("original", "reversed"))
            if abs(total - 1) > 1e-6:
                raise ValueError(f"original, reversed and random make {total:g}, and should make 1")
            return random

    inputs = {"documents": Input(Kind.DOCUMENTS, "any documents")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows, with permuted sentences")}
    conserves = ("documents", ("documents",))

    def segmenter(self) -> Callable[[str], Sequence[str]]:
        """What gives the units of a sentence, verbatim: together they are the sentence."""
        from operators.editing.semantic_units import chunk_units, semantic_units, word_units

        size = self.config.chunk_words
        by_name: dict[str, Callable[[str], Sequence[str]]] = {
            "semantic": semantic_units,
            "words": word_units,
            "chunks": lambda sentence: chunk_units(sentence, size),
        }
        return by_name[self.config.units]

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.permutation import ORDERS, permute_texts

        config = self.config
        made = permute_texts(
            rows.column("text").to_pylist(),
            rows.column("id").to_pylist(),
            chances={order: getattr(config, order) for order in ORDERS},
            segmenter=self.segmenter(),
            joiner=config.joiner,
            seed=config.seed,
        )
        edits = rows.column("edits").to_pylist()
        for one, earlier in zip(made, edits, strict=True):
            context.count("eligible", one.eligible)
            context.count("drawn", one.eligible - one.drawn.get("original", 0))
            for order in ("reversed", "random"):
                context.count(order, one.drawn.get(order, 0))
            context.count("changed", one.changed)
            context.count("whole", one.whole)
            context.count("unfaithful", one.unfaithful)
            if one.changed:
                earlier.append(f"permuted the {config.units} units of {one.changed} sentences")
        return with_columns(rows, {"text": [one.text for one in made], "edits": edits})

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        return shares_of_eligible(counts)


class Infill(RowStage):
    """FIM and FIM-SE: documents rearranged so that a model learns to fill a gap.

    FIM (Bavarian et al. 2022) splits at any two characters; FIM-SE (Ren et al. 2024) lets the
    model generate whole lines and gives what is known of the first and last one as hints. It comes
    before `tokenizer.encode`, document by document.
    """

    word = "editing.infill"

    class Config(StageConfig):
        mode: Literal["fim", "fim_se"] = Field("fim", description="FIM, or FIM-SE by whole lines")
        rate: float = Field(
            0.5, ge=0, le=1, description="chance that a document is rearranged; 0 changes nothing"
        )
        spm: float = Field(
            0.5, ge=0, le=1, description="fim: share with the suffix first (SPM), else PSM"
        )
        longest: int | None = Field(
            None, ge=1, description="characters; longer (>) documents are left as they are"
        )
        prefix: str = Field("<PRE>", min_length=1, description=_SENTINEL.format("prefix"))
        suffix: str = Field("<SUF>", min_length=1, description=_SENTINEL.format("suffix"))
        middle: str = Field("<MID>", min_length=1, description=_SENTINEL.format("middle"))
        hint_start: str = Field(
            "<START>", min_length=1, description="fim_se: stands before the begun first line"
        )
        hint_end: str = Field(
            "<END>", min_length=1, description="fim_se: stands before the rest of the last line"
        )
        end: str = Field(
            "<EOT>", description='behind all; "" where the end of text that packing adds will do'
        )
        seed: int = Field(0, description="of the draws; each row has a stream of its own")

    inputs = {"documents": Input(Kind.DOCUMENTS, "any documents")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows, a share of them rearranged")}
    conserves = ("documents", ("documents",))

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.infilling import Sentinels, infill_texts

        config = self.config
        marks = Sentinels(
            prefix=config.prefix,
            suffix=config.suffix,
            middle=config.middle,
            hint_start=config.hint_start,
            hint_end=config.hint_end,
            end=config.end,
        )
        made = infill_texts(
            rows.column("text").to_pylist(),
            rows.column("id").to_pylist(),
            rate=config.rate,
            whole_lines=config.mode == "fim_se",
            spm=config.spm,
            longest=config.longest,
            marks=marks,
            seed=config.seed,
        )
        edits = rows.column("edits").to_pylist()
        for one, earlier in zip(made, edits, strict=True):
            context.count("documents", 1)
            context.count("eligible", one.eligible)
            context.count("drawn", one.drawn)
            context.count("changed", one.drawn)  # the sentinels alone make another text
            if one.drawn:
                earlier.append(f"infill: {one.what}")
        return with_columns(rows, {"text": [one.text for one in made], "edits": edits})

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        return shares_of_eligible(counts)


class _MaskConfig(StageConfig):
    """What both ways to mask have in common."""

    mask_token: str | None = Field(
        None, description="a token of the vocabulary that no text is made of; default: an id of "
        "its own, the first behind the vocabulary",
    )  # fmt: skip
    seed: int = Field(0, description="of the positions; each row has a stream of its own")


class Mask(RowStage):
    """MEAP for pre-training: a share of the inputs is masked, the targets stay what they are.

    Zhuang et al. 2025 (arXiv 2502.07490). `tokens` do not change; the column `inputs` says what the
    model sees instead. The loss is that of the next token at every position, masked or not.
    """

    word = "editing.mask"

    class Config(_MaskConfig):
        ratio: float = Field(
            0.15, ge=0, le=1, description="share of a row's tokens, rounded down, but one at "
            "least; 0 masks nothing",
        )  # fmt: skip

    inputs = {
        "tokens": Input(Kind.TOKENS, "sequences to pre-train on"),
        "tokenizer": Input(Kind.TOKENIZER, "what made them: the mask is none of its tokens"),
    }
    outputs = {"tokens": Output(Kind.TOKENS, "the same rows, with masked `inputs`")}
    conserves = ("tokens", ("tokens",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.mask_id = mask_id(load_tokenizer(inputs["tokenizer"]).tokens, self.config.mask_token)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.masking import mask_positions, masked_inputs

        config = self.config
        if config.ratio == 0:
            return rows
        tokens, starts = _flat(rows, "tokens")
        seen, _ = _flat(rows, "inputs" if "inputs" in rows.column_names else "tokens")
        inputs = seen.copy()
        for row, name in enumerate(rows.column("id").to_pylist()):
            here = slice(starts[row], starts[row + 1])
            length = int(starts[row + 1] - starts[row])
            positions = mask_positions(length, name, ratio=config.ratio, seed=config.seed)
            inputs[here] = masked_inputs(tokens[here], positions, self.mask_id, inputs[here])
            context.count("tokens", length)
            context.count("eligible", max(length - 1, 0))
            context.count("drawn", len(positions))
        context.count("changed", int((inputs != seen).sum()))
        return _with_inputs(rows, seen, inputs, starts)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens = counts.get("tokens", 0)
        return {"masked_share": counts["changed"] / tokens} if tokens else {}


class MaskAnswers(RowStage):
    """MEAP for fine-tuning: each sample twice, the second time with a masked answer.

    Zhuang et al. 2025 (arXiv 2502.07490). The copy is scored at its masked positions only. An
    answer that is too short is not masked; its sample is there twice all the same, so that half
    the epochs show every sample as often as before.
    """

    word = "editing.mask_answers"
    expands = True

    class Config(_MaskConfig):
        ratio: float = Field(
            0.10, ge=0, le=1, description="share of an answer's tokens, rounded down, but one at "
            "least; 0 masks nothing and adds no row",
        )  # fmt: skip
        shortest: int = Field(
            50, ge=1, description="tokens of an answer; shorter (<) ones are not masked"
        )

    inputs = {
        "tokens": Input(Kind.TOKENS, "samples; `scored` says which tokens are the answer"),
        "tokenizer": Input(Kind.TOKENIZER, "what made them: the mask is none of its tokens"),
    }
    outputs = {
        "tokens": Output(
            Kind.TOKENS, "each row, and behind it `<id>#masked`, or `<id>#again` if not masked"
        )
    }

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.mask_id = mask_id(load_tokenizer(inputs["tokenizer"]).tokens, self.config.mask_token)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.masking import answer_mask_positions, masked_inputs

        config = self.config
        if "scored" not in rows.column_names:
            raise ValueError(
                "these tokens have no column scored, so nobody can tell the answers: give samples "
                "for fine-tuning, or mask sequences for pre-training with editing.mask"
            )
        if config.ratio == 0:
            return rows
        twice = rows.take(np.repeat(np.arange(rows.num_rows), 2))
        tokens, starts = _flat(twice, "tokens")
        seen, _ = _flat(twice, "inputs" if "inputs" in rows.column_names else "tokens")
        inputs, scored = seen.copy(), _flat(twice, "scored")[0].copy()
        ids = twice.column("id").to_pylist()
        for copy in range(1, twice.num_rows, 2):
            here = slice(starts[copy], starts[copy + 1])
            answer = scored[here]
            positions = answer_mask_positions(
                answer, ids[copy], ratio=config.ratio, shortest=config.shortest, seed=config.seed
            )
            ids[copy] += "#masked" if len(positions) else "#again"
            context.count("eligible", int(answer[1:].sum()))
            context.count("drawn", len(positions))
            context.count("short_answers", not len(positions))
            if len(positions):
                inputs[here] = masked_inputs(tokens[here], positions, self.mask_id, inputs[here])
                scored[here] = False
                scored[starts[copy] + positions] = True
        context.count("changed", int((inputs != seen).sum()))
        made = _with_inputs(twice, seen, inputs, starts)
        return with_columns(made, {"id": ids, "scored": _lists(starts, scored)}, TOKENS)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        return shares_of_eligible(counts)


def mask_id(tokens: Sequence[bytes], mask_token: str | None) -> int:
    """The id of the mask: of a token of the vocabulary, or the first one behind it.

    Raises:
        ValueError: the vocabulary has no such token.
    """
    if mask_token is None:
        return len(tokens)
    written = mask_token.encode()
    if not written or written not in tokens:
        raise ValueError(
            f'mask_token "{mask_token}" is no token of the vocabulary: name one that is, or leave '
            "it out for an id of its own"
        )
    return tokens.index(written)


# Columns that are in no kind's schema -> their types.
_OWN_COLUMNS = {
    "inputs": pa.list_(pa.int32()),
    "scored": pa.list_(pa.bool_()),
    "gamma": pa.float64(),
    "kept_share": pa.float64(),
}


def with_columns(
    rows: pa.Table, columns: Mapping[str, Sequence[Any] | pa.Array], schema: pa.Schema = DOCUMENTS
) -> pa.Table:
    """The rows with some columns in place of those of that name, or behind the others."""
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        if name in schema.names:
            kind = schema.field(name).type
        else:
            kind = _OWN_COLUMNS.get(name) or rows.schema.field(place).type
        column = values if isinstance(values, pa.Array) else pa.array(values, kind)
        if place < 0:
            rows = rows.append_column(name, column)
        else:
            rows = rows.set_column(place, name, column)
    return rows


def shares_of_eligible(counts: Mapping[str, int]) -> dict[str, float]:
    """`drawn_share` and `changed_share`, where anything was eligible."""
    eligible = counts.get("eligible", 0)
    if not eligible:
        return {}
    return {f"{name}_share": counts.get(name, 0) / eligible for name in ("drawn", "changed")}


def _flat(rows: pa.Table, name: str) -> tuple[Any, Any]:
    """The values of a column of lists, end to end, and where each row begins and ends [n + 1]."""
    column = rows.column(name).combine_chunks()
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _lists(starts: Any, values: Any) -> pa.Array:
    """The inverse of `_flat`."""
    items = values if isinstance(values, pa.Array) else pa.array(values)
    return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), items)


def _with_inputs(rows: pa.Table, seen: Any, inputs: Any, starts: Any) -> pa.Table:
    """The rows with what the model sees now; `edits` goes on with what differs from `seen`."""
    changed = np.flatnonzero(inputs != seen)
    owners = np.searchsorted(starts, changed, side="right") - 1
    fields = (changed - starts[owners], seen[changed], inputs[changed])
    earlier = rows.column("edits").combine_chunks()
    new = pa.StructArray.from_arrays(
        [pa.array(values.astype(np.int32)) for values in fields],
        fields=list(earlier.type.value_type),
    )
    counts = earlier.value_lengths().to_numpy(zero_copy_only=False)
    owners = np.concatenate([np.repeat(np.arange(rows.num_rows), counts), owners])
    edits = pa.concat_arrays([earlier.flatten(), new]).take(
        pa.array(np.argsort(owners, kind="stable"))
    )
    ends = np.cumsum(np.bincount(owners, minlength=rows.num_rows))
    columns = {
        "inputs": _lists(starts, inputs),
        "edits": _lists(np.concatenate([[0], ends]), edits),
    }
    return with_columns(rows, columns, TOKENS)
