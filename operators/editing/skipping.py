"""TokenSkip: reasoning with its less important words left out.

Source: Xia et al., "TokenSkip: Controllable Chain-of-Thought Compression in LLMs" (EMNLP 2025,
arXiv 2502.12067), and the authors' code. Of the words of a chain of thought the share gamma stays
that scores as most important, in order; which gamma, is drawn for each sample, and the model is
told it. Numbers and the words of a list stay whatever they score.

The authors score with LLMLingua-2. Any score per word does; `word_importances` makes one of a
causal model's token losses (the surprisal of a word: what the model would guess may go).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from operators.editing.row_draws import row_generator

GAMMAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
FORCED = ("Step", ":")

# A number with its separators is one word; so is each character of a script without spaces.
_NO_SPACES = "぀-ヿ㐀-䶿一-鿿"
_WORD = re.compile(
    rf"\d+(?:[.,]\d+)*|[{_NO_SPACES}]|[^\W\d{_NO_SPACES}][^\W{_NO_SPACES}]*(?:['’]\w+)*|[^\w\s]"
)


@dataclass(frozen=True, slots=True)
class Compressed:
    """A text with words left out.

    Attributes:
        text: the words kept, with white space where there was some between them.
        words: of the text as it was.
        kept: of those.
    """

    text: str
    words: int
    kept: int

    @property
    def ratio(self) -> float:
        """Share of the words that was really kept; 1 for a text without any."""
        return self.kept / self.words if self.words else 1.0


def word_spans(text: str) -> list[tuple[int, int]]:
    """Begin and end of each word: numbers whole, punctuation marks each by itself."""
    return [match.span() for match in _WORD.finditer(text)]


def draw_gamma(name: str, gammas: Sequence[float] = GAMMAS, seed: int = 0) -> float:
    """One gamma for a sample, by its id.

    Raises:
        ValueError: no gamma, or one outside of (0, 1].
    """
    if not gammas or not all(0 < gamma <= 1 for gamma in gammas):
        raise ValueError(f"gammas are {list(gammas)}, but need one at least, each in (0, 1]")
    return gammas[int(row_generator(seed, "skip", name).integers(len(gammas)))]


def kept_words(
    words: Sequence[str],
    importances: Sequence[float] | NDArray[np.floating],
    gamma: float,
    *,
    forced: Sequence[str] = FORCED,
    keep_numbers: bool = True,
    drop_repeats: bool = False,
) -> NDArray[np.int64]:
    """Which words stay, in order.

    So many stay as gamma of the words, rounded half up: those that are forced, and then the most
    important, the earlier first of two that score the same. Where more are forced than that, all
    forced ones stay.

    Args:
        words: of a text.
        importances: one a word, the higher the more important.
        gamma: share to keep, in (0, 1]; at 1 every word stays, whatever else is set.
        forced: words that always stay.
        keep_numbers: whatever holds a digit always stays.
        drop_repeats: of forced words (numbers apart) that come to stand side by side with
            themselves one stays.

    Raises:
        ValueError: importances that do not fit or are not finite, or a gamma outside of (0, 1].
    """
    scores = np.asarray(importances, dtype=np.float64)
    if scores.shape != (len(words),) or not np.isfinite(scores).all():
        raise ValueError(f"{len(words)} words need as many finite importances, not {scores.shape}")
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma is {gamma}, but must be in (0, 1]")
    if gamma == 1:
        return np.arange(len(words))
    listed = np.array([word in forced for word in words], dtype=np.bool_)
    stays = listed.copy()
    if keep_numbers:
        stays |= np.array([any(map(str.isdigit, word)) for word in words], dtype=np.bool_)
    room = int(gamma * len(words) + 0.5) - int(stays.sum())
    if room > 0:
        others = np.flatnonzero(~stays)
        stays[others[np.argsort(-scores[others], kind="stable")[:room]]] = True
    kept = np.flatnonzero(stays)
    if drop_repeats and len(kept):
        repeats = [
            listed[here] and words[here] == words[before]
            for before, here in pairwise(kept.tolist())
        ]
        kept = kept[~np.array([False, *repeats])]
    return kept


def compress(
    text: str,
    importances: Sequence[float] | NDArray[np.floating],
    gamma: float,
    *,
    forced: Sequence[str] = FORCED,
    keep_numbers: bool = True,
    drop_repeats: bool = False,
) -> Compressed:
    """A text with its less important words left out; at gamma 1 unchanged to the byte.

    Args:
        text: a chain of thought.
        importances: one for each of `word_spans(text)`.
        gamma, forced, keep_numbers, drop_repeats: as `kept_words`.

    Raises:
        ValueError: as `kept_words`.
    """
    spans = word_spans(text)
    words = [text[start:end] for start, end in spans]
    kept = kept_words(
        words,
        importances,
        gamma,
        forced=forced,
        keep_numbers=keep_numbers,
        drop_repeats=drop_repeats,
    )
    if len(kept) == len(words):
        return Compressed(text, len(words), len(kept))
    made = [text[: spans[0][0]]]
    for before, here in pairwise(kept.tolist()):
        between = text[spans[before][1] : spans[here][0]]
        if here > before + 1:
            between = _gap(between, words[before], words[here])
        made += [words[before], between]
    made += [words[kept[-1]]] if len(kept) else []
    return Compressed("".join([*made, text[spans[-1][1] :]]), len(words), len(kept))


def _gap(between: str, before: str, here: str) -> str:
    """The white space that stays of what was left out: with a line end, else the first.

    Without any, words that would be read as one get a space: 2*3 is not to become 23.
    """
    runs: list[str] = re.findall(r"\s+", between)
    if runs:
        return next((run for run in runs if "\n" in run), runs[0])
    return " " if len(word_spans(before + here)) < 2 else ""


def word_importances(
    losses: Sequence[float] | NDArray[np.floating],
    pieces: Sequence[bytes],
    text: str,
) -> NDArray[np.float64]:
    """The surprisal of each word of a text in nats, from the losses of its tokens.

    A word's surprisal is the sum over its tokens, by the chain rule. A token that reaches over
    several words is divided among them by the bytes it has of each; white space has none.

    Args:
        losses: -log p of each token given those before it.
        pieces: the bytes of each token.
        text: what the tokens spell; its words are those of `word_spans`.

    Returns:
        float64 [words].

    Raises:
        ValueError: losses that do not fit the tokens, or tokens that do not spell the text.
    """
    values = np.asarray(losses, dtype=np.float64)
    if values.shape != (len(pieces),):
        raise ValueError(f"{len(pieces)} tokens need as many losses, not {values.shape}")
    if b"".join(pieces) != text.encode():
        raise ValueError(
            "the tokens do not spell the text byte for byte: their losses cannot be given to its "
            "words"
        )
    owners = np.full(len(text.encode()), -1, np.int64)  # the word that each byte belongs to
    spans = word_spans(text)
    at = byte = 0
    for number, (start, end) in enumerate(spans):
        byte += len(text[at:start].encode())
        after = byte + len(text[start:end].encode())
        owners[byte:after] = number
        at, byte = end, after
    tokens = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    inside = owners >= 0
    sizes = np.bincount(tokens[inside], minlength=len(pieces))
    shares = values[tokens[inside]] / sizes[tokens[inside]]
    return np.bincount(owners[inside], weights=shares, minlength=len(spans)).astype(np.float64)
