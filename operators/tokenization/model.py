"""What training gives: a vocabulary, how it was built, and one file format for all algorithms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_alphabet import ALPHABET, from_characters, to_characters
from operators.tokenization.config import TokenizerConfig

FORMAT = 1
_KIND = "tokenmill tokenizer"

# The first column of `TokenizerModel.events`.
MERGE, SPLIT = 0, 1


def _no_ids(*shape: int) -> npt.NDArray[np.int32]:
    return np.empty(shape, np.int32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TokenizerModel:
    """A learned vocabulary. Ids are positions in `tokens`; equal when everything in it is equal.

    Attributes:
        config: what was asked for.
        tokens: the bytes of each id, all different. With "bytes" conventions id 0 is
            `end_of_text`, ids 1 to 256 are the bytes in the order of `ALPHABET`, and learned
            tokens follow in the order in which they were learned.
        merges: [n, 3] left id, right id, resulting id, in the order learned. A result can
            appear twice: two ways to the same bytes give the same id.
        removed: bytes of tokens that Picky BPE removed. They have the ids behind the vocabulary
            (the first is len(tokens)) and occur in `merges`, `events` and `pieces` only, never
            in an encoded text.
        events: [m, 4] what Picky BPE did, in order. (MERGE, left, right, result), or (SPLIT,
            token, start, stop): the token falls into pieces[start:stop].
        pieces: [k] ids, see `events`.
        scores: [len(tokens)] log-probabilities in nats, of Unigram.

    Raises:
        ValueError: if these do not fit together.
    """

    config: TokenizerConfig
    tokens: tuple[bytes, ...]
    merges: npt.NDArray[np.int32] = field(default_factory=lambda: _no_ids(0, 3))
    removed: tuple[bytes, ...] = ()
    events: npt.NDArray[np.int32] = field(default_factory=lambda: _no_ids(0, 4))
    pieces: npt.NDArray[np.int32] = field(default_factory=lambda: _no_ids(0))
    scores: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        everything = len(self.tokens) + len(self.removed)
        if len(set(self.tokens) | set(self.removed)) != everything:
            raise ValueError("two ids of the vocabulary stand for the same bytes")
        if self.config.conventions == "bytes":
            if not self.tokens or self.tokens[0] != self.config.end_of_text.encode():
                raise ValueError(f"id 0 is not end_of_text {self.config.end_of_text!r}")
            missing = len(set(ALPHABET) - set(self.tokens))
            if missing:
                raise ValueError(f"{missing} of the 256 bytes have no id")
        for name, ids, columns in (("merges", self.merges, 3), ("events", self.events, 4)):
            if ids.ndim != 2 or ids.shape[1] != columns:
                raise ValueError(f"{name} have the shape {ids.shape}, not (n, {columns})")
        named = [self.merges.ravel(), self.pieces]
        if any(len(ids) and not 0 <= ids.min() <= ids.max() < everything for ids in named):
            raise ValueError(f"a merge or piece names an id beyond the {everything} tokens")
        if self.scores is not None and self.scores.shape != (len(self.tokens),):
            raise ValueError(f"{self.scores.shape} scores do not fit {len(self.tokens)} tokens")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenizerModel):
            return NotImplemented
        return self._as_dict() == other._as_dict()

    def __hash__(self) -> int:
        return hash((self.config, self.tokens))

    @property
    def vocab_size(self) -> int:
        """Number of ids that an encoded text can hold, special ones included."""
        return len(self.tokens)

    @property
    def special_ids(self) -> range:
        """The ids that stand for no text: they come first."""
        return range(self.config.specials)

    @property
    def unknown_id(self) -> int | None:
        """The id of characters without a token; None where every text can be spelled."""
        return 1 if self.config.conventions == "picky" else None

    def prefix(self, vocab_size: int) -> TokenizerModel:
        """The tokenizer that the same training gives when it is asked for fewer ids.

        It is identical to training at `vocab_size`: BPE, Picky BPE and SuperBPE choose each
        step without knowing how many will follow. (A SuperBPE smaller than its transition is
        the BPE of stage 1.)

        Raises:
            ValueError: for a larger size than was asked for, one that the conventions do not
                allow, or an algorithm whose small vocabularies are not inside the large ones.
        """
        if self.config.algorithm not in ("bpe", "superbpe", "picky_bpe"):
            raise ValueError(
                f"a {self.config.algorithm} vocabulary does not hold its smaller ones: train each"
            )
        if vocab_size > self.config.vocab_size:
            raise ValueError(
                f"vocab_size is {vocab_size}, but this was trained for {self.config.vocab_size}"
            )
        config = self.config.with_vocab_size(vocab_size)
        if vocab_size >= len(self.tokens) and not self.removed:
            return replace(self, config=config)
        if self.config.algorithm == "picky_bpe":
            from operators.tokenization.picky_bpe import picky_prefix

            return picky_prefix(self, config)
        first_learned = int(self.merges[:, 2].min()) if len(self.merges) else len(self.tokens)
        if vocab_size < first_learned:
            raise ValueError(
                f"vocab_size is {vocab_size}, but the alphabet alone has {first_learned} ids"
            )
        # Training stops at the merge that makes the last id, whatever reuses ids after it.
        makes_last = np.flatnonzero(self.merges[:, 2] == vocab_size - 1)
        steps = int(makes_last[0]) + 1 if len(makes_last) and vocab_size > first_learned else 0
        return replace(
            self, config=config, tokens=self.tokens[:vocab_size], merges=self.merges[:steps].copy()
        )

    def to_json(self) -> str:
        """The model as JSON; tokens are written as GPT-2 writes bytes ("Ġthe")."""
        return json.dumps(self._as_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> TokenizerModel:
        """The inverse of `to_json`.

        Raises:
            ValueError: if it is no such model, or one of a later format.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.get("kind") != _KIND:
            raise ValueError(f"this JSON is not a {_KIND}")
        if values.get("format") != FORMAT:
            raise ValueError(
                f"its format is {values.get('format')!r}, but this version reads {FORMAT}"
            )
        scores = values["scores"]
        return cls(
            config=TokenizerConfig.from_dict(values["config"]),
            tokens=tuple(map(from_characters, values["tokens"])),
            merges=_ids(values["merges"], 3),
            removed=tuple(map(from_characters, values["removed"])),
            events=_ids(values["events"], 4),
            pieces=np.array(values["pieces"], np.int32),
            scores=None if scores is None else np.array(scores, np.float64),
        )

    def save(self, path: str | Path) -> None:
        """Write `to_json` as UTF-8: the same model, the same bytes."""
        Path(path).write_bytes(self.to_json().encode())

    @classmethod
    def load(cls, path: str | Path) -> TokenizerModel:
        """The inverse of `save`."""
        return cls.from_json(Path(path).read_bytes().decode())

    def _as_dict(self) -> dict[str, Any]:
        return {
            "kind": _KIND,
            "format": FORMAT,
            "config": self.config.to_dict(),
            "tokens": [to_characters(token) for token in self.tokens],
            "removed": [to_characters(token) for token in self.removed],
            "merges": self.merges.tolist(),
            "events": self.events.tolist(),
            "pieces": self.pieces.tolist(),
            "scores": None if self.scores is None else self.scores.tolist(),
        }


def _ids(rows: Sequence[Sequence[int]], columns: int) -> npt.NDArray[np.int32]:
    return np.array(rows, np.int32).reshape(-1, columns)
