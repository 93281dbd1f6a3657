"""The page and the figures of `editing.diagnose`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from stages.editing_diagnostics import Arm

# Perplexities above this share the last bin: human text has a tail without end.
_HIGHEST_PERPLEXITY = 100.0
_BINS = 40
# Points of a frequency curve, evenly spaced on its logarithmic axis.
_POINTS = 60


@dataclass(frozen=True)
class Page:
    """Arms as a report shows them.

    Attributes:
        title: heading.
        arms: measured ones, in order.
        baseline: name of the arm that DSIR weights are to.
        buckets: that n-grams were hashed into.
    """

    title: str
    arms: Sequence[Arm]
    baseline: str
    buckets: int

    def markdown(self) -> str:
        """A table of measures, one of deciles, and the most frequent bigrams of each arm."""
        names = [cell(arm.name) for arm in self.arms]
        measures = list(dict.fromkeys(m for arm in self.arms for m in arm.values))
        shown = [m for m in measures if not m.startswith("probability_decile")]
        lines = [f"# {self.title}", "", f"| measure | {' | '.join(names)} |", _rule(len(names))]
        for measure in shown:
            told = [written(arm.values.get(measure)) for arm in self.arms]
            lines.append(f"| {measure} | {' | '.join(told)} |")
        lines += [
            "",
            f"Entropies in nats, over {self.buckets:,} buckets. DSIR weights are to "
            f"{cell(self.baseline)}: below 0 an arm has n-grams that are rare there.",
        ]
        if any(arm.probabilities is not None for arm in self.arms):
            lines += ["", "## Token probabilities", "",
                      f"| probability | {' | '.join(names)} |", _rule(len(names))]  # fmt: skip
            for decile in range(10):
                told = [
                    f"{arm.values.get(f'probability_decile_{decile}', float('nan')):.1%}"
                    for arm in self.arms
                ]
                bounds = f"{decile / 10:.1f} to {(decile + 1) / 10:.1f}"
                lines.append(f"| {bounds} | {' | '.join(told)} |")
        lines += ["", "## Most frequent bigrams", "", f"| | {' | '.join(names)} |",
                  _rule(len(names))]  # fmt: skip
        for rank in range(max(len(arm.bigrams) for arm in self.arms)):
            told = [
                f"{cell(arm.bigrams[rank][0])} ({arm.bigrams[rank][1]:.2%})"
                if rank < len(arm.bigrams)
                else ""
                for arm in self.arms
            ]
            lines.append(f"| {rank + 1} | {' | '.join(told)} |")
        return "\n".join(lines) + "\n"

    def figures(self) -> dict[str, bytes]:
        """Histogram of perplexities, frequency curves of buckets, deciles: a line an arm."""
        from operators.editing.diagnostics import bucket_counts, frequency_curve
        from operators.plotting import learning_curves

        made = {}
        scored = [arm for arm in self.arms if arm.probabilities is not None]
        if scored:
            edges = np.linspace(0, _HIGHEST_PERPLEXITY, _BINS + 1)
            middles = ((edges[:-1] + edges[1:]) / 2).tolist()
            made["perplexities"] = learning_curves(
                {arm.name: (middles, _histogram(arm, edges)) for arm in scored},
                title="Rows by perplexity under the model",
                xlabel=f"perplexity; {_HIGHEST_PERPLEXITY:g} and above in the last bin",
                ylabel="share of rows",
            )
            places = [(decile + 0.5) / 10 for decile in range(10)]
            made["probabilities"] = learning_curves(
                {
                    arm.name: (
                        places,
                        (arm.probabilities / max(1, arm.probabilities.sum())).tolist(),
                    )
                    for arm in scored
                },
                title="Tokens by their probability under the model",
                xlabel="probability, in deciles",
                ylabel="share of tokens",
            )
        for order, told in ((1, "unigram"), (2, "bigram")):
            series = {}
            for arm in self.arms:
                curve = frequency_curve(bucket_counts(arm.buckets[order], self.buckets))
                series[arm.name] = _logarithmic(curve)
            made[f"{told}_buckets"] = learning_curves(
                series,
                title=f"Buckets of {told}s by their frequency",
                xlabel="rank of the bucket, log10",
                ylabel=f"share of all {told}s, log10",
            )
        return made


def _histogram(arm: Arm, edges: Any) -> list[float]:
    found = arm.of_rows["perplexity"]
    found = found[np.isfinite(found)].clip(max=edges[-1])
    counts, _ = np.histogram(found, edges)
    return [float(count) / max(1, len(found)) for count in counts]


def _logarithmic(curve: Any) -> tuple[list[float], list[float]]:
    """Points of a curve that are evenly spaced by the logarithm of the rank."""
    if not len(curve):
        return [], []
    ranks = np.unique(np.geomspace(1, len(curve), _POINTS).round().astype(int))
    return np.log10(ranks).tolist(), np.log10(curve[ranks - 1]).tolist()


def cell(text: str) -> str:
    """Text as it is, not as a table in Markdown would take it."""
    for sign in "\\`*_|<":
        text = text.replace(sign, "\\" + sign)
    return text.replace("\n", "⏎").replace("\r", "␍")


def written(value: float | None) -> str:
    """A number for people."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4g}"


def _rule(columns: int) -> str:
    return "|---|" + "---|" * columns
