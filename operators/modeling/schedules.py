"""The learning rate of each step of a run, as a pure function of the step.

Nothing here has a state: a run that goes on from a checkpoint needs only the number of its step.
Steps count optimiser updates from 1, never micro-batches. Every phase reaches its last value at its
last step, and the last step of a run gives `Schedule.end`, to the bit.

Rates other than the peak are shares of it, so that a sweep over the peak keeps the shape.

Sources: Ibrahim et al., "Simple and Scalable Strategies to Continually Pre-train Large Language
Models" (TMLR 2024, arXiv 2403.08763): cosine, re-warming, infinite. Hu et al., "MiniCPM" (2024,
arXiv 2404.06395) and Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed
Training Durations" (2024, arXiv 2405.18392): warm-up, stable, decay, and the shape 1 - sqrt.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

DecayShape = Literal["linear", "sqrt", "cosine"]

# Share of the way that is left at progress x in [0, 1]; exactly 1 and 0 at the ends.
_REMAINING: dict[DecayShape, Callable[[float], float]] = {
    "linear": lambda x: 1 - x,
    "sqrt": lambda x: 1 - math.sqrt(x),
    "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2,
}


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """What all schedules have: a length, a peak, and a linear rise to it.

    Attributes:
        steps: optimiser steps of the run, ``>= 1``.
        peak: the highest learning rate, ``> 0``.
        warmup_steps: steps of the linear rise from 0; the last of them has the peak.
    """

    steps: int
    peak: float
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be >= 1, got {self.steps}")
        if not 0 < self.peak < math.inf:
            raise ValueError(f"peak must be > 0 and finite, got {self.peak}")
        phases = self._phases()
        for name, length in phases.items():
            if length < 0:
                raise ValueError(f"{name} must be >= 0, got {length}")
        if sum(phases.values()) > self.steps:
            told = " + ".join(f"{name} {length}" for name, length in phases.items())
            raise ValueError(
                f"{told} is longer than the run of {self.steps} steps; shorten a phase or the run "
                "never sees its end"
            )

    def at(self, step: int) -> float:
        """Learning rate of ``step``, counted from 1.

        Raises:
            ValueError: a step outside the run. A run that goes on beyond its schedule needs a new
                one: the old end would silently be held.
        """
        if not 1 <= step <= self.steps:
            raise ValueError(
                f"step {step} is outside the schedule of {self.steps} steps; give the run a "
                "schedule of its own length"
            )
        if step <= self.warmup_steps:
            return self._warmup(step)
        return self._after_warmup(step)

    @property
    def end(self) -> float:
        """Learning rate of the last step."""
        return self.at(self.steps)

    def _warmup(self, step: int) -> float:
        return self.peak * step / self.warmup_steps

    @abstractmethod
    def _after_warmup(self, step: int) -> float: ...

    def _phases(self) -> dict[str, int]:
        """Names and lengths of the phases that must fit into the run."""
        return {"warmup_steps": self.warmup_steps}


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The peak, from the end of the warm-up to the end of the run."""

    def _after_warmup(self, step: int) -> float:
        return self.peak


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Warm-up, then half a cosine that is at ``end_ratio`` of the peak at the last step.

    Equal to `operators.modeling.recipe.learning_rate_at` to the bit.

    Attributes:
        end_ratio: rate of the last step as a share of the peak, in ``[0, 1]``.
    """

    end_ratio: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("end_ratio", self.end_ratio)

    def _after_warmup(self, step: int) -> float:
        progress = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        floor = self.end_ratio
        # In the order of `learning_rate_at`: (1 - floor) times the cosine, then the halving.
        return self.peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True, kw_only=True)
class Rewarmed(Cosine):
    """Re-warming and re-decaying, to train a finished model on (Ibrahim et al.).

    The rise begins where the run before ended instead of at 0; then the cosine again. A larger peak
    adapts more and forgets more; without the rise a model adapts badly. ``start_ratio`` 0 is
    `Cosine` to the bit.

    Attributes:
        start_ratio: the rate before the first step as a share of the peak, in ``[0, 1]``.
    """

    start_ratio: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("start_ratio", self.start_ratio)

    def _warmup(self, step: int) -> float:
        missing = (self.warmup_steps - step) / self.warmup_steps
        return super()._warmup(step) + self.peak * self.start_ratio * missing


@dataclass(frozen=True, kw_only=True)
class WarmupStableDecay(Schedule):
    """Warm-up, the peak for as long as there is, and a short decay at the end (WSD).

    Attributes:
        decay_steps: the last steps of the run, in which the rate falls.
        end_ratio: rate of the last step as a share of the peak, in ``[0, 1]``; without
            ``decay_steps`` the run ends at the peak.
        decay: what is left of the way down at progress ``x``: ``linear`` 1 - x, ``sqrt``
            1 - sqrt(x), ``cosine`` (1 + cos(pi x)) / 2.
    """

    decay_steps: int
    end_ratio: float = 0.0
    decay: DecayShape = "sqrt"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("end_ratio", self.end_ratio)
        if self.decay not in _REMAINING:
            raise ValueError(
                f"decay must be one of {', '.join(get_args(DecayShape))}, got {self.decay!r}"
            )

    def _phases(self) -> dict[str, int]:
        return super()._phases() | {"decay_steps": self.decay_steps}

    def _after_warmup(self, step: int) -> float:
        stable_until = self.steps - self.decay_steps
        if step <= stable_until:
            return self.peak
        left = _REMAINING[self.decay]((step - stable_until) / self.decay_steps)
        return self.peak * (self.end_ratio + (1 - self.end_ratio) * left)


@dataclass(frozen=True, kw_only=True)
class Infinite(Schedule):
    """Warm-up, cool-down to a constant rate, that rate for as long as wanted, and an annealing.

    The constant phase is what the run has left. A checkpoint from there goes on without re-warming:
    as ``Infinite(..., warmup_steps=0, cooldown_steps=0)``, or by lengthening ``steps``. Cool-down
    by half a cosine; annealing by ``constant * (end / constant)^x`` with ``x`` from 0 to 1.

    Attributes:
        cooldown_steps: from the peak to the constant rate.
        anneal_steps: the last steps of the run; 0 keeps the constant rate to its end.
        constant_ratio: the constant rate as a share of the peak, in ``(0, 1]``.
        end_ratio: rate of the last step of the annealing as a share of the peak, in ``(0, 1]``.
    """

    cooldown_steps: int
    anneal_steps: int
    constant_ratio: float = 0.55
    end_ratio: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("constant_ratio", "end_ratio"):
            _check_share(name, getattr(self, name))
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must be > 0: an exponential decay never reaches 0")

    def _phases(self) -> dict[str, int]:
        lengths = {"cooldown_steps": self.cooldown_steps, "anneal_steps": self.anneal_steps}
        return super()._phases() | lengths

    def _after_warmup(self, step: int) -> float:
        constant = self.peak * self.constant_ratio
        annealed = step - (self.steps - self.anneal_steps)
        if annealed == self.anneal_steps > 0:
            return self.peak * self.end_ratio  # what the power below gives, but for rounding
        if annealed > 0:
            progress = annealed / self.anneal_steps
            return constant * math.pow(self.end_ratio / self.constant_ratio, progress)
        cooled = step - self.warmup_steps
        if cooled >= self.cooldown_steps:
            return constant
        left = _REMAINING["cosine"](cooled / self.cooldown_steps)
        return constant + (self.peak - constant) * left


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(
    {
        "constant": Constant,
        "cosine": Cosine,
        "rewarmed": Rewarmed,
        "wsd": WarmupStableDecay,
        "infinite": Infinite,
    }
)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")
