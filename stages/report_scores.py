"""Scores of all arms and seeds, brought into arrays in which rows, seeds and arms are paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stages.contract import Artifact

Scalar = str | int | float | bool
GroupBy = Literal["none", "group", "id"]

# With fewer (<) rows a draw of rows shows nothing: they are taken as they are.
FEW_ROWS = 20


@dataclass(frozen=True)
class Group:
    """The rows that are pooled into one score.

    Attributes:
        name: empty where all rows are one group.
        ids: of the rows.
        values: float64 [arms, seeds, rows].
        weights: float64 [rows]; [arms, seeds, rows] where arms differ in them.
    """

    name: str
    ids: list[str]
    values: Any
    weights: Any

    @property
    def weight(self) -> float:
        """Of all rows, in the mean over arms and seeds."""
        return float(self.weights.sum() / max(1, self.weights[..., 0].size))

    @property
    def alike(self) -> float:
        """How many rows of one weight tell as much as these."""
        weights = self.weights if self.weights.ndim == 1 else self.weights.mean(axis=(0, 1))
        return float(weights.sum() ** 2 / (weights**2).sum())


@dataclass(frozen=True)
class Scores:
    """Scores of all arms on the same rows.

    Attributes:
        arms: label of each arm.
        seeds: value of the replicate axis of each repetition.
        groups: what is compared apart; one where nothing is.
        fixed: whether rows are taken as they are, and not drawn again.
        unlike: a sentence for each row that arms name alike and that is not alike.
    """

    arms: list[str]
    seeds: list[str]
    groups: list[Group]
    fixed: bool
    unlike: list[str]


def arm_label(cell: Mapping[str, Any], replicate_axis: str) -> str:
    """The name of the arm that a matrix cell belongs to: its values off the replicate axis."""
    rest = {axis: value for axis, value in cell.items() if axis != replicate_axis}
    if len(rest) == 1:
        return str(next(iter(rest.values())))
    return ", ".join(f"{axis}={value}" for axis, value in rest.items()) or "all"


def baseline_arm(
    artifacts: Sequence[Artifact],
    wanted: Mapping[str, Scalar],
    replicate_axis: str,
    arms: Sequence[str],
) -> int:
    """Which arm has the matrix values that are wanted of the baseline.

    Raises:
        ValueError: none has them, or several have.
    """
    found = {
        arm_label(artifact.cell, replicate_axis)
        for artifact in artifacts
        if all(str(artifact.cell.get(a)) == str(v) for a, v in wanted.items())
    }
    if len(found) != 1:
        what = "no arm" if not found else f"{len(found)} arms"
        raise ValueError(f"the baseline {dict(wanted)} is {what}; the arms are: {', '.join(arms)}")
    return arms.index(found.pop())


def gather_scores(
    artifacts: Sequence[Artifact],
    replicate_axis: str,
    metric: str,
    *,
    group_by: GroupBy = "none",
    groups: Sequence[str] = (),
    rows: Literal["auto", "drawn", "fixed"] = "auto",
) -> Scores:
    """Bring a metric of all cells into arrays.

    Args:
        group_by: which rows are pooled: all, those of one `group`, or each `id` by itself.
        groups: only these, in this order; all where empty.
        rows: see `operators.evaluation.bootstrap`; auto: fixed where a group has few.

    Raises:
        ValueError: an arm lacks a seed, arms were scored on different rows, or there is no such
            metric or group.
    """
    cells: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    known: set[str] = set()
    for artifact in artifacts:
        table = artifact.table().to_pylist()
        known |= {row["metric"] for row in table}
        seed = str(artifact.cell.get(replicate_axis, ""))
        cells[arm_label(artifact.cell, replicate_axis), seed] = {
            row["id"]: row for row in table if row["metric"] == metric
        }
    if not cells:
        raise ValueError("there are no scores to compare")
    arms = list(dict.fromkeys(arm for arm, _ in cells))
    seeds = list(dict.fromkeys(seed for _, seed in cells))
    lacking = [f"{arm} with seed {seed}" for arm in arms for seed in seeds
               if (arm, seed) not in cells]  # fmt: skip
    if lacking:
        raise ValueError(f"arms must share their seeds; missing: {', '.join(lacking)}")
    first = cells[arms[0], seeds[0]]
    if not first:
        raise ValueError(
            f"the scores hold no {metric}; they hold: {', '.join(sorted(known)) or 'nothing'}"
        )
    members = _members(first, group_by, groups)
    smallest = min(map(len, members.values()))
    fixed = rows == "fixed" or (rows == "auto" and smallest < FEW_ROWS)
    chosen = {id_ for ids in members.values() for id_ in ids}
    _check_alike(cells, first, chosen, sizes=not fixed)
    found = []
    for name, ids in members.items():
        values, weights = (
            np.array([[[cells[arm, seed][id_][column] for id_ in ids] for seed in seeds]
                      for arm in arms], np.float64)
            for column in ("value", "weight")
        )  # fmt: skip
        same = (weights == weights[0, 0]).all()
        found.append(Group(name, ids, values, weights[0, 0] if same else weights))
    return Scores(arms, seeds, found, fixed, _unlike(cells, chosen))


def _members(
    rows: Mapping[str, Mapping[str, Any]], group_by: GroupBy, wanted: Sequence[str]
) -> dict[str, list[str]]:
    """The ids in each group."""
    if group_by == "none":
        return {"": sorted(rows)}
    members: dict[str, list[str]] = {}
    for id_ in sorted(rows, key=lambda name: (len(name), name)):  # "bin 2" before "bin 10"
        members.setdefault(str(rows[id_]["group"]) if group_by == "group" else id_, []).append(id_)
    unknown = [name for name in wanted if name not in members]
    if unknown:
        raise ValueError(
            f'there is no {group_by} "{unknown[0]}" among the scores; there are: '
            + ", ".join(list(members)[:20])
        )
    return {name: members[name] for name in wanted or members}


def _check_alike(
    cells: Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]],
    first: Mapping[str, Mapping[str, Any]],
    chosen: set[str],
    *,
    sizes: bool,
) -> None:
    """All cells have the same rows and, where these are drawn, of the same weight."""
    (base, base_seed), *_ = cells
    for (arm, seed), rows in cells.items():
        differing = sorted((rows.keys() ^ first.keys()) & (chosen | rows.keys())) or [
            id_ for id_ in sorted(chosen) if sizes and rows[id_]["weight"] != first[id_]["weight"]
        ]
        if differing:
            raise ValueError(
                f"{arm} (seed {seed}) was scored on other documents than {base} "
                f'(seed {base_seed}): {len(differing)} differ, such as "{differing[0]}"'
            )


def _unlike(
    cells: Mapping[tuple[str, str], Mapping[str, Mapping[str, Any]]], chosen: set[str]
) -> list[str]:
    """Rows of one id whose group has other names in other arms, as bins with other edges have."""
    said = []
    for id_ in sorted(chosen, key=lambda name: (len(name), name)):
        names = dict.fromkeys(str(rows[id_]["group"]) for rows in cells.values())
        if len(names) > 1:
            said.append(f"{id_} is not the same in all arms: {', '.join(names)}")
    return said
