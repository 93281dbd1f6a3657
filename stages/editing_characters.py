"""What words are made of: spelling noise, and examples that teach a model to spell its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import field_validator

from stages.contract import (
    Context,
    Field,
    Input,
    Kind,
    Output,
    RowStage,
    Sink,
    Stage,
    StageConfig,
)
from stages.kinds import DOCUMENTS
from stages.tokenizer_files import load_tokenizer

# What an example is made of, beside the whole in `text`.
EXAMPLES = pa.schema(
    [*DOCUMENTS, ("instruction", pa.string()), ("input", pa.string()), ("target", pa.string())]
)


class Perturb(RowStage):
    """Misspell a share of the words, or of the letters, of each text; its label stays.

    Digits, URLs, e-mail addresses, code and markup are never touched. What happens to a text
    follows from its id, the seed and the kind; at a higher rate all that was misspelled at a lower
    one still is. `distance` is the Levenshtein distance from the text as it was, in code points.
    """

    word = "editing.perturb"

    class Config(StageConfig):
        kind: Literal[
            "swap", "delete", "insert", "neighbour", "case", "permute", "upper",
            "replace_characters", "delete_characters",
        ] = Field(
            "swap", description="of words: swap, delete, insert, neighbour (a key beside the right "
            "one), case, permute, upper; of letters: replace_characters, delete_characters",
        )  # fmt: skip
        rate: float = Field(
            0.1, ge=0, le=1, description="share of eligible words, or letters; 0 changes nothing"
        )
        protected: str | None = Field(
            None, description="regex of what is never touched; default: URLs, addresses, code, "
            'markup and whatever holds a digit; "" is digits only',
        )  # fmt: skip
        seed: int = Field(0, description="of the draws; each row has a stream of its own")

        @field_validator("protected")
        @classmethod
        def _compiles(cls, protected: str | None) -> str | None:
            import regex

            try:
                regex.compile(protected or "")
            except regex.error as error:
                raise ValueError(f"is no regex: {error}") from error
            return protected

    inputs = {"documents": Input(Kind.DOCUMENTS, "any documents")}
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows, misspelled; with `distance`")}
    conserves = ("documents", ("documents",))

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.perturbations import PROTECTED, perturb_texts

        config = self.config
        done = perturb_texts(
            rows.column("text").to_pylist(),
            rows.column("id").to_pylist(),
            kind=config.kind,
            rate=config.rate,
            seed=config.seed,
            protected=PROTECTED if config.protected is None else config.protected,
        )
        context.count("eligible", int(done.eligible.sum()))
        context.count("drawn", int(done.drawn.sum()))
        context.count("changed", int(done.changed.sum()))
        context.count("edits", int(done.distances.sum()))
        context.count("characters", int(done.lengths.sum()))
        edits = [
            [*earlier, f"{config.kind} of {changed}"] if changed else earlier
            for earlier, changed in zip(
                rows.column("edits").to_pylist(), done.changed.tolist(), strict=True
            )
        ]
        columns = {
            "text": pa.array(done.texts, pa.string()),
            "edits": pa.array(edits, DOCUMENTS.field("edits").type),
        }
        for name, column in columns.items():
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
        distances = pa.array(done.distances, pa.int64())
        if "distance" in rows.column_names:
            place = rows.schema.get_field_index("distance")
            return rows.set_column(place, "distance", distances)
        return rows.append_column("distance", distances)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        eligible, characters = counts.get("eligible", 0), counts.get("characters", 0)
        shares = {}
        if eligible:
            shares = {f"{name}_share": counts[name] / eligible for name in ("drawn", "changed")}
        return shares | ({"edit_rate": counts["edits"] / characters} if characters else {})


class Tipa(Stage):
    """TIPA: each token of a vocabulary as an example that lists its characters, last one first.

    Xu et al. 2025 (ACL). "Hi" becomes {"2":"i","1":"H"}. Special tokens, parts of characters and
    white space give no example. With documents a share of them becomes examples too (MTIPA); which,
    follows from their ids and the seed. Mix the examples with the data of the task.
    """

    word = "editing.tipa"

    class Config(StageConfig):
        instruction: str | None = Field(
            None, description="what every example asks for; default: one with an example in it"
        )
        reverse: bool = Field(
            True, description="last character first, so that the length is said at once"
        )
        share: float = Field(0.001, ge=0, le=1, description="of the documents, in expectation")
        longest: int = Field(
            999, ge=1, description="characters that are kept of a document, from its beginning"
        )
        seed: int = Field(0, description="of the choice of documents")

    inputs = {
        "tokenizer": Input(Kind.TOKENIZER, "whose tokens are spelled"),
        "documents": Input(Kind.DOCUMENTS, "sentences of the task, one a row", optional=True),
    }
    outputs = {
        "documents": Output(
            Kind.DOCUMENTS, "text: instruction, input and target, a line each; and each by itself"
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.tokenization.tipa import INSTRUCTION, mtipa_rows, tipa_rows

        config = self.config
        asked = INSTRUCTION if config.instruction is None else config.instruction
        tokenizer = load_tokenizer(inputs["tokenizer"])
        made = tipa_rows(tokenizer, instruction=asked, reverse=config.reverse)
        outputs["documents"].write(_examples(made, ["und"] * made.num_rows, "vocabulary"))
        context.metric("tokens", made.num_rows)
        context.metric("tokens_left_out", len(tokenizer.tokens) - made.num_rows)
        if "documents" not in inputs:
            return
        sentences = done = 0
        for batch in inputs["documents"].batches():
            ids = batch.column("id").to_pylist()
            languages = dict(zip(ids, batch.column("language").to_pylist(), strict=True))
            made = mtipa_rows(
                batch.column("text").to_pylist(),
                ids,
                share=config.share,
                longest=config.longest,
                instruction=asked,
                reverse=config.reverse,
                seed=config.seed,
            )
            if made.num_rows:
                spoken = [languages[id_] for id_ in made.column("id").to_pylist()]
                outputs["documents"].write(_examples(made, spoken, "document"))
            sentences += made.num_rows
            done += batch.num_rows
            context.progress(done, inputs["documents"].rows, "documents")
        context.metric("sentences", sentences)


def _examples(made: pa.Table, languages: list[str], source: str) -> pa.Table:
    """Rows of `EXAMPLES` from those of the operator."""
    rows = [
        {
            "id": f"tipa:{row['id']}",
            "text": f"{row['instruction']}\n{row['text']}\n{row['target']}",
            "language": language,
            "source": f"tipa://{source}",
            "group": None,
            "edits": [],
            "instruction": row["instruction"],
            "input": row["text"],
            "target": row["target"],
        }
        for row, language in zip(made.to_pylist(), languages, strict=True)
    ]
    return pa.Table.from_pylist(rows, EXAMPLES)
