"""What the histories of the trainings tell a comparison: learning curves, and what arms cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stages.contract import Artifact
from stages.report_page import Draw
from stages.report_scores import arm_label

# What a training may cost, as its history says it, and how a figure calls it.
COSTS = {
    "tokens_seen": "tokens seen in training",
    "flops": "FLOPs of training",
    "seconds": "seconds of training",
}


def curves_of(
    histories: Sequence[Artifact], metric: str, replicate_axis: str
) -> dict[str, list[dict[int, float]]]:
    """The values of a metric by step, of each training of each arm; without those that lack it."""
    found: dict[str, list[dict[int, float]]] = {}
    for artifact in histories:
        points = {
            int(row["id"]): float(row["value"])
            for row in artifact.table().to_pylist()
            if row["metric"] == metric
        }
        if points:
            found.setdefault(arm_label(artifact.cell, replicate_axis), []).append(points)
    return found


def costs(histories: Sequence[Artifact], replicate_axis: str) -> dict[str, dict[str, list[float]]]:
    """What each training had cost at its last step, by cost and arm."""
    found = {}
    for metric in COSTS:
        of_arms = curves_of(histories, metric, replicate_axis)
        if of_arms:
            found[metric] = {
                arm: [points[max(points)] for points in runs] for arm, runs in of_arms.items()
            }
    return found


def learning_curves(histories: Sequence[Artifact], replicate_axis: str) -> Draw | None:
    """Draws the loss of every arm while it learns: mean of the seeds, band from lowest to highest.

    Losses of single steps are noise; what is shown is their running mean over a 25th of the steps.
    """
    from operators.plotting.curve_panels import Band, curve_panels

    bands = {}
    for arm, runs in curves_of(histories, "loss", replicate_axis).items():
        steps = sorted(set.intersection(*(set(run) for run in runs)))
        if not steps:
            continue
        width = max(1, len(steps) // 25)
        kernel = np.ones(width) / width
        smooth = np.array(
            [np.convolve([run[step] for step in steps], kernel, mode="valid") for run in runs]
        )
        bands[arm] = Band(
            steps[width - 1 :],
            smooth.mean(axis=0).tolist(),
            smooth.min(axis=0).tolist(),
            smooth.max(axis=0).tolist(),
        )
    if not bands:
        return None
    return partial(
        curve_panels,
        {"nats a token (unweighted), running mean": bands},
        title="Training loss: mean over seeds, lowest to highest",
        xlabel="step",
    )


def pareto(
    spent: Mapping[str, Mapping[str, Sequence[float]]],
    scores: Mapping[str, tuple[float, float, float]],
    *,
    quality: str,
    better: Any,
) -> Draw | None:
    """Draws quality against each cost in which arms differ; None where they cost the same.

    Args:
        spent: as from `costs`.
        scores: difference of each arm to the baseline, with the ends of its interval: what all
            arms have in common would hide what they differ in.
        quality: what is on the other axis, with its unit.
        better: which way it is better.
    """
    from operators.plotting.pareto_plot import ParetoPoint, pareto_panels

    panels = {}
    for metric, of_arms in spent.items():
        means = {arm: float(np.mean(values)) for arm, values in of_arms.items() if arm in scores}
        if len(means) > 1 and max(means.values()) > 1.001 * min(means.values()):
            panels[COSTS[metric]] = [
                ParetoPoint(arm, cost, *scores[arm]) for arm, cost in means.items()
            ]
    if not panels:
        return None
    return partial(
        pareto_panels, panels, title="Quality against cost", ylabel=quality, better=better
    )
