"""What a task asks for, what nodes offer, and whether the one ever meets the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MAY_GROW = "TOKENMILL_MAY_GROW"  # set where a cluster adds nodes when they are asked for
NODE_ID = "ray.io/node-id"  # the label that Ray gives every node
_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
SELECTOR = re.compile(
    rf"(?P<not>!?)(?:in\((?P<many>{_VALUE}(?:,\s*{_VALUE})*)\)|(?P<one>{_VALUE}))"
)


@dataclass(frozen=True)
class Needs:
    """What one task asks for: processors, GPUs ("auto": one where there are any), bytes, amounts of
    resources that a cluster names itself, and labels of a node as Ray's selectors (`value`,
    `!value`, `in(a, b)`, `!in(a, b)`). A task with a team asks for `workers` times all of it, at
    once.
    """

    cpus: float = 1.0
    gpus: float | Literal["auto"] = 0.0
    memory: int | None = None
    custom: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1

    def amounts(self) -> dict[str, float]:
        """Amounts by the names that Ray gives them; "auto" asks for none."""
        gpus = 0.0 if self.gpus == "auto" else self.gpus
        least = {"CPU": self.cpus, "GPU": gpus, "memory": float(self.memory or 0), **self.custom}
        return {name: amount for name, amount in least.items() if amount}

    def __str__(self) -> str:
        asked = [f"{amount:g} {name}" for name, amount in self.amounts().items()]
        asked += [f"the label {name}: {value}" for name, value in self.labels.items()]
        return ", ".join(asked) or "nothing"


@dataclass(frozen=True)
class Node:
    """What a node offers: amounts by resource, and its labels."""

    id: str
    amounts: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_gpus(self) -> bool:
        return self.amounts.get("GPU", 0) > 0

    def suits(self, needs: Needs) -> bool:
        """Whether a task of such needs, or one worker of its team, could ever run here."""
        return self.room(needs) > 0

    def room(self, needs: Needs) -> int:
        """How many workers of a team of such needs could ever run here at once."""
        if not all(selects(value, self.labels.get(name)) for name, value in needs.labels.items()):
            return 0
        times = (
            int(self.amounts.get(name, 0) / amount + 1e-9)
            for name, amount in needs.amounts().items()
        )
        return min(times, default=needs.workers)

    def __str__(self) -> str:
        has = [f"{self.amounts.get(name, 0):g} {name}" for name in ("CPU", "GPU", "memory")]
        has += [
            f"{amount:g} {name}"
            for name, amount in sorted(self.amounts.items())
            if name not in ("CPU", "GPU", "memory", "object_store_memory")
            and not name.startswith("node:")
        ]
        has += [
            f"{name}: {value}"
            for name, value in sorted(self.labels.items())
            if not name.startswith("ray.io/node-")
        ]
        return ", ".join(has)


def nodes_of(listed: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes that are alive, of those that `ray.nodes()` lists."""
    return [
        Node(node["NodeID"], node["Resources"], node.get("Labels") or {})
        for node in listed
        if node["Alive"]
    ]


def selects(selector: str, label: str | None) -> bool:
    """Whether a label, None where a node has it not, is what a selector asks for."""
    found = SELECTOR.fullmatch(selector.strip())
    if found is None:
        return False
    many = found["many"]
    values = [found["one"]] if many is None else [value.strip() for value in many.split(",")]
    return (label in values) != bool(found["not"])


def unmet(needs: Needs, nodes: Sequence[Node]) -> str | None:
    """Why no node can ever run such a task, or all of them its team; None where they can."""
    room = sum(node.room(needs) for node in nodes)
    if room >= needs.workers:
        return None
    has = "; ".join(str(node) for node in nodes) or "none is alive"
    if needs.workers > 1:
        return (
            f"it asks for {needs.workers} workers at once, each with {needs}, and there is room "
            f"for {room}; the nodes have: {has}"
        )
    return f"it asks for {needs} a task, and no node has that; the nodes have: {has}"
