"""Examples as tokens: what is asked, and the answer, which alone is learnt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pydantic import field_validator

from stages.contract import Context, Field, Input, Kind, Output, RowStage, StageConfig
from stages.kinds import DROPPED, TOKENS
from stages.tokenizer_files import end_of_text_id, load_tokenizer

# What sequences of examples have beside those of text: which tokens are targets.
EXAMPLE_TOKENS = pa.schema([*TOKENS, ("scored", pa.list_(pa.bool_()))])

_SLOT = re.compile(r"\{(\w+)\}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SLOTS = ("instruction", "input")


class Examples(RowStage):
    """Encode examples for supervised fine-tuning: a row an example, of which the answer is scored.

    A row is the end-of-text token, the prompt, the target and the end-of-text token again; target
    and end are scored. Prompt and target are encoded each by itself, so that no token crosses the
    border: in use a model is given the prompt's own tokens, and must go on from just those.
    """

    word = "tokenizer.examples"
    libraries = ("tokenizers",)

    class Config(StageConfig):
        template: str = Field(
            "{instruction}\n{input}\n", description="the prompt; a line whose slots are all empty "
            "is left out",
        )  # fmt: skip
        max_length: int = Field(
            512, ge=2, description="tokens of an example, both ends included; a longer one is "
            "dropped, never cut",
        )  # fmt: skip

        @field_validator("template")
        @classmethod
        def _has_slots(cls, template: str) -> str:
            found = _SLOT.findall(template)
            for name in found:
                if name not in _SLOTS:
                    raise ValueError(
                        f"has {{{name}}}, but only {{instruction}} and {{input}} are filled in"
                    )
            if not found:
                raise ValueError("has neither {instruction} nor {input}: every prompt is the same")
            return template

    inputs = {
        "documents": Input(Kind.DOCUMENTS, "examples with instruction, input and target"),
        "tokenizer": Input(Kind.TOKENIZER, "what encodes them"),
    }
    outputs = {
        "tokens": Output(Kind.TOKENS, "a row an example; `scored` says which tokens are targets"),
        "dropped": Output(Kind.DROPPED, "the examples that are longer, with their tokens counted"),
    }
    conserves = ("documents", ("tokens", "dropped"))

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(inputs["tokenizer"])
        self.end_of_text = end_of_text_id(self.tokenizer)

    def apply(self, rows: pa.Table, context: Context) -> Mapping[str, pa.Table]:
        instructions, given, targets = (_texts(rows, n) for n in (*_SLOTS, "target"))
        prompts = self.tokenizer.encode_batch(
            [
                filled(self.config.template, instruction=instruction, input=text)
                for instruction, text in zip(instructions, given, strict=True)
            ]
        )
        answers = self.tokenizer.encode_batch(targets)
        made, dropped = [], []
        columns = (rows.column(name).to_pylist() for name in ("id", "source", "text"))
        for name, source, text, prompt, answer in zip(*columns, prompts, answers, strict=True):
            tokens = [self.end_of_text, *prompt, *answer, self.end_of_text]
            if len(tokens) > self.config.max_length:
                dropped.append(
                    {"id": name, "source": source, "reason": "longer_than_max_length",
                     "value": float(len(tokens)), "text": text}
                )  # fmt: skip
                continue
            answered = len(answer) + 1
            made.append(
                {"id": name, "tokens": tokens, "documents": [name], "starts": [0], "edits": [],
                 "scored": [False] * (len(tokens) - answered) + [True] * answered}
            )  # fmt: skip
            context.count("tokens", len(tokens))
            context.count("scored_tokens", answered)
        context.count("examples", len(made))
        context.count("dropped", len(dropped))
        return {
            "tokens": pa.Table.from_pylist(made, EXAMPLE_TOKENS),
            "dropped": pa.Table.from_pylist(dropped, DROPPED),
        }

    def summary(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        tokens, examples = counts.get("tokens", 0), counts.get("examples", 0)
        if not examples:
            return {}
        return {
            "tokens_per_example": tokens / examples,
            "scored_share": counts["scored_tokens"] / tokens,
        }


def filled(template: str, **slots: str) -> str:
    """The template with its slots filled; a line whose slots are all empty is left out.

    What a slot is filled with is not looked at again: braces in it are text.
    """
    lines = []
    for line in _LINE.findall(template):
        names = _SLOT.findall(line)
        if not names or any(slots[name] for name in names):
            lines.append(_SLOT.sub(lambda match: slots[match[1]], line))
    return "".join(lines)


def _texts(rows: pa.Table, name: str) -> list[str]:
    """A column of texts; a text that is missing is empty.

    Raises:
        ValueError: there is no such column, or a target is missing.
    """
    if name not in rows.column_names:
        raise ValueError(
            f'these documents have no column "{name}", only {", ".join(rows.column_names)}: give '
            "examples, such as editing.tipa, editing.spans and editing.skip make"
        )
    texts = rows.column(name).to_pylist()
    if name == "target" and None in texts:
        row_id = rows.column("id")[texts.index(None)].as_py()
        raise ValueError(f"row {row_id} has no target: an example needs an answer to learn")
    return [text or "" for text in texts]
