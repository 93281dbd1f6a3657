"""Everything that the rest of a training run depends on, as one file that is read back exactly.

Nothing random is in it: the order of the data follows from the position, dropout from seed, step
and micro-batch. What is there is model, optimiser, moving averages, and what was recorded so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from operators.modeling.reports import StepReport, ValidationPoint

STATE_FILE = "training.pt"


class OtherRun(ValueError):
    """A checkpoint that belongs to another run than the one that wants to go on from it."""


@dataclass
class TrainingState:
    """A training run between two steps.

    Attributes:
        step: optimiser steps made.
        position: batches of the data taken; more than `step` where batches were skipped.
        tokens_seen: scored tokens back-propagated.
        workers: how many processes trained together when it was made.
        settings: of the recipe, `TrainingRecipe.settings`.
        data: what the rows are, so that other data is noticed.
        model: parameters and buffers by name.
        optimizer: `torch.optim.Optimizer.state_dict`.
        extras: of what else learns: a moving average of the parameters, counts of tokens.
        spikes: state of the detector of spikes.
        reports: of all steps so far.
        validation: losses measured so far.
    """

    step: int
    position: int
    tokens_seen: int
    workers: int
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    extras: Mapping[str, Any] = field(default_factory=dict)
    spikes: Mapping[str, Any] = field(default_factory=dict)
    reports: list[StepReport] = field(default_factory=list)
    validation: list[ValidationPoint] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `STATE_FILE` into a folder."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("reports", "validation"):
            values[name] = [asdict(entry) for entry in values[name]]
        torch.save(values, Path(folder, STATE_FILE))

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read what `save` wrote; no code in it is run.

        Raises:
            FileNotFoundError: the folder has none.
        """
        path = Path(folder, STATE_FILE)
        if not path.is_file():
            raise FileNotFoundError(f"there is no {STATE_FILE} in {folder}")
        values = torch.load(path, map_location="cpu", weights_only=True)
        values["reports"] = [StepReport(**entry) for entry in values["reports"]]
        values["validation"] = [ValidationPoint(**entry) for entry in values["validation"]]
        return cls(**values)
