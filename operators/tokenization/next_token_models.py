"""Models of the next token, as exact byte probabilities ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

LogProbabilities = npt.NDArray[np.float64]

# Positions of a text that go through a model at once: their logits over a large vocabulary are
# what takes the memory (128 x 128,000 float32 are 66 MB).
_POSITIONS = 128


class NextTokenModel(Protocol):
    """A distribution over the next token, given all before it."""

    def log_probabilities(self, sequences: Sequence[Sequence[int]]) -> LogProbabilities:
        """Natural log-probabilities [n, V] of what follows each sequence.

        A sequence holds the ids of a text from its beginning, without any begin token; it may be
        empty. Columns beyond the tokenizer's ids (padded rows) are never used.
        """


@runtime_checkable
class TextModel(Protocol):
    """A model that reads a whole text at once, which is cheaper than prefix by prefix."""

    def running_log_probabilities(self, ids: Sequence[int]) -> Iterator[LogProbabilities]:
        """Log-probabilities [V] before the first id, after it, ... and after the last one."""


class CausalLanguageModel:
    """A causal model of Transformers, with a cache of keys and values.

    Sequences that begin alike cost only what is new: from one byte to the next that is a token or
    a few. The softmax is taken in float64.

    A sequence longer than the context keeps its end: it begins at the first multiple of half the
    context from which it fits. Which part a model sees thus depends on the length alone.

    Args:
        model: put into evaluation mode; it stays on its device.
        begin: ids before every text, as in training; as a rule the end of text.
        context_length: longest input in tokens, `begin` included; the configuration's maximum if
            not given.
        cache: False for architectures whose state cannot be cut back (recurrent ones).

    Attributes:
        forward_passes: calls of the model.
        tokens_read: tokens that went through it.

    Raises:
        ValueError: if there is no `begin`, or no length of the context is known.
    """

    def __init__(
        self,
        model: Any,
        *,
        begin: Sequence[int],
        context_length: int | None = None,
        cache: bool = True,
    ) -> None:
        if not len(begin):
            raise ValueError("begin is empty, but the first token needs something before it")
        longest = context_length or getattr(model.config, "max_position_embeddings", None)
        if longest is None or longest < 2:
            raise ValueError(f"context_length is {longest}, but must be >= 2: give it")
        model.eval()
        self._model = model
        self._begin = list(map(int, begin))
        self._context = int(longest)
        self._uses_cache = cache
        self._cache: Any = None
        self._cached: list[int] = []
        self.forward_passes = 0
        self.tokens_read = 0

    def log_probabilities(self, sequences: Sequence[Sequence[int]]) -> LogProbabilities:
        """See `NextTokenModel`. One forward pass a sequence."""
        return np.stack([self._read([*self._begin, *ids], 1)[-1] for ids in sequences])

    def running_log_probabilities(self, ids: Sequence[int]) -> Iterator[LogProbabilities]:
        """See `TextModel`."""
        stream = [*self._begin, *ids]
        at = len(self._begin)
        while at <= len(stream):
            # All of one piece must be seen from the same start.
            stop = min(at + _POSITIONS, len(stream) + 1)
            while self._start(stop - 1) != self._start(at):
                stop -= 1
            yield from self._read(stream[: stop - 1], stop - at)
            at = stop

    def _start(self, length: int) -> int:
        """Where the part begins that the model sees of so many ids."""
        if length <= self._context:
            return 0
        half = self._context // 2
        return -(-(length - self._context) // half) * half

    def _read(self, stream: list[int], wanted: int) -> LogProbabilities:
        """Log-probabilities [wanted, V] after the last ids of the stream."""
        import torch
        from transformers import DynamicCache

        seen = stream[self._start(len(stream)) :]
        shared = 0
        if self._uses_cache:
            for old, new in zip(self._cached, seen[: len(seen) - wanted], strict=False):
                if old != new:
                    break
                shared += 1
        if shared == 0:
            self._cache = DynamicCache() if self._uses_cache else None
        elif shared < len(self._cached):
            self._cache.crop(shared - len(self._cached))  # negative: so many go
        new_ids = torch.tensor([seen[shared:]], device=self._model.device)
        with torch.no_grad():
            logits: Tensor = self._model(
                input_ids=new_ids, past_key_values=self._cache, use_cache=self._uses_cache
            ).logits
        self._cached = seen
        self.forward_passes += 1
        self.tokens_read += len(seen) - shared
        rows = logits[0, -wanted:].double().log_softmax(dim=-1).cpu().numpy()
        return np.asarray(rows, np.float64)
