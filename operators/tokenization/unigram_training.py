"""Unigram (Kudo 2018) learned from counted pretokens: every size of a sweep in one training.

The pieces are byte strings. Training begins with the substrings that occur most, weighted by what
they spell, and makes their number smaller by a quarter again and again: two steps of expectation
and maximisation, then those pieces leave whose loss costs the least likelihood. At last the
likeliest ones are taken of a few more than are wanted. This is what SentencePiece and `tokenizers`
do, with their constants. A vocabulary is cut from the last state of that chain that has enough
pieces, so

- the chain does not depend on which sizes are asked for, and one chain serves them all: each
  vocabulary is, byte for byte, the one that a training for its size alone gives;
- floats are summed in the order of the sorted pretokens, and ties go by the pieces themselves:
  the same counts give the same tokenizer. Scores are rounded far above what another processor's
  last bit could change.

Three things differ from those programs. Substrings are counted as often as they occur in the
corpus, not once for each different pretoken, and a pretoken that occurs twice is a candidate
itself. The 256 bytes always stay: one that is hardly ever needed has the lowest score. And after
the last cut scores are fitted once more to the pieces that are left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.tokenization import unigram_kernels as kernels
from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import SMALLEST_VOCABULARY, TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.token_trie import end_to_end

# SentencePiece's constants: seeds at most, pieces that stay after a cut, steps of expectation and
# maximisation between cuts, occurrences that a piece must be expected to have, how much larger
# the vocabulary before the last cut is, and what a piece that is not there costs (in nats).
_SEEDS = 1_000_000
_KEPT = 0.75
_STEPS = 2
_LEAST_EXPECTED = 0.5
_LAST_CUT = 1.1
_PENALTY = 10.0

# Far above the noise of a sum (1e-14), far below what a score means: 0.01 % of a probability.
_SCORE_DECIMALS = 4

# Positions in the text are 32-bit numbers.
_MOST_BYTES = 2**31 - 1

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Text:
    """All pretokens, as `unigram_kernels` reads them."""

    data: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Pieces:
    """A state of the training: pieces of two bytes and more, shorter ones first, and scores.

    Attributes:
        starts, lengths: where each piece stands in the text.
        scores: [256 + pieces] log-probabilities, those of the bytes first.
    """

    starts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    scores: _Floats

    def __len__(self) -> int:
        return len(self.starts)

    def only(self, kept: npt.NDArray[np.bool_]) -> _Pieces:
        scores = self.scores[np.concatenate([np.ones(kernels.BYTES, np.bool_), kept])]
        return _Pieces(self.starts[kept], self.lengths[kept], scores)


def train_unigram(counts: PretokenCounts, config: TokenizerConfig) -> TokenizerModel:
    """Learn a Unigram vocabulary with scores.

    Args:
        counts: of the pre-tokenizer that the config names.

    Returns:
        A model with at most `config.vocab_size` tokens: fewer where the corpus has not so many
        pieces worth half an occurrence. An empty corpus gives the alphabet, each byte as likely
        as the others.

    Raises:
        ValueError: for counts of another pre-tokenizer, or more text than can be numbered.
    """
    (model,) = train_unigrams(counts, [config])
    return model


def train_unigrams(
    counts: PretokenCounts, configs: Sequence[TokenizerConfig]
) -> list[TokenizerModel]:
    """`train_unigram` for each config, in one training of all that differ in size only."""
    for config in configs:
        if config.algorithm != "unigram":
            raise ValueError(f"algorithm is {config.algorithm!r}, but must be 'unigram'")
        if counts.pretokenizer != config.pretokenizer:
            raise ValueError(
                f"the counts are of {counts.pretokenizer!r}, but the tokenizer wants "
                f"{config.pretokenizer!r}"
            )
    data, ends = end_to_end(counts.pretokens)
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"the different pretokens have {len(data)} bytes together, but at most {_MOST_BYTES} "
            "can be trained on: train on fewer texts, or split them further"
        )
    text = _Text(data, ends, np.ascontiguousarray(counts.counts, np.int64))
    sizes: dict[tuple[int, str], set[int]] = {}
    for config in configs:
        wanted = sizes.setdefault((config.max_token_bytes, config.end_of_text), set())
        wanted.add(config.vocab_size - SMALLEST_VOCABULARY)
    learned = {
        shared: _learn(text, wanted, longest=shared[0], forbidden=shared[1].encode())
        for shared, wanted in sizes.items()
    }
    return [
        _model(
            config,
            text,
            learned[config.max_token_bytes, config.end_of_text][
                config.vocab_size - SMALLEST_VOCABULARY
            ],
        )
        for config in configs
    ]


def _learn(text: _Text, sizes: set[int], *, longest: int, forbidden: bytes) -> dict[int, _Pieces]:
    """For each number of pieces that is wanted, the pieces that are found."""
    found: dict[int, _Pieces] = {}
    if not len(text.data):
        nothing = np.empty(0, np.int32)
        alike = np.full(kernels.BYTES, -math.log(kernels.BYTES))
        return dict.fromkeys(sizes, _Pieces(nothing, nothing, alike))
    occurring = len(np.unique(text.data))
    # Size, and the pieces from which the last cut takes so many. Bytes are counted as those
    # programs do: all in the vocabulary, those that occur in what is cut.
    waiting = [
        (size, math.ceil(_LAST_CUT * (size + SMALLEST_VOCABULARY)) - occurring)
        for size in sorted(sizes)
    ]
    pieces = _seeds(text, longest, forbidden)
    while waiting:
        pieces = _fitted(pieces, text)
        while waiting and waiting[-1][1] >= len(pieces):
            size, _ = waiting.pop()
            found[size] = _finished(pieces, text, size)
        if not waiting:
            break
        losses = _losses(pieces, text)
        following = int(_KEPT * len(pieces))
        while waiting and waiting[-1][1] >= following:
            size, before = waiting.pop()
            found[size] = _finished(_fitted(_cut(pieces, losses, before), text), text, size)
        pieces = _cut(pieces, losses, following)
    return found


def _seeds(text: _Text, longest: int, forbidden: bytes) -> _Pieces:
    """The substrings with the most bytes in all their occurrences, and first scores."""
    lengths = np.diff(text.ends, prepend=0)
    words = np.repeat(np.arange(len(text.ends), dtype=np.int32), lengths)
    limits = np.minimum(text.ends[words], np.arange(len(text.data)) + longest)
    order = kernels.sorted_suffixes(text.data, limits)
    starts, sizes, counts = kernels.repeats(order, text.data, limits, words, text.weights, longest)
    spelled = counts * sizes
    chosen = np.argsort(-spelled, kind="stable")[:_SEEDS]
    # Text that reads like the special token must not become it.
    alike = np.flatnonzero(sizes == len(forbidden))
    there = [n for n in alike.tolist() if _bytes(text, starts[n], sizes[n]) == forbidden]
    chosen = chosen[~np.isin(chosen, there)]
    # Tries want shorter pieces first; of one length, what spells more has the smaller number.
    chosen = chosen[np.argsort(sizes[chosen], kind="stable")]
    singles = np.bincount(text.data, text.weights[words], minlength=kernels.BYTES)
    masses = np.concatenate([singles, spelled[chosen]]).astype(np.float64)
    scores = np.full(len(masses), -np.inf)
    scores[masses > 0] = np.log(masses[masses > 0] / masses.sum())
    scores[: kernels.BYTES][singles == 0] = scores[masses > 0].min() - _PENALTY
    return _Pieces(starts[chosen], sizes[chosen], scores)


def _expected(pieces: _Pieces, text: _Text) -> _Floats:
    edges = kernels.piece_trie(text.data, pieces.starts, pieces.lengths)
    expected, _ = kernels.expected_counts(
        edges, np.exp(pieces.scores), text.data, text.ends, text.weights
    )
    return np.asarray(expected)


def _fitted(pieces: _Pieces, text: _Text) -> _Pieces:
    """After some steps of expectation and maximisation; pieces that nobody needs have left."""
    for _ in range(_STEPS):
        expected = _expected(pieces, text)
        kept = expected >= _LEAST_EXPECTED
        scores = _maximised(expected, kept, penalty=_PENALTY)
        pieces = _Pieces(pieces.starts, pieces.lengths, scores).only(kept[kernels.BYTES :])
    return pieces


def _maximised(expected: _Floats, kept: npt.NDArray[np.bool_], *, penalty: float) -> _Floats:
    """Scores under a sparse prior (Liang and Klein 2007); below the lowest for what is not kept."""
    digamma = kernels.digamma(np.append(expected[kept], expected[kept].sum()))
    scores = np.full(len(expected), digamma[:-1].min() - digamma[-1] - penalty)
    scores[kept] = digamma[:-1] - digamma[-1]
    return scores


def _losses(pieces: _Pieces, text: _Text) -> _Floats:
    edges = kernels.piece_trie(text.data, pieces.starts, pieces.lengths)
    counts = kernels.segmentation_counts(edges, pieces.scores, text.data, text.ends, text.weights)
    losses = kernels.removal_losses(
        edges, pieces.scores, counts, text.data, pieces.starts, pieces.lengths
    )
    return np.asarray(losses)


def _cut(pieces: _Pieces, losses: _Floats, size: int) -> _Pieces:
    """The pieces that are used and would be missed most; at most `size`."""
    kept = np.zeros(len(pieces), np.bool_)
    kept[np.argsort(-losses, kind="stable")[:size]] = True
    return pieces.only(kept & (losses > -np.inf))


def _finished(pieces: _Pieces, text: _Text, size: int) -> _Pieces:
    """The likeliest pieces, and scores for what is left."""
    if len(pieces) > size:
        kept = np.zeros(len(pieces), np.bool_)
        kept[np.argsort(-pieces.scores[kernels.BYTES :], kind="stable")[:size]] = True
        pieces = pieces.only(kept)
    expected = _expected(pieces, text)
    scores = _maximised(expected, expected >= _LEAST_EXPECTED, penalty=0.0)
    return _Pieces(pieces.starts, pieces.lengths, scores)


def _bytes(text: _Text, start: int, length: int) -> bytes:
    return text.data[start : start + length].tobytes()


def _model(config: TokenizerConfig, text: _Text, pieces: _Pieces) -> TokenizerModel:
    """Ids by falling score, then by bytes, behind the alphabet."""
    rounded = np.round(pieces.scores, _SCORE_DECIMALS)
    data = text.data.tobytes()
    spelled = [
        data[start : start + length]
        for start, length in zip(pieces.starts.tolist(), pieces.lengths.tolist(), strict=True)
    ]
    learned = sorted(
        zip(rounded[kernels.BYTES :].tolist(), spelled, strict=True),
        key=lambda entry: (-entry[0], entry[1]),
    )
    return TokenizerModel(
        config=config,
        tokens=(config.end_of_text.encode(), *ALPHABET, *(piece for _, piece in learned)),
        scores=np.array(
            [0.0, *(rounded[byte[0]] for byte in ALPHABET), *(score for score, _ in learned)]
        ),
    )
