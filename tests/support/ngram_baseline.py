"""An interpolated n-gram model of token ids: the baseline that a trained model has to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import torch


class NgramModel(torch.nn.Module):
    """Jelinek-Mercer: half of the mass for the longest context seen, half for the shorter ones.

    p_n(w | c) = p_ml(w | c) / 2 + p_(n-1)(w | c without its first token) / 2 where c was seen, else
    p_(n-1) alone; p_0 is uniform. It is called as causal language models are.
    """

    def __init__(self, rows: Iterable[Sequence[int]], *, vocab_size: int, order: int = 3) -> None:
        super().__init__()
        self.vocab_size, self.order = vocab_size, order
        self._counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        self._known: dict[tuple[int, ...], torch.Tensor] = {}
        for row in rows:
            for place in range(1, len(row)):
                for size in range(min(order - 1, place) + 1):
                    self._counts[tuple(row[place - size : place])][row[place]] += 1

    def probabilities(self, context: Sequence[int]) -> torch.Tensor:
        """float64 ``[v]`` of the token behind a context of less than ``order`` tokens."""
        key = tuple(context)
        if key not in self._known:
            row = (
                self.probabilities(key[1:])
                if key
                else torch.full((self.vocab_size,), 1 / self.vocab_size, dtype=torch.float64)
            )
            if counts := self._counts.get(key):
                share = torch.tensor(list(counts.values()), dtype=torch.float64)
                row = 0.5 * row
                row[list(counts)] += 0.5 * share / share.sum()
            self._known[key] = row
        return self._known[key]

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> SimpleNamespace:
        rows = [
            torch.stack(
                [
                    self.probabilities(ids[max(0, place + 2 - self.order) : place + 1])
                    for place in range(len(ids))
                ]
            )
            for ids in input_ids.tolist()
        ]
        return SimpleNamespace(logits=torch.stack(rows).log())
