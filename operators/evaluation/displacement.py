"""Likelihood displacement: preference training that makes the chosen response less likely.

The margin between chosen and rejected grows, and yet the chosen response loses probability: it has
gone to something else, in the worst case to the opposite (Razin et al. 2025). What is said before
and after a training shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from operators.modeling.scoring import score_documents

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Displacement:
    """``n`` pairs under a model before and after its training; log-probabilities in nats.

    Attributes:
        chosen_before: [n], log pi(y+ | x), summed over the tokens of the response.
        chosen_after: [n].
        rejected_before: [n], log pi(y- | x).
        rejected_after: [n].

    Raises:
        ValueError: shapes that differ, or a number that is not finite.
    """

    chosen_before: Floats
    chosen_after: Floats
    rejected_before: Floats
    rejected_after: Floats

    def __post_init__(self) -> None:
        for name in ("chosen_before", "chosen_after", "rejected_before", "rejected_after"):
            values = np.asarray(getattr(self, name), np.float64)
            if values.ndim != 1 or values.shape != np.shape(self.chosen_before):
                raise ValueError(
                    f"{name} has shape {values.shape}, but must be a list as long as chosen_before"
                )
            if not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values)))
                raise ValueError(f"{name}[{row}] is {values[row]}, but must be finite")
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.chosen_before)

    @property
    def chosen_change(self) -> Floats:
        """[n], by how much y+ has become likelier."""
        return self.chosen_after - self.chosen_before

    @property
    def margin_before(self) -> Floats:
        """[n], log pi(y+) - log pi(y-)."""
        return self.chosen_before - self.rejected_before

    @property
    def margin_after(self) -> Floats:
        """[n]."""
        return self.chosen_after - self.rejected_after

    @property
    def margin_change(self) -> Floats:
        """[n], the difference of the log-ratios of the two responses."""
        return self.chosen_change - (self.rejected_after - self.rejected_before)

    @property
    def displaced(self) -> npt.NDArray[np.bool_]:
        """[n], whether y+ is less likely than before (<) although its margin grew (>)."""
        return (self.chosen_change < 0) & (self.margin_change > 0)

    def reward_margin(self, beta: float = 0.1) -> Floats:
        """[n], the margin of DPO's implicit reward, with the model before as its reference."""
        return beta * self.margin_change

    def dpo_loss(self, beta: float = 0.1) -> Floats:
        """[n], ``-log sigma(reward_margin)``."""
        return np.asarray(np.logaddexp(0.0, -self.reward_margin(beta)))


def log_mass(log_probabilities: npt.ArrayLike) -> float:
    """Logarithm of the summed probability of a set of responses; -inf for an empty set."""
    values = np.asarray(log_probabilities, np.float64)
    return float(np.logaddexp.reduce(values)) if values.size else -math.inf


def response_log_probabilities(
    model: torch.nn.Module,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    context_length: int,
    end_of_text: int,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> Floats:
    """log pi(response | prompt), with the end of text that closes the response, [n] in nats.

    As `training.preference` reads a pair: end of text, prompt, response, end of text. What is
    longer than the context is read in windows of which half is new.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        prompts: token ids; may be empty.
        responses: token ids, one for each prompt; may be empty, then the end alone is scored.
        context_length: longest window in tokens, >= 2.
        end_of_text: id.
        batch_size: windows in a forward pass.
        device: "auto", or a torch device.
        threads: CPU threads of torch.

    Raises:
        ValueError: numbers of prompts and responses that differ.
    """
    if len(prompts) != len(responses):
        raise ValueError(f"{len(prompts)} prompts need as many responses, got {len(responses)}")
    scores = score_documents(
        model,
        [[*prompt, *said, end_of_text] for prompt, said in zip(prompts, responses, strict=True)],
        context_length=context_length,
        stride=max(1, context_length // 2),
        bos_token_id=end_of_text,
        batch_size=batch_size,
        device=device,
        threads=threads,
    )
    return np.array(
        [-nats[len(prompt) :].sum() for nats, prompt in zip(scores, prompts, strict=True)],
        np.float64,
    )
