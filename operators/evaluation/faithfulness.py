"""Whether an importance says what a model looks at: what is lost when the important goes.

Soft normalised sufficiency and comprehensiveness (Zhao and Aletras 2023; for generation Zhao and
Shan 2024). Elements of the embedding of each token are dropped at random: for sufficiency a token
keeps an element with a probability of its importance, for comprehensiveness with 1 minus it. How
far the distribution of the next token moves is set against how far it moves when the embeddings of
all the tokens are zero.

There are two distances here, and their numbers must not be mixed:

- *soft*, that of the authors' soft measures: sum (sqrt p - sqrt q)^2 / sqrt 2, up to 1.4142;
- *Hellinger*: sqrt(sum (sqrt p - sqrt q)^2) / sqrt 2, up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from operators.editing.row_draws import row_generator
from operators.modeling.execution import inference

Floats = npt.NDArray[np.float64]


def hellinger_distance(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """sqrt(sum (sqrt p - sqrt q)^2) / sqrt 2 over the last axis, in [0, 1]."""
    return np.asarray(np.sqrt(_squares(p, q) / 2))


def soft_distance(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """sum (sqrt p - sqrt q)^2 / sqrt 2 over the last axis, in [0, sqrt 2]: no root is taken."""
    return np.asarray(_squares(p, q) / math.sqrt(2))


def _squares(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    roots = np.sqrt(np.asarray(p, np.float64)) - np.sqrt(np.asarray(q, np.float64))
    return np.asarray((roots**2).sum(axis=-1))


@dataclass(frozen=True)
class Faithfulness:
    """Measures of one context; higher is more faithful. NaN where even no input changes nothing.

    Attributes:
        soft_ns: normalised sufficiency by the soft distance, max(0, d0 - d) / d0; 1: what is
            important is enough; 0: no better than no input.
        soft_nc: normalised comprehensiveness by the soft distance, d / d0.
        hellinger_soft_ns: as `soft_ns`, by the Hellinger distance.
        hellinger_soft_nc: as `soft_nc`, by the Hellinger distance.
        hellinger_comprehensiveness: the embeddings of the rationale are zero and all others whole;
            Hellinger distance over that of no input.
        zero_input: Hellinger distance of no input.
    """

    soft_ns: float
    soft_nc: float
    hellinger_soft_ns: float
    hellinger_soft_nc: float
    hellinger_comprehensiveness: float
    zero_input: float


MEASURES = (
    "soft_ns",
    "soft_nc",
    "hellinger_soft_ns",
    "hellinger_soft_nc",
    "hellinger_comprehensiveness",
)


def faithfulness(
    model: torch.nn.Module,
    context: Sequence[int] | npt.NDArray[np.int64],
    importance: npt.ArrayLike,
    *,
    row_id: str,
    rationale: int = 8,
    prefix: Sequence[int] = (),
    draws: int = 10,
    seed: int = 0,
    batch_size: int = 32,
    device: str = "auto",
    threads: int = 1,
) -> Faithfulness:
    """How faithful an importance is to a model.

    Args:
        model: a causal model with ``get_input_embeddings``, called as ``model(inputs_embeds=...,
            use_cache=False)``; moved to `device`.
        context: one or more ids.
        importance: [t], of each token, in [0, 1].
        row_id: stable over runs; with `seed` it decides which elements are dropped. Importances of
            one row are measured with the same random numbers.
        rationale: tokens that are taken out as a whole, those of the highest importance (ties:
            the first); 0 takes out none.
        prefix: ids before the context that are never touched (begin of text).
        draws: of the elements; distances are averaged over them before they are normalised.
        seed: of the draws.
        batch_size: rows in a forward pass; moves the last bits only.
        device: "auto", or a torch device.
        threads: CPU threads of torch.

    Raises:
        ValueError: an importance that does not fit or is not in [0, 1], or a setting out of range.
    """
    weights = np.asarray(importance, np.float64)
    ids = np.asarray(context, np.int64)
    if ids.ndim != 1 or not len(ids) or weights.shape != ids.shape:
        raise ValueError(
            f'"{row_id}": a context of {ids.shape} tokens needs as many importances, got '
            f"{weights.shape}"
        )
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError(f'"{row_id}": importances must be in [0, 1]')
    if draws < 1 or batch_size < 1 or rationale < 0:
        raise ValueError("draws and batch_size must be >= 1, rationale >= 0")
    with inference(model, device, threads) as place:
        stream = torch.tensor([[*prefix, *ids.tolist()]], device=place)
        embedded = model.get_input_embeddings()(stream)[0]  # type: ignore[operator]
        masks = _masks(weights, rationale, draws, embedded.shape[-1], seed, row_id)
        said = _distributions(model, embedded, len(prefix), masks, batch_size)
    whole, empty, without = said[:3]
    sufficient, comprehensive = said[3 : 3 + draws], said[3 + draws :]
    measures = {}
    for name, distance in (("soft", soft_distance), ("hellinger_soft", hellinger_distance)):
        zero = float(distance(whole, empty))
        kept = float(distance(whole, sufficient).mean())
        lost = float(distance(whole, comprehensive).mean())
        measures[f"{name}_ns"] = max(0.0, zero - kept) / zero if zero else math.nan
        measures[f"{name}_nc"] = lost / zero if zero else math.nan
    zero = float(hellinger_distance(whole, empty))
    lost = float(hellinger_distance(whole, without))
    return Faithfulness(
        **measures,
        hellinger_comprehensiveness=lost / zero if zero else math.nan,
        zero_input=zero,
    )


def random_importance(size: int, *, row_id: str, seed: int = 0) -> Floats:
    """[size], softmax of uniform numbers: what the authors compare with. Nearly even."""
    drawn = np.exp(row_generator(seed, "random importance", row_id).random(size))
    return np.asarray(drawn / drawn.sum())


def shuffled_importance(importance: npt.ArrayLike, *, row_id: str, seed: int = 0) -> Floats:
    """The same importances at positions drawn anew: as sharp as what it is compared with."""
    values = np.asarray(importance, np.float64)
    return values[row_generator(seed, "shuffled importance", row_id).permutation(len(values))]


def position_correlation(importances: Sequence[npt.ArrayLike]) -> float:
    """Mean over contexts of Pearson's r between importance and position.

    Near 1 or -1 an importance tells where a token stands and little more. Contexts of fewer than
    three tokens, or with one importance for all, have none; NaN if all are so.
    """
    found = []
    for each in importances:
        values = np.asarray(each, np.float64)
        if len(values) >= 3 and np.ptp(values) > 0:
            found.append(np.corrcoef(values, np.arange(len(values)))[0, 1])
    return float(np.mean(found)) if found else math.nan


def _masks(
    weights: Floats, rationale: int, draws: int, width: int, seed: int, row_id: str
) -> Iterator[Floats]:
    """What is kept of each element, [t, width] or [t, 1]: of all, of none, of all but the
    rationale, then of `draws` for sufficiency and as many for comprehensiveness."""
    length = len(weights)
    yield np.ones((length, 1))
    yield np.zeros((length, 1))
    others = np.ones((length, 1))
    others[np.argsort(-weights, kind="stable")[:rationale]] = 0.0
    yield others
    for keep in (weights, 1 - weights):
        generator = row_generator(seed, "faithfulness", row_id)
        for _ in range(draws):
            yield (generator.random((length, width)) < keep[:, None]).astype(np.float64)


def _distributions(
    model: torch.nn.Module, embedded: Tensor, fixed: int, masks: Iterator[Floats], batch_size: int
) -> Floats:
    """Of the next token, [masks, v]."""
    found: list[Floats] = []
    batch: list[Tensor] = []

    def ask() -> None:
        if batch:
            logits = model(inputs_embeds=torch.stack(batch), use_cache=False).logits[:, -1]
            found.append(logits.double().softmax(dim=-1).cpu().numpy())
            batch.clear()

    for mask in masks:
        kept = torch.from_numpy(mask).to(embedded.device, embedded.dtype)
        batch.append(torch.cat([embedded[:fixed], embedded[fixed:] * kept]))
        if len(batch) == batch_size:
            ask()
    ask()
    return np.concatenate(found)
