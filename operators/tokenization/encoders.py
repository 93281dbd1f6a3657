"""Ways to spell a text with a vocabulary: an encoder turns pretokens into ids.

All work on bytes, and on any vocabulary that holds the 256 single bytes, so there is always a
spelling and no unknown token. "Longest" counts bytes, not characters.

- `merges`: BPE (Sennrich et al. 2016): the earliest learned merge first, the leftmost of its
  places first. With `dropout`, BPE-dropout (Provilkov et al. 2020).
- `events`: Picky BPE (Chizhov et al. 2024): what training did, in its order, removals included.
- `longest_first`: LBPE (Lian et al. 2025) as we read it: the longest token that occurs anywhere,
  of equally long ones the leftmost; then the same on its left and on its right.
- `longest_merge`: the other reading: BPE in which the merge with the longest result comes first
  and the earlier learned of equals. It reaches only tokens whose parts it makes on the way.
- `pathpiece`: PathPiece (Schmidt et al. 2024): the fewest tokens; of equals the one with the
  longest last token, seen from the end. `pathpiece_random` draws one token of equals uniformly.
- `greedy`: the longest prefix, then the longest prefix of the rest. `greedy_suffix` from the end.
- `unigram`: the most probable segmentation (Kudo 2018); of equals the longest last token.
- `unigram_sampled`: drawn in proportion to P ** power: 1 samples from the model, 0 uniformly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

from operators.tokenization import encoding_kernels as kernels
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_encoding import picky_encoder
from operators.tokenization.token_trie import end_to_end, merge_table, token_trie

EncoderName = Literal[
    "merges",
    "events",
    "longest_first",
    "longest_merge",
    "pathpiece",
    "pathpiece_random",
    "greedy",
    "greedy_suffix",
    "unigram",
    "unigram_sampled",
]

_KINDS = {
    "merges": kernels.MERGES,
    "longest_merge": kernels.MERGES,
    "longest_first": kernels.LONGEST_FIRST,
    "pathpiece": kernels.PATHPIECE,
    "pathpiece_random": kernels.PATHPIECE_RANDOM,
    "greedy": kernels.GREEDY,
    "greedy_suffix": kernels.GREEDY_SUFFIX,
    "unigram": kernels.UNIGRAM,
    "unigram_sampled": kernels.UNIGRAM_SAMPLED,
}

# Pretokens that a cache holds at once, and room for their bytes and ids: about 4 MB, of which a
# text in one language touches little.
_CACHED = 1 << 16
_CACHED_BYTES = 1 << 19
_CACHED_IDS = 1 << 18


class Encoder(Protocol):
    """What `make_encoder` gives. Safe to use from several threads at once."""

    @property
    def draws(self) -> bool:
        """Whether ids depend on `seeds`."""

    def encode(
        self,
        data: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Ids of pretokens that lie end to end.

        Args:
            data: bytes.
            ends: [pretokens] where each ends; none is empty.
            groups: [texts + 1] pretokens groups[t] to groups[t + 1] are those of text t; the
                first is 0, the last the number of pretokens.
            seeds: [texts] of what is drawn.

        Returns:
            ids of all, and where the ids of each text end.

        Raises:
            ValueError: if the encoder draws and there are no seeds.
        """


class _Lexicon(NamedTuple):
    """A vocabulary as `encoding_kernels` reads it."""

    edges: npt.NDArray[np.int64]
    size: int
    pairs: npt.NDArray[np.int64]
    byte_ids: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]


class _Cache(NamedTuple):
    """Ids of pretokens, by their bytes."""

    slots: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int32]
    keys: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]


class _Workspace(NamedTuple):
    """Room for one pretoken."""

    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    c: npt.NDArray[np.int64]
    heap: npt.NDArray[np.int64]
    spare: npt.NDArray[np.int64]
    f: npt.NDArray[np.float64]


def make_encoder(
    model: TokenizerModel,
    name: EncoderName | None = None,
    *,
    dropout: float | None = None,
    power: float = 1.0,
) -> Encoder:
    """An encoder over the vocabulary of `model`.

    Args:
        name: None is the one that the model's configuration names.
        dropout: of `merges` and `longest_merge`; None is the configuration's.
        power: of `unigram_sampled`, >= 0.

    Raises:
        ValueError: if the model has no merges, events or scores for it, if its conventions are
            not "bytes", for an unknown name, a dropout where nothing is merged, or a dropout or
            power out of range.
    """
    chosen = model.config.own_encoder if name is None else name
    share = model.config.dropout if dropout is None else dropout
    if model.config.conventions != "bytes":
        raise ValueError(
            f"these encoders work on bytes, but the model has {model.config.conventions!r} "
            "conventions: train it with conventions='bytes'"
        )
    if chosen not in get_args(EncoderName):
        raise ValueError(
            f"encoder is {chosen!r}, but must be one of {', '.join(get_args(EncoderName))}"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"dropout is {share}, but must be in [0, 1]")
    if not 0 <= power < np.inf:
        raise ValueError(f"power is {power}, but must be >= 0 and finite")
    if share > 0 and chosen not in ("merges", "longest_merge"):
        raise ValueError(f"dropout is {share}, but encoder {chosen!r} makes no merges to drop")
    if chosen == "events":
        return _EventEncoder(model)
    return _VocabularyEncoder(model, chosen, share, power)


