"""What stands in for a token that is taken out of a context.

A sampler is called once with the ids of a context, ``sampler(ids) -> draw``, and then
``draw(uniforms) -> tokens`` gives a token for each number in [0, 1): both are [n, t], and column j
belongs to position j. So the same numbers give the same tokens, however many are drawn at once. Any
function of this form will do; here are those that draw by frequency and by what a model predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from operators.modeling.execution import inference, next_token_logits

Ids = npt.NDArray[np.int64]
Replacement = Callable[[npt.NDArray[np.float64]], Ids]
ReplacementSampler = Callable[[Ids], Replacement]
# Log-probabilities (up to a constant a row) [t, v] of the token at each position of ids [t].
Predictions = Callable[[Ids], npt.NDArray[np.float64]]


def unigram_sampler(counts: npt.ArrayLike) -> ReplacementSampler:
    """Draws by frequency, alike at every position; ones draw uniformly, a token of 0 never.

    Args:
        counts: [v], >= 0.

    Raises:
        ValueError: counts that are negative or not finite, or all 0.
    """
    weights = np.asarray(counts, np.float64)
    if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise ValueError("counts must be one list of numbers >= 0, and one must be above 0")
    cumulative = _cumulative(weights)
    return lambda ids: lambda uniforms: np.searchsorted(cumulative, uniforms, side="right")


def prediction_sampler(
    predictions: Predictions, never_drawn: Sequence[int] = ()
) -> ReplacementSampler:
    """Draws each position from what is predicted there.

    Args:
        predictions: `causal_predictions`, `masked_predictions`, or a function of one's own.
        never_drawn: ids that nothing becomes (special tokens, padded rows of the vocabulary).
    """

    def prepared(ids: Ids) -> Replacement:
        logs = np.asarray(predictions(ids), np.float64)
        masses = np.exp(logs - logs.max(axis=-1, keepdims=True))
        masses[:, list(never_drawn)] = 0.0
        cumulative = [_cumulative(row) for row in masses]

        def draw(uniforms: npt.NDArray[np.float64]) -> Ids:
            columns = zip(cumulative, uniforms.T, strict=True)
            return np.stack([np.searchsorted(c, u, side="right") for c, u in columns], axis=1)

        return draw

    return prepared


def causal_predictions(
    model: torch.nn.Module, prefix: Sequence[int], *, device: str = "auto", threads: int = 1
) -> Predictions:
    """What a causal model expects at each position, from what stands before it.

    Args:
        model: called as `operators.modeling.execution.next_token_logits` says.
        prefix: one or more ids before the context, from which its first token is predicted.

    Raises:
        ValueError: an empty prefix.
    """
    if not len(prefix):
        raise ValueError("the first token is predicted from something: give a prefix")

    def predictions(ids: Ids) -> npt.NDArray[np.float64]:
        stream = torch.tensor([[*prefix, *ids.tolist()]])
        with inference(model, device, threads) as place:
            logits = next_token_logits(model, stream.to(place))[0, len(prefix) - 1 : -1]
        return np.asarray(logits.double().cpu().numpy())

    return predictions


def masked_predictions(
    model: torch.nn.Module, *, device: str = "auto", threads: int = 1
) -> Predictions:
    """What a masked model of the same vocabulary expects at each position, from all of the context.

    As the authors ask RoBERTa: the context itself is read, nothing in it is masked.

    Args:
        model: called as ``model(input_ids=...)``; answers with ``.logits`` [1, t, v], row j of
            token j.
    """

    def predictions(ids: Ids) -> npt.NDArray[np.float64]:
        with inference(model, device, threads) as place:
            logits = model(input_ids=torch.from_numpy(ids[None]).to(place)).logits[0]
        return np.asarray(logits.double().cpu().numpy())

    return predictions


def _cumulative(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Running shares, which end at exactly 1: every number in [0, 1) falls on a weight above 0."""
    sums = weights.cumsum()
    if not sums[-1] > 0:
        raise ValueError("every token of the vocabulary is among those that are never drawn")
    return np.asarray(sums / sums[-1])
