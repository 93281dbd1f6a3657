"""Examples in another form: read twice, answered with edits, or with fewer words of reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import field_validator

from stages.compute_settings import ComputeSettings
from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.editing_characters import EXAMPLES
from stages.editing_structure import with_columns
from stages.tokenizer_files import end_of_text_id, load_tokenizer

_INSTRUCTIONS = {
    "spans": 'Correct the sentence. Answer with edits (start,end,"words") that replace its words '
    "from start to before end, counted from 0, or with None.",
    "text": "Correct the sentence.",
}


class Repeat(RowStage):
    """Just Read Twice: the prompt says its context and its question again.

    Arora et al. 2024 (arXiv 2407.05483), for models of fixed memory. `longest` cuts each context
    around its answer first, so that prompts are compared at one length of a single copy.
    """

    word = "editing.repeat"

    class Config(StageConfig):
        context: str = Field("input", description="column with what is to be read")
        question: str = Field("instruction", description="column with what is asked about it")
        answer: str | None = Field(
            "target", description="column with the answer, which ends the text; null: none"
        )
        times: int = Field(2, ge=1, description="how often both are said; 1 is the plain prompt")
        question_first: bool = Field(
            False, description="question, context, question, context instead of the reverse"
        )
        separator: str = Field("\n", description="between the parts")
        longest: int | None = Field(
            None, ge=1, description="tokens of the context kept around the answer; needs tokenizer"
        )

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "examples with these columns"),
        "tokenizer": Input(Kind.TOKENIZER, "counts the tokens of `longest`", optional=True),
    }
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "the same rows; the context column has the repetition")
    }
    conserves = ("documents", ("documents",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(inputs["tokenizer"]) if "tokenizer" in inputs else None
        if self.config.longest is not None and self.tokenizer is None:
            raise ValueError("longest counts tokens: wire a tokenizer, or leave longest out")

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        config = self.config
        names = [config.context, config.question, *([config.answer] if config.answer else [])]
        columns = _columns(rows, names)
        answers = columns[2] if config.answer else [""] * rows.num_rows
        texts, contexts, edits = (
            rows.column(name).to_pylist() for name in ("text", config.context, "edits")
        )
        for row, (passage, question, answer) in enumerate(zip(*columns[:2], answers, strict=True)):
            kept = self._cut(passage, answer, context) if config.longest else passage
            contexts[row], text = self._prompt(kept, question)
            if config.answer:
                text = f"{text}{config.separator}{answer}"
            context.count("eligible", bool(passage))
            context.count("drawn", config.times > 1)
            context.count("changed", text != texts[row])
            context.count("characters_once", len(kept))
            context.count("characters", len(contexts[row]))
            if kept != passage:
                edits[row].append(f"context cut to {config.longest} tokens")
            if config.times > 1:
                edits[row].append(f"context and question said {config.times} times")
            texts[row] = text
        return with_columns(rows, {"text": texts, config.context: contexts, "edits": edits})

    def _prompt(self, passage: str, question: str) -> tuple[str, str]:
        """The context with its repetitions, and the whole prompt."""
        from operators.editing.repetition import repeat_context

        config = self.config
        repeated = repeat_context(passage, question, times=config.times, separator=config.separator)
        parts = (question, repeated) if config.question_first else (repeated, question)
        return repeated, config.separator.join(parts)

    def _cut(self, passage: str, answer: str, context: Context) -> str:
        from operators.editing.repetition import cut_around

        assert self.tokenizer is not None
        pieces = _texts_of_tokens(self.tokenizer, passage)
        kept, found = cut_around(passage, answer, self.config.longest, pieces)
        context.count("cut", kept != passage)
        context.count("answers_not_found", not found)
        return kept

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        once = counts.get("characters_once", 0)
        return {"length_factor": counts["characters"] / once} if once else {}


class Spans(RowStage):
    """Edit spans: pairs of texts as examples whose target says only what changes.

    Kaneko and Okazaki 2023 (EMNLP). "he go to school" becomes (1,2,"goes") (3,3,"a"). Words are
    divided by white space, in the input as in the edits. `form: text` gives the same examples
    with the whole target, to compare with.
    """

    word = "editing.spans"

    class Config(StageConfig):
        form: Literal["spans", "text"] = Field(
            "spans", description="the target: edits, or the whole text"
        )
        instruction: str | None = Field(
            None, description="what every example asks for; default: a correction in this form"
        )

    inputs = {"bitext": Input(Kind.BITEXT, "texts as they are, and as they should be")}
    outputs = {
        "documents": Output(
            Kind.DOCUMENTS, "text: instruction, input and target, a line each; and each by itself"
        )
    }

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.edit_spans import extract_edits, format_edits

        config = self.config
        instruction = config.instruction or _INSTRUCTIONS[config.form]
        made = []
        for row in rows.to_pylist():
            source, target = row["source_text"].split(), row["target_text"].split()
            edits = extract_edits(source, target)
            whole, spans = " ".join(target), format_edits(edits)
            context.count("eligible", 1)
            context.count("changed", bool(edits))
            context.count("edits", len(edits))
            context.count("characters_of_spans", len(spans))
            context.count("characters_of_text", len(whole))
            made.append(
                {
                    "id": row["id"],
                    "language": row["target_language"],
                    "source": row["id"],
                    "group": row["group"],
                    "edits": row["edits"],
                    **_example(instruction, " ".join(source), spans
                               if config.form == "spans" else whole),
                }
            )  # fmt: skip
        return pa.Table.from_pylist(made, EXAMPLES)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        whole = counts.get("characters_of_text", 0)
        return {"length_share": counts["characters_of_spans"] / whole} if whole else {}


class Skip(RowStage):
    """TokenSkip: of the reasoning in each target, the share gamma of the words, by importance.

    Xia et al. 2025 (arXiv 2502.12067). Gamma is drawn for each row and told in its input. A word
    is as important as it is surprising to a causal model that has read the prompt; the authors take
    LLMLingua-2. Numbers and the words of `forced` always stay.
    """

    word = "editing.skip"
    libraries = ("torch", "transformers")

    class Config(ComputeSettings):
        gammas: list[float] = Field(
            [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], min_length=1,
            description="shares of the words to keep; one is drawn for each row, 1 changes nothing",
        )  # fmt: skip
        forced: list[str] = Field(["Step", ":"], description="words that always stay")
        keep_numbers: bool = Field(True, description="whatever holds a digit stays")
        drop_repeats: bool = Field(
            False, description="of forced words that come to stand side by side one stays"
        )
        answer_mark: str | None = Field(
            None, description='from its last place on, the target stays whole: "####"; null: none'
        )
        delimiter: str = Field(
            "<|eot_id|>", description="stands before and behind gamma, at the end of the input"
        )
        seed: int = Field(0, description="of the draw of gamma; each row has its own")

        @field_validator("gammas")
        @classmethod
        def _are_shares(cls, gammas: list[float]) -> list[float]:
            for gamma in gammas:
                if not 0 < gamma <= 1:
                    raise ValueError(f"{gamma:g} is no share of the words: 0 < gamma <= 1")
            return gammas

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "examples with instruction, input and target"),
        "model": Input(Kind.MODEL, "whose surprise is a word's importance; with its tokenizer"),
    }
    outputs = {"documents": Output(Kind.DOCUMENTS, "the same rows; with `gamma` and `kept_share`")}
    conserves = ("documents", ("documents",))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        from operators.modeling import load_model

        self.model = load_model(str(inputs["model"].folder()), device=self.config.device)
        self.tokenizer = load_tokenizer(inputs["model"])
        self.end_of_text = end_of_text_id(self.tokenizer)

    def apply(self, rows: pa.Table, context: Context) -> pa.Table:
        from operators.editing.skipping import compress, draw_gamma, word_spans

        config = self.config
        instructions, inputs, targets = _columns(rows, ["instruction", "input", "target"])
        texts, edits = rows.column("text").to_pylist(), rows.column("edits").to_pylist()
        gammas, kept_shares = [], []
        for row, name in enumerate(rows.column("id").to_pylist()):
            gamma = draw_gamma(name, config.gammas, config.seed)
            reasoning, answer = _divided(targets[row], config.answer_mark)
            words = kept = len(word_spans(reasoning))
            if gamma < 1 and words:
                prompt = f"{instructions[row]}\n{inputs[row]}\n"
                made = compress(
                    reasoning,
                    self._importances(prompt, reasoning),
                    gamma,
                    forced=config.forced,
                    keep_numbers=config.keep_numbers,
                    drop_repeats=config.drop_repeats,
                )
                kept = made.kept
                inputs[row] += f"{config.delimiter}{gamma:g}{config.delimiter}"
                targets[row] = made.text + answer
                texts[row] = _example(instructions[row], inputs[row], targets[row])["text"]
                edits[row].append(f"skipped {words - kept} of {words} words at gamma {gamma:g}")
            gammas.append(gamma)
            kept_shares.append(kept / words if words else 1.0)
            context.count("eligible", words > 0)
            context.count("drawn", words > 0 and gamma < 1)
            context.count("changed", kept < words)
            context.count("words", words)
            context.count("kept_words", kept)
            context.count("asked_words", int(gamma * words + 0.5))
        return with_columns(
            rows,
            {
                "text": texts, "edits": edits, "input": inputs, "target": targets,
                "gamma": gammas, "kept_share": kept_shares,
            },
        )  # fmt: skip

    def _importances(self, prompt: str, reasoning: str) -> Any:
        """The surprisal of each word of the reasoning, behind its prompt."""
        from operators.editing.skipping import word_importances
        from operators.modeling import score_documents

        config = self.config
        length = int(self.model.config.max_position_embeddings)
        before, ids = self.tokenizer.encode(prompt), self.tokenizer.encode(reasoning)
        # A row by itself: in a batch, the last bits of its losses would depend on the others.
        (losses,) = score_documents(
            self.model,
            [[*before, *ids]],
            context_length=length,
            stride=max(1, length // 2),
            bos_token_id=self.end_of_text,
            batch_size=1,
            device=config.device,
            threads=config.threads,
        )
        pieces = [self.tokenizer.tokens[number] for number in ids]
        return word_importances(losses[len(before) :], pieces, reasoning)

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        words = counts.get("words", 0)
        if not words:
            return {}
        return {
            "kept_share": counts["kept_words"] / words,
            "asked_share": counts["asked_words"] / words,
        }


def _example(instruction: str, given: str, target: str) -> dict[str, str]:
    """The columns of an example that hold its text."""
    text = f"{instruction}\n{given}\n{target}"
    return {"text": text, "instruction": instruction, "input": given, "target": target}


def _columns(rows: pa.Table, names: Sequence[str]) -> list[list[str]]:
    """Columns of texts; a text that is missing is empty.

    Raises:
        ValueError: there is no such column.
    """
    for name in names:
        if name not in rows.column_names:
            raise ValueError(
                f'these documents have no column "{name}", only {", ".join(rows.column_names)}: '
                "give examples, such as editing.spans and editing.tipa make, or name another column"
            )
    return [[text or "" for text in rows.column(name).to_pylist()] for name in names]


def _divided(target: str, mark: str | None) -> tuple[str, str]:
    """What may be compressed, and the answer behind it."""
    place = target.rfind(mark) if mark else -1
    return (target, "") if place < 0 else (target[:place], target[place:])


def _texts_of_tokens(tokenizer: Any, text: str) -> list[str]:
    """The text in pieces of a token each; tokens that share a character are one piece.

    Raises:
        ValueError: the tokens do not spell the text.
    """
    pieces: list[str] = []
    waiting = b""
    for number in tokenizer.encode(text):
        waiting += tokenizer.tokens[number]
        try:
            pieces.append(waiting.decode())
        except UnicodeDecodeError:
            continue
        waiting = b""
    if "".join(pieces) != text:
        raise ValueError(
            "the tokens of this tokenizer do not spell the context byte for byte: leave longest "
            "out, or take a byte-level tokenizer"
        )
    return pieces