def encode_pretokens(
    encoder: Encoder, pretokens: Sequence[bytes], seeds: npt.NDArray[np.uint64] | None = None
) -> list[list[int]]:
    """Ids of each pretoken by itself; an empty one has none."""
    data, ends = end_to_end(pretokens)
    lengths = np.diff(ends, prepend=0)
    filled = np.concatenate([[0], np.cumsum(lengths > 0)])
    ids, bounds = encoder.encode(data, ends[lengths > 0], filled, seeds)
    flat = ids.tolist()
    return [flat[start:stop] for start, stop in pairwise([0, *bounds.tolist()])]


class _VocabularyEncoder:
    """All encoders that need a vocabulary, merges or scores."""

    def __init__(self, model: TokenizerModel, name: str, dropout: float, power: float) -> None:
        self._kind = _KINDS[name]
        merges = np.empty((0, 3), np.int32)
        if name in ("merges", "longest_merge"):
            merges = model.merges
            if model.removed:
                raise ValueError(
                    f"encoder {name!r} would make tokens that Picky BPE removed: use 'events'"
                )
            learned = model.vocab_size - len(model.special_ids) - 256
            if learned > 0 and not len(merges):
                raise ValueError(
                    f"encoder {name!r} needs merges, and this model has none: choose another"
                )
        self._lexicon = _lexicon(
            model,
            merge_table(merges, longest_first=model.tokens if name == "longest_merge" else None),
            _scores(model) if name.startswith("unigram") else np.empty(0),
            backwards=name == "greedy_suffix",
        )
        self._strength = float(power if name == "unigram_sampled" else dropout)
        self._draws = name in ("pathpiece_random", "unigram_sampled") or (
            self._kind == kernels.MERGES and dropout > 0
        )
        # One for each thread that is at work; lists append and pop without a lock.
        self._caches: list[_Cache] = []

    @property
    def draws(self) -> bool:
        return self._draws

    def encode(
        self,
        data: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        if not self._draws:
            seeds = np.empty(0, np.uint64)
        elif seeds is None or len(seeds) != len(groups) - 1:
            raise ValueError(f"this encoder draws: it needs a seed for each of {len(groups) - 1}")
        out = np.empty(len(data), np.int32)
        group_ends = np.empty(len(groups) - 1, np.int64)
        if not len(ends):
            group_ends[:] = 0
            return out[:0], group_ends
        try:
            cache = self._caches.pop()
        except IndexError:
            cache = _empty_cache()
        count = kernels.encode_pretokens(
            self._kind,
            self._lexicon,
            self._strength,
            data,
            ends,
            groups,
            seeds,
            cache,
            _workspace(int(np.diff(ends, prepend=0).max())),
            out,
            group_ends,
        )
        self._caches.append(cache)
        return out[:count], group_ends


class _EventEncoder:
    """Picky BPE. Each different pretoken of a call is replayed once."""

    draws = False

    def __init__(self, model: TokenizerModel) -> None:
        if not len(model.events) and model.vocab_size > len(model.special_ids) + 256:
            raise ValueError("encoder 'events' needs events, and this model has none")
        self._byte_ids = _byte_ids(model.tokens)
        self._events = picky_encoder(model)

    def encode(
        self,
        data: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        first = np.empty(len(ends), np.int64)
        which = np.empty(len(ends), np.int64)
        slots = np.zeros(1 << (2 * len(ends)).bit_length(), np.int64)
        found = kernels.distinct_pretokens(data, ends, slots, first, which)
        begins = np.concatenate([[0], ends])
        lengths = np.diff(begins)[first[:found]]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(bounds[-1]) + np.repeat(begins[first[:found]] - bounds[:-1], lengths)
        ids, id_begins = self._events.encode(self._byte_ids[data[places]], bounds)
        out = np.empty(len(data), np.int32)
        group_ends = np.empty(len(groups) - 1, np.int64)
        count = kernels.gather(id_begins, ids, which, groups, out, group_ends)
        return out[:count], group_ends


def _lexicon(
    model: TokenizerModel,
    pairs: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    *,
    backwards: bool,
) -> _Lexicon:
    trie = token_trie(model.tokens, left_out=model.special_ids, backwards=backwards)
    return _Lexicon(trie.edges, trie.size, pairs, _byte_ids(model.tokens), scores)


def _byte_ids(tokens: Sequence[bytes]) -> npt.NDArray[np.int32]:
    """The id of each byte, [256]."""
    ids = {token: number for number, token in enumerate(tokens) if len(token) == 1}
    return np.array([ids[bytes([byte])] for byte in range(256)], np.int32)


def _scores(model: TokenizerModel) -> npt.NDArray[np.float64]:
    if model.scores is None:
        raise ValueError(
            f"a {model.config.algorithm} model has no scores, which unigram encoders need"
        )
    texts = model.scores[len(model.special_ids) :]
    if not np.all(np.isfinite(texts)):
        raise ValueError(f"{np.sum(~np.isfinite(texts))} scores are not finite")
    return np.ascontiguousarray(model.scores, np.float64)


def _empty_cache() -> _Cache:
    return _Cache(
        np.zeros(2 * _CACHED, np.int64),
        np.zeros((_CACHED, 2), np.int32),
        np.empty(_CACHED_BYTES, np.uint8),
        np.empty(_CACHED_IDS, np.int32),
        np.zeros(1, np.int64),
    )


def _workspace(longest: int) -> _Workspace:
    def numbers(count: int) -> npt.NDArray[np.int64]:
        return np.empty(count, np.int64)

    cells, entries = longest + 2, 2 * longest + 4
    return _Workspace(
        numbers(cells),
        numbers(cells),
        numbers(cells),
        numbers(entries),
        numbers(entries),
        np.empty(cells, np.float64),
    )
