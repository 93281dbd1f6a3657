"""What a training run says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    Attributes:
        step: counted from 1.
        loss: plain mean of the samples' mean losses, in nats per token (of all scored tokens
            alike, where the recipe reduces so). The number to compare between runs: a weighted
            loss can fall because the weights moved.
        weighted_loss: what was minimised, in nats per token.
        learning_rate: used in this step.
        gradient_norm: global norm before clipping; NaN where the step was skipped before it.
        tokens_seen: scored tokens since the start.
        effective_sample_size: of the weights of this step, in samples.
        selected_share: tokens with a factor above 0, as a share of the scored ones.
        tokens_per_second: scored tokens of this step over its wall-clock time.
        data_wait_seconds: how long the step waited for its data.
        skipped: whether a spike kept the step from changing the weights.
    """

    step: int
    loss: float
    weighted_loss: float
    learning_rate: float
    gradient_norm: float
    tokens_seen: int
    effective_sample_size: float
    tokens_per_second: float
    selected_share: float = 1.0
    data_wait_seconds: float = 0.0
    skipped: bool = False


@dataclass(frozen=True)
class ValidationPoint:
    """Losses of what is held out, in nats per token, after so many steps."""

    step: int
    losses: Mapping[str, float]


@dataclass(frozen=True)
class TrainingSummary:
    """A finished training run; ``seconds`` and ``tokens_per_second`` alone vary between runs.

    Attributes:
        steps: optimiser steps made.
        tokens_seen: scored tokens that were back-propagated.
        epochs: passes over the sequences, with a fraction.
        first_loss: unweighted loss of the first step (before any update), nats per token.
        final_loss: unweighted loss of the last step, nats per token.
        smallest_effective_sample_size: over all steps, in samples; below half the batch size the
            weighting was too peaky.
        seconds: wall-clock time, of this process since it went on.
        tokens_per_second: over those seconds.
        device: the device that was used.
        data_wait_seconds: how long steps waited for data.
        skipped_steps: steps that spikes kept from changing the weights.
        rolled_back: how often the run went back to a snapshot.
        resumed: what is to be told of the checkpoint that it went on from; empty if it did not.
    """

    steps: int
    tokens_seen: int
    epochs: float
    first_loss: float
    final_loss: float
    smallest_effective_sample_size: float
    seconds: float
    tokens_per_second: float
    device: str
    data_wait_seconds: float = 0.0
    skipped_steps: int = 0
    rolled_back: int = 0
    resumed: tuple[str, ...] = ()
