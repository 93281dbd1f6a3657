"""What to do when a loss is no number, or jumps: a state machine over the losses of a run.

A loss is a spike when it is above ``median + deviations * MAD`` of the last accepted losses (MAD:
median absolute deviation from the median). Both are robust: neither one wild loss nor the slow fall
of a healthy run moves them much.

The state is plain data and belongs into the checkpoint. Nothing here touches the model; the trainer
asks before it applies the update of a step, and does what the verdict says.

Going back to a checkpoint with the same data would meet the same spike again. Chowdhery et al.
("PaLM", 2022) restart before the spike and leave out the batches around it, which
`SpikeState.rolled_back` remembers.
"""

import math
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Literal, get_args

SpikePolicy = Literal["stop", "skip", "roll_back"]
Action = Literal["go_on", "stop", "skip", "roll_back"]


@dataclass(frozen=True, kw_only=True)
class SpikeRule:
    """When a loss is a spike and what follows.

    Attributes:
        policy: ``stop`` the run; ``skip`` the update of that step; ``roll_back`` to the last
            checkpoint and leave the batches of the spike out.
        window: accepted losses to compare with, ``>= 2``. Before there are so many, only a loss
            that is no number counts.
        deviations: MADs above the median that are still accepted, ``> 0``; ``inf`` accepts every
            finite loss.
        least_rise: nats above the median that are accepted in any case, ``>= 0``: where the losses
            hardly vary, their MAD is next to nothing.
        batches_left_out: after a roll-back, the batch of the spike and those before it.
        limit: the spike with this number stops the run, whatever the policy, ``>= 1``. It bounds
            roll-backs that do not help.
    """

    policy: SpikePolicy = "stop"
    window: int = 64
    deviations: float = 10.0
    least_rise: float = 0.0
    batches_left_out: int = 1
    limit: int = 10

    def __post_init__(self) -> None:
        if self.policy not in get_args(SpikePolicy):
            raise ValueError(
                f"policy must be one of {', '.join(get_args(SpikePolicy))}, got {self.policy!r}"
            )
        checks = {
            "window must be >= 2": self.window >= 2,
            "deviations must be > 0": self.deviations > 0,
            "least_rise must be >= 0": self.least_rise >= 0,
            "batches_left_out must be >= 1": self.batches_left_out >= 1,
            "limit must be >= 1": self.limit >= 1,
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True)
class SpikeState:
    """What must be known of the losses so far.

    Attributes:
        losses: the last accepted ones, oldest first, at most the rule's window.
        spikes: how many there were.
        left_out: steps whose batches are not to be trained on, ascending.
    """

    losses: tuple[float, ...] = ()
    spikes: int = 0
    left_out: tuple[int, ...] = ()

    def rolled_back(self, checkpoint: "SpikeState") -> "SpikeState":
        """The state after a return to a checkpoint that was saved with ``checkpoint``.

        The losses are those of then. The spikes and what is left out are those of now, or the run
        would walk into the same spike for ever.
        """
        return replace(self, losses=checkpoint.losses)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers, for a checkpoint."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "SpikeState":
        """What `to_dict` gave."""
        return cls(
            losses=tuple(saved["losses"]),
            spikes=saved["spikes"],
            left_out=tuple(saved["left_out"]),
        )


@dataclass(frozen=True)
class Verdict:
    """What to do with a step.

    Attributes:
        action: ``go_on`` applies the update; ``skip`` does not, and goes to the next step; ``stop``
            and ``roll_back`` do not either.
        reason: where and why, in one sentence; empty with ``go_on``.
    """

    action: Action
    reason: str = ""


def judge_step(
    rule: SpikeRule, state: SpikeState, step: int, loss: float, gradient_norm: float = 0.0
) -> tuple[SpikeState, Verdict]:
    """Whether to apply the update of a step, and the state after it.

    Args:
        rule: the rule.
        state: after the step before; `SpikeState()` at first.
        step: counted from 1.
        loss: unweighted, in nats; a weighted one jumps when its weights do. Over all ranks, so that
            all come to the same verdict.
        gradient_norm: before clipping, where it is known; counts only when it is not finite.
    """
    reason = _reason(rule, state, loss, gradient_norm)
    if reason is None:
        losses = (*state.losses, loss)[-rule.window :]
        return replace(state, losses=losses), Verdict("go_on")
    reason = f"step {step}: {reason}"
    spikes = state.spikes + 1
    state = replace(state, spikes=spikes)
    if rule.policy != "stop" and spikes >= rule.limit:
        return state, Verdict(
            "stop", f"{reason}; it is spike {spikes}, and the limit is {rule.limit}"
        )
    if rule.policy == "roll_back":
        first = max(1, step - rule.batches_left_out + 1)
        left_out = tuple(sorted({*state.left_out, *range(first, step + 1)}))
        state = replace(state, left_out=left_out)
    return state, Verdict(rule.policy, reason)


def _reason(rule: SpikeRule, state: SpikeState, loss: float, gradient_norm: float) -> str | None:
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(gradient_norm):
        return f"the gradient norm is {gradient_norm} (the loss is {loss:.4f})"
    if len(state.losses) < rule.window:
        return None
    middle = median(state.losses)
    deviation = median(abs(accepted - middle) for accepted in state.losses)
    # Written out, because infinity times a deviation of 0 is no number.
    allowed = math.inf if rule.deviations == math.inf else rule.deviations * deviation
    threshold = middle + max(allowed, rule.least_rise)
    if loss > threshold:
        return (
            f"the loss {loss:.4f} is above {threshold:.4f} (the last {rule.window} losses have the "
            f"median {middle:.4f} and the median deviation {deviation:.4f})"
        )
    return None
