"""ReAGent: how much each token of a context matters for the token that a model says next.

Zhao and Shan 2024 (ReAGent, "recursive attribution generator"). A share of the context is replaced
again and again; where that makes the target less probable, the replaced tokens gain and the others
lose, where it makes it more probable, the other way round. The model is only asked for
probabilities: no gradients, no attention.

Which positions are replaced does not depend on what was found so far. So many updates go through
the model at once here, and give what they would give one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from operators.editing.row_draws import row_generator
from operators.evaluation.replacements import Replacement, ReplacementSampler
from operators.modeling.execution import inference, next_token_logits

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# A change of 1 has an infinite logit.
_LARGEST_CHANGE = 1 - 1e-6


@dataclass(frozen=True)
class ReagentRule:
    """How long is replaced, and how much.

    A run stops after an update where the target is among the `top_k` most probable tokens although
    all but the `rationale` most important ones were replaced. A rationale of the whole context
    says nothing, and stops nothing.

    Attributes:
        replaced_share: of the positions, at each update; at least one is replaced. The authors:
            0.1 to 0.3.
        rationale: tokens that are kept to ask whether to stop, >= 1.
        top_k: 0 never stops before `max_updates`. The authors: 3 to 5.
        min_updates: before these nothing stops, >= 1. The authors have 1: then an easy target stops
            at once, and the importance is little more than its random beginning.
        max_updates: at most, >= `min_updates`. The authors: 3000 to 5000.
        runs: from beginnings of their own, whose importances are averaged, >= 1; 3 to 10.
    """

    replaced_share: float = 0.3
    rationale: int = 8
    top_k: int = 3
    min_updates: int = 1
    max_updates: int = 3000
    runs: int = 5

    def __post_init__(self) -> None:
        checks = {
            "replaced_share must be > 0 and <= 1": 0 < self.replaced_share <= 1,
            "rationale must be >= 1": self.rationale >= 1,
            "top_k must be >= 0": self.top_k >= 0,
            "min_updates must be >= 1": self.min_updates >= 1,
            "max_updates must be >= min_updates": self.max_updates >= self.min_updates,
            "runs must be >= 1": self.runs >= 1,
        }
        wrong = [rule for rule, holds in checks.items() if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True)
class Importance:
    """What was found for one context.

    Attributes:
        importance: [t], >= 0, sums to 1: the mean over the runs.
        updates: [runs], how many each took.
        stopped: [runs], whether its rationale was enough; else it ended at `max_updates`.
        probability: of the target behind the whole context.
        replaced: tokens that were replaced, over all updates.
        changed: those of them that became another token: a sampler may draw the same one.
    """

    importance: Floats
    updates: Ids
    stopped: npt.NDArray[np.bool_]
    probability: float
    replaced: int
    changed: int


def updated_scores(scores: Floats, replaced: npt.NDArray[np.bool_], change: Floats) -> Floats:
    """Scores after one update.

    Args:
        scores: [..., t], logits of importance.
        replaced: [..., t], which tokens were.
        change: [...], p(target | context) - p(target | replaced context), in [-1, 1]; clipped to
            +-(1 - 1e-6).

    Returns:
        [..., t]: logit(1/2 + change/2) is added where replaced, logit(1/2 - change/2) elsewhere.
    """
    clipped = np.clip(np.asarray(change, np.float64), -_LARGEST_CHANGE, _LARGEST_CHANGE)
    step = 2 * np.arctanh(clipped)[..., None]
    return np.asarray(scores + np.where(replaced, step, -step), np.float64)


def reagent(
    model: torch.nn.Module,
    context: Sequence[int] | Ids,
    target: int,
    *,
    row_id: str,
    sampler: ReplacementSampler,
    rule: ReagentRule | None = None,
    prefix: Sequence[int] = (),
    seed: int = 0,
    batch_size: int = 32,
    device: str = "auto",
    threads: int = 1,
) -> Importance:
    """The importance of each token of a context for a target.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says; moved to `device`.
        context: one or more ids.
        target: the id whose probability behind the context is explained.
        row_id: stable over runs; with `seed` it decides every draw.
        sampler: what stands in for a token, see `operators.evaluation.replacements`.
        rule: by default that of the authors.
        prefix: ids before the context that are never replaced and get no importance (begin of
            text).
        seed: of the draws.
        batch_size: contexts in a forward pass; moves the last bits only.
        device: "auto", or a torch device.
        threads: CPU threads of torch.

    Raises:
        ValueError: an empty context.
    """
    rule = ReagentRule() if rule is None else rule
    ids = np.asarray(context, dtype=np.int64)
    if ids.ndim != 1 or not len(ids):
        raise ValueError(f'the context of "{row_id}" has no token that could be important')
    runs = [row_generator(seed, "reagent", f"{row_id}\x00{run}") for run in range(rule.runs)]
    scores = np.stack([generator.random(len(ids)) for generator in runs])
    updates = np.zeros(rule.runs, np.int64)
    stopped = np.zeros(rule.runs, np.bool_)
    replaced = changed = 0
    with inference(model, device, threads) as place:
        asked = _Asked(model, np.asarray(prefix, np.int64), target, batch_size, place)
        draw = sampler(ids)
        whole = float(asked.probabilities(ids[None])[0])
        running = list(range(rule.runs))
        while running:
            done = int(updates[running[0]])  # all that run have done as many
            size = min(max(1, batch_size // len(running)), rule.max_updates - done)
            drawn = np.stack([runs[run].random((size, 3, len(ids))) for run in running])
            masks = _lowest(drawn[:, :, 0], rule.replaced_share)
            contexts = np.where(masks, draw_like(draw, drawn[:, :, 1]), ids)
            after = asked.probabilities(contexts.reshape(-1, len(ids))).reshape(masks.shape[:2])
            states = np.empty(masks.shape)
            before = scores[running]
            for number in range(size):
                before = updated_scores(before, masks[:, number], whole - after[:, number])
                states[:, number] = before
            enough = _enough(asked, ids, states, draw_like(draw, drawn[:, :, 2]), rule, done)
            for row, run in enumerate(running):
                ends = np.flatnonzero(enough[row])
                last = int(ends[0]) if len(ends) else size - 1
                stopped[run] = len(ends) > 0
                updates[run] += last + 1
                scores[run] = states[row, last]
                used = masks[row, : last + 1]
                replaced += int(used.sum())
                changed += int((contexts[row, : last + 1] != ids).sum())
            running = [r for r in running if not stopped[r] and updates[r] < rule.max_updates]
    return Importance(_softmax(scores).mean(axis=0), updates, stopped, whole, replaced, changed)


def draw_like(draw: Replacement, uniforms: Floats) -> Ids:
    """Replacements for uniforms of any shape [..., t]."""
    flat = uniforms.reshape(-1, uniforms.shape[-1])
    return np.asarray(draw(flat), np.int64).reshape(uniforms.shape)


@dataclass(frozen=True)
class _Asked:
    """A model, asked for the token behind contexts of one length."""

    model: torch.nn.Module
    prefix: Ids
    target: int
    batch_size: int
    device: torch.device

    def logits(self, contexts: Ids) -> Iterator[torch.Tensor]:
        for first in range(0, len(contexts), self.batch_size):
            batch = contexts[first : first + self.batch_size]
            before = np.broadcast_to(self.prefix, (len(batch), len(self.prefix)))
            ids = torch.from_numpy(np.concatenate([before, batch], axis=1)).to(self.device)
            yield next_token_logits(self.model, ids)[:, -1].double()

    def probabilities(self, contexts: Ids) -> Floats:
        """Of the target, [n]."""
        found = [each.softmax(dim=-1)[:, self.target] for each in self.logits(contexts)]
        return np.asarray(torch.cat(found).cpu().numpy())

    def ranks(self, contexts: Ids) -> Ids:
        """How many tokens are more probable than the target, [n]."""
        found = [(each > each[:, [self.target]]).sum(dim=-1) for each in self.logits(contexts)]
        return np.asarray(torch.cat(found).cpu().numpy())


def _lowest(uniforms: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Where the lowest numbers of the last axis stand: a choice without replacement."""
    length = uniforms.shape[-1]
    count = min(length, max(1, round(share * length)))
    order = np.argsort(uniforms, axis=-1, kind="stable")
    chosen = np.zeros(uniforms.shape, np.bool_)
    np.put_along_axis(chosen, order[..., :count], True, axis=-1)
    return chosen


def _enough(
    asked: _Asked, ids: Ids, states: Floats, others: Ids, rule: ReagentRule, done: int
) -> npt.NDArray[np.bool_]:
    """After which of the updates a run may stop, [runs, updates]."""
    enough = np.zeros(states.shape[:2], np.bool_)
    first = max(0, rule.min_updates - 1 - done)
    if not rule.top_k or rule.rationale >= len(ids) or first >= states.shape[1]:
        return enough
    order = np.argsort(-states[:, first:], axis=-1, kind="stable")
    contexts: Any = others[:, first:].copy()
    kept = order[..., : rule.rationale]
    np.put_along_axis(contexts, kept, ids[kept], axis=-1)
    ranks = asked.ranks(contexts.reshape(-1, len(ids)))
    enough[:, first:] = (ranks < rule.top_k).reshape(contexts.shape[:2])
    return enough


def _softmax(scores: Floats) -> Floats:
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float64)
