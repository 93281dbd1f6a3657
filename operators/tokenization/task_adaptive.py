"""Task-adaptive tokenization (Liu et al. 2023): a model's tokenizer and the pieces of a task.

Unigram learns pieces from the texts of a task. A text is spelled with those first, and what lies
between them by the base tokenizer. Ids of the base stay what they are; pieces that it lacks get
ids behind them. While a model is trained, segmentations are drawn with probability proportional to
P ** alpha (subword regularisation, Kudo 2018), so that it sees more than one spelling.

Details of the paper that are not known to us are ours: a piece takes part only if it is whole
characters, more than one byte long, so that the rest is text, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from types import MappingProxyType

from operators.tokenization.byte_tokenizer import ByteTokenizer
from operators.tokenization.model import TokenizerModel
from operators.tokenization.tokenizer import Tokenizer


class TaskAdaptiveTokenizer:
    """A base tokenizer with the pieces of a task in front of it; a `ByteTokenizer` itself.

    `decode(encode(text)) == text` wherever it is so for the base tokenizer.

    Args:
        base: what a model was trained with.
        task: a Unigram model, trained on texts of the task.
        alpha: segmentations are drawn with probability proportional to P ** alpha; None takes
            the most probable one.

    Raises:
        ValueError: if `task` is no Unigram model, or alpha is below 0.
    """

    def __init__(
        self, base: ByteTokenizer, task: TokenizerModel, *, alpha: float | None = None
    ) -> None:
        if task.config.algorithm != "unigram" or task.scores is None:
            raise ValueError(
                f"a task's pieces come from a unigram model, but this is {task.config.algorithm}"
            )
        if alpha is not None and not alpha >= 0:
            raise ValueError(f"alpha is {alpha}, but must be >= 0, or None to draw nothing")
        self.base = base
        self.alpha = alpha
        self._task = (
            Tokenizer(task, encoder="unigram")
            if alpha is None
            else Tokenizer(task, encoder="unigram_sampled", power=alpha)
        )
        specials = set(base.special_ids)
        # Of equal tokens of the base, the first; a special token is never made of text.
        known: dict[bytes, int] = {}
        for number, token in enumerate(base.tokens):
            if number not in specials:
                known.setdefault(bytes(token), number)
        usable = {
            number: token
            for number, token in enumerate(task.tokens)
            if number not in task.special_ids and len(token) > 1 and _is_text(token)
        }
        added = [token for token in usable.values() if token not in known]
        self._base_size = len(base.tokens)
        ids = known | {token: self._base_size + n for n, token in enumerate(added)}
        self._ids = {number: ids[token] for number, token in usable.items()}
        self.added: tuple[bytes, ...] = tuple(added)

    def __repr__(self) -> str:
        return f"TaskAdaptiveTokenizer({self._base_size} ids and {len(self.added)} of a task)"

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of each id: those of the base, and behind them `added`."""
        return (*map(bytes, self.base.tokens), *self.added)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return self._base_size + len(self.added)

    @property
    def special_ids(self) -> frozenset[int]:
        """The special ids of the base."""
        return frozenset(self.base.special_ids)

    @property
    def unknown_id(self) -> int | None:
        """The base's id of what has no token."""
        return self.base.unknown_id

    @cached_property
    def base_pieces(self) -> Mapping[bytes, tuple[int, ...]]:
        """How the base spells each added piece: its embedding is the mean of theirs."""
        texts = [piece.decode() for piece in self.added]
        spelled = self.base.encode_batch(texts) if texts else []
        return MappingProxyType(
            {piece: tuple(ids) for piece, ids in zip(self.added, spelled, strict=True)}
        )

    def encode(self, text: str, *, epoch: int = 0, name: str | None = None) -> list[int]:
        """Ids of a text; see `encode_batch`."""
        (ids,) = self.encode_batch([text], epoch=epoch, names=None if name is None else [name])
        return ids

    def encode_batch(
        self, texts: Sequence[str], *, epoch: int = 0, names: Sequence[str] | None = None
    ) -> list[list[int]]:
        """Ids of texts.

        Args:
            epoch, names: of what is drawn, as in `Tokenizer.encode_batch`.

        Raises:
            ValueError: for a text with a lone surrogate.
        """
        rows = self._task.encode_batch(texts, epoch=epoch, names=names)
        between: list[str] = []
        # The ids of each text; None stands for the next text in `between`.
        drafts: list[list[int | None]] = []
        for row in rows:
            draft: list[int | None] = []
            rest: list[int] = []
            for number in row:
                if number in self._ids:
                    self._close(rest, draft, between)
                    draft.append(self._ids[number])
                else:
                    rest.append(number)
            self._close(rest, draft, between)
            drafts.append(draft)
        spelled = iter(self.base.encode_batch(between) if between else [])
        return [
            [
                token
                for number in draft
                for token in (next(spelled) if number is None else (number,))
            ]
            for draft in drafts
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids.

        Raises:
            ValueError: for an id that the vocabulary does not have.
        """
        wrong = [number for number in ids if not 0 <= number < self.vocab_size]
        if wrong:
            raise ValueError(f"id {wrong[0]} is not in a vocabulary of {self.vocab_size}")
        return "".join(
            "".join(self.added[number - self._base_size].decode() for number in run)
            if is_added
            else self.base.decode(list(run))
            for is_added, run in groupby(ids, lambda number: number >= self._base_size)
        )

    def _close(self, rest: list[int], draft: list[int | None], between: list[str]) -> None:
        """End a run of bytes that no piece of the task spells."""
        if rest:
            between.append(self._task.decode_bytes(rest).decode())
            draft.append(None)
            rest.clear()


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
