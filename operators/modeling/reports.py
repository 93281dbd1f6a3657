"""What a training run says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepReport:
    """One optimiser step.

    Attributes:
        step: counted from 1.
        loss: plain mean of the samples' mean losses, in nats per token. The number to compare
            between runs: a weighted loss can fall because the weights moved.
        weighted_loss: what was minimised, in nats per token.
        learning_rate: used in this step.
        gradient_norm: global norm before clipping.
        tokens_seen: scored tokens since the start.
        effective_sample_size: of the weights of this step, in samples.
        tokens_per_second: scored tokens of this step over its wall-clock time.
    """

    step: int
    loss: float
    weighted_loss: float
    learning_rate: float
    gradient_norm: float
    tokens_seen: int
    effective_sample_size: float
    tokens_per_second: float


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
        seconds: wall-clock time.
        tokens_per_second: ``tokens_seen / seconds``.
        device: the device that was used.
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
