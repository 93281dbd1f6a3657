"""The vocabularies at which all languages pay the same.

After Arnett et al. 2025: token counts of a language fall with its vocabulary as a power of the
size; fitted per language, the law says which size gives a common count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import METRICS
from stages.tokenizer import SMALLEST, Algorithm
from stages.tokenizer_premiums import REFERENCE, counts_of


class FairSizes(Stage):
    """The vocabulary size of each language at which all need the same number of tokens.

    Fits log CTC = log a + b log V for each language and solves for the target. Sizes that a text
    was too small for count with what they reached; a size beyond the largest that was tried is an
    extrapolation, and `extrapolated` says so.
    """

    word = "tokenizer.fair_sizes"

    class Config(StageConfig):
        algorithm: Algorithm = Field("bpe", description="of the tokenizers looked at")
        pretokenizer: str = Field("gpt2", description="of the tokenizers looked at")
        target: Literal["median", "reference"] | float = Field(
            "median",
            description="the common count: that of the median language, or of the reference, at "
            "`at_size`; or a number of tokens",
        )
        at_size: int | None = Field(
            None, ge=SMALLEST, description="size asked for that the target is read at; default the "
            "middle one of those tried"
        )  # fmt: skip
        reference: str = REFERENCE
        smallest: int = Field(SMALLEST, ge=SMALLEST, description="no size is below it")
        largest: int = Field(262_144, ge=SMALLEST, description="no size is above it")
        multiple_of: int = Field(1, ge=1, description="sizes are rounded to a multiple")

        @field_validator("target")
        @classmethod
        def _can_be_reached(cls, target: str | float) -> str | float:
            if isinstance(target, float) and target <= 0:
                raise ValueError("must be > 0 tokens")
            return target

        @field_validator("largest")
        @classmethod
        def _leaves_some(cls, largest: int, info: ValidationInfo) -> int:
            smallest = info.data.get("smallest")
            if smallest is not None and largest < smallest:
                raise ValueError(f"must not be below smallest {smallest}")
            return largest

    inputs = {"measures": Input(Kind.METRICS, "of tokenizer.premiums, at two sizes at least")}
    outputs = {"sizes": Output(Kind.METRICS, "vocab_size and the fit, a row a language and value")}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.plotting import size_laws
        from operators.tokenization.fair_sizes import choose_target, fair_sizes

        config = self.config
        rows = counts_of(inputs["measures"], config.algorithm, config.pretokenizer)
        asked = sorted({row["asked"] for row in rows})
        at_size = config.at_size or asked[(len(asked) - 1) // 2]
        if at_size not in asked:
            raise ValueError(f"at_size is {at_size}, but the sizes that were tried are {asked}")
        tokens: dict[str, dict[int, float]] = {}
        for row in rows:
            tokens.setdefault(row["id"], {})[row["vocab_size"]] = row["value"]
        # A language that did not reach the largest size asked for has no text for a larger one.
        supported = {
            language: max(of) if max(of) < asked[-1] else config.largest
            for language, of in tokens.items()
        }
        target = choose_target(
            {row["id"]: row["value"] for row in rows if row["asked"] == at_size},
            config.target,
            config.reference,
        )
        chosen = fair_sizes(
            tokens,
            target,
            smallest=config.smallest,
            largest={name: min(size, config.largest) for name, size in supported.items()},
            multiple_of=config.multiple_of,
        )
        made = []
        for language, size in chosen.items():
            values = {
                "vocab_size": float(size.vocab_size),
                "wanted": size.wanted,
                "expected_tokens": size.expected_tokens,
                "clamped": float(size.clamped),
                "extrapolated": float(size.extrapolated),
                "a": size.law.a,
                "b": size.law.b,
                "r_squared": size.law.r_squared,
            }
            made += [
                {"id": language, "metric": name, "value": value, "weight": 1.0,
                 "group": f"{config.algorithm} {config.pretokenizer}"}
                for name, value in values.items()
            ]  # fmt: skip
        outputs["sizes"].write(pa.Table.from_pylist(made, METRICS))
        context.metric("target_tokens", target)
        context.metric("clamped", sum(size.clamped for size in chosen.values()))
        context.metric("extrapolated", sum(size.extrapolated for size in chosen.values()))
        context.metric("smallest_r_squared", min(size.law.r_squared for size in chosen.values()))
        context.figure(
            "size_laws",
            size_laws(
                tokens,
                {name: (size.vocab_size, size.expected_tokens) for name, size in chosen.items()},
                target=target,
                title=f"Tokens by vocabulary size, {config.algorithm}, {config.pretokenizer}",
            ),
        )
