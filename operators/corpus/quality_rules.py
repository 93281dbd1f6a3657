"""Rules over measured signals: published thresholds, switched on and off and moved one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Side = Literal["low", "high"]


@dataclass(frozen=True)
class Rule:
    """A document is dropped where its `signal` lies below (<) or above (>) the `threshold`.

    A value on the threshold passes, and so does one that is NaN: nothing was measured.
    """

    signal: str
    side: Side
    threshold: float

    @property
    def reason(self) -> str:
        return f"{self.signal}_too_{self.side}"

    def fails(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which values break the rule: bool [n]."""
        return values < self.threshold if self.side == "low" else values > self.threshold


def _rules(low: Mapping[str, float], high: Mapping[str, float]) -> tuple[Rule, ...]:
    return (
        *(Rule(signal, "low", threshold) for signal, threshold in low.items()),
        *(Rule(signal, "high", threshold) for signal, threshold in high.items()),
    )


PRESETS: dict[str, tuple[Rule, ...]] = {
    # Rae et al. 2021 (arXiv 2112.11446), section A1.1, "quality filtering".
    "gopher_quality": _rules(
        {
            "content_words": 50,
            "mean_word_length": 3,
            "alphabetic_word_fraction": 0.8,
            "stop_words": 2,
        },
        {
            "content_words": 100_000,
            "mean_word_length": 10,
            "hash_word_ratio": 0.1,
            "ellipsis_word_ratio": 0.1,
            "bullet_line_fraction": 0.9,
            "ellipsis_line_fraction": 0.3,
        },
    ),
    # The same, table A1, "repetition removal".
    "gopher_repetition": _rules(
        {},
        {
            "duplicate_paragraph_fraction": 0.3,
            "duplicate_paragraph_character_fraction": 0.2,
            "duplicate_line_fraction": 0.3,
            "duplicate_line_character_fraction": 0.2,
            "top_2_gram_fraction": 0.20,
            "top_3_gram_fraction": 0.18,
            "top_4_gram_fraction": 0.16,
            "duplicate_5_gram_fraction": 0.15,
            "duplicate_6_gram_fraction": 0.14,
            "duplicate_7_gram_fraction": 0.13,
            "duplicate_8_gram_fraction": 0.12,
            "duplicate_9_gram_fraction": 0.11,
            "duplicate_10_gram_fraction": 0.10,
        },
    ),
    # Raffel et al. 2020, section 2.2: what drops a page; lines are dropped by `c4_lines`.
    "c4": _rules({"c4_sentences": 5}, {"lorem_ipsum_lines": 0, "curly_bracket_lines": 0}),
    # Penedo et al. 2024 (arXiv 2406.17557), section 3.5, and newlines for each word.
    "fineweb": _rules(
        {"terminal_line_fraction": 0.12},
        {
            "short_line_fraction": 0.67,
            "duplicate_character_fraction": 0.01,
            "newline_word_ratio": 0.3,
        },
    ),
}
PRESETS["gopher"] = PRESETS["gopher_quality"] + PRESETS["gopher_repetition"]


def choose_rules(
    presets: Sequence[str],
    minimum: Mapping[str, float | None],
    maximum: Mapping[str, float | None],
) -> tuple[Rule, ...]:
    """The rules of some presets, with thresholds moved, added, or (None) switched off.

    Rules keep the order of the presets; those added come last, in the order given.

    Raises:
        ValueError: no such preset.
    """
    rules: dict[tuple[str, Side], float | None] = {}
    for preset in presets:
        if preset not in PRESETS:
            raise ValueError(f'there is no preset "{preset}"; there are {", ".join(PRESETS)}')
        rules.update({(rule.signal, rule.side): rule.threshold for rule in PRESETS[preset]})
    rules.update({(signal, "low"): threshold for signal, threshold in minimum.items()})
    rules.update({(signal, "high"): threshold for signal, threshold in maximum.items()})
    return tuple(
        Rule(signal, side, threshold)
        for (signal, side), threshold in rules.items()
        if threshold is not None
    )


def first_failures(
    signals: Mapping[str, npt.NDArray[np.float64]], rules: Sequence[Rule], rows: int
) -> npt.NDArray[np.int64]:
    """For each of `rows` documents the index of the first rule it breaks, or -1: int64 [rows]."""
    found = np.full(rows, -1, np.int64)
    for index, rule in enumerate(rules):
        found[(found < 0) & rule.fails(signals[rule.signal])] = index
    return found
