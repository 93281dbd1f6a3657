"""What makes arms unlike in a way that their scores do not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.contract import Artifact
from stages.report_metrics import Measure
from stages.report_scores import arm_label

# Arms that saw less than this share more or fewer tokens than another saw as many.
SAME_TOKENS = 0.01


def tokenizer_warning(digests: Mapping[str, Sequence[str]], measure: Measure) -> str:
    """That arms have other tokenizers, and what can be compared then; empty where they do not."""
    if len({tuple(sorted(set(found))) for found in digests.values()}) < 2:
        return ""
    told = "The arms have different tokenizers, and a token is not the same thing in all of them: "
    if measure.by_token:
        return f"{told}{measure.title} cannot be compared, only what is counted by bytes can."
    return f"{told}losses by token, as in the learning curves, cannot be compared; bytes can."


def tokens_warning(seen: Mapping[str, Sequence[float]]) -> str:
    """That arms were trained on more tokens than others; empty where they were not.

    Args:
        seen: of each arm, the tokens back-propagated in each of its trainings.
    """
    means = {arm: float(np.mean(values)) for arm, values in seen.items() if len(values)}
    if len(means) < 2 or max(means.values()) <= (1 + SAME_TOKENS) * min(means.values()):
        return ""
    told = ", ".join(f"{arm} {mean:,.0f}" for arm, mean in means.items())
    return (
        f"The arms saw different numbers of tokens in training ({told}): a difference may be that "
        "of the amount, and not of the method."
    )


def contamination_warnings(
    found: Sequence[Artifact], arms: Mapping[str, Mapping[str, Any]], replicate_axis: str
) -> list[str]:
    """That arms were trained on text of the evaluation; empty where none is known to be.

    Args:
        found: documents of the training data that repeat evaluation texts, as
            `corpus.decontaminate` drops them; of all arms, or of those that the cell says.
        arms: the cell of each arm.
    """
    counts = dict.fromkeys(arms, 0)
    held: dict[str, set[str]] = {arm: set() for arm in arms}
    for artifact in found:
        cell = {axis: value for axis, value in artifact.cell.items() if axis != replicate_axis}
        rows = artifact.table()
        repeated = [row for row in rows.to_pylist() if row["reason"] == "contaminated"]
        for arm, values in arms.items():
            if all(str(values.get(axis)) == str(value) for axis, value in cell.items()):
                counts[arm] += len(repeated)
                held[arm] |= {row["found_in"] for row in repeated if row.get("found_in")}
    if not any(counts.values()):
        return []
    told = ", ".join(
        f"{arm} {counts[arm]}" + (f" (of {len(held[arm])} evaluation texts)" if held[arm] else "")
        for arm in arms
    )
    said = [f"Training documents that repeat evaluation texts: {told}."]
    if len(set(counts.values())) > 1:
        said.append(
            "The arms differ in it: one that has seen the answers is better on them for that alone."
        )
    return said


def arm_cells(artifacts: Sequence[Artifact], replicate_axis: str) -> dict[str, Mapping[str, Any]]:
    """The matrix cell of each arm, of one of its repetitions."""
    return {arm_label(artifact.cell, replicate_axis): artifact.cell for artifact in artifacts}
