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

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from operators.tokenization import encoding_kernels, merging_kernels, pretoken_kernels
from operators.tokenization.config import ENCODERS, MERGING_ENCODERS, EncoderName, TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_encoding import picky_encoder
from operators.tokenization.token_trie import end_to_end, merge_table, token_trie

# What encodes by the conventions of a reference implementation.
_OTHER_CONVENTIONS: Mapping[str, str] = {
    "subword-nmt": "subword_nmt.Segmenter(model)",
    "picky": "picky_encoding.picky_encoder(model) on symbols.symbols_of(model)(pretokens)",
}

# Pretokens that a cache holds at once, and room for their bytes and ids: about 4 MB, of which a
# text in one language touches little.
_CACHED = 1 << 16
_CACHED_BYTES = 1 << 19

# The seed of pretoken k of a text is the text's seed + k times this, an odd number.
_STEP = np.uint64(0xD1342543DE82EF95)

# Spells chosen pretokens: (data, bounds, chosen, out, out_ends) as in `encoding_kernels`; one
# that draws has seeds before `out`.
_Spell = Callable[..., Any]


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


def make_encoder(
    model: TokenizerModel,
    name: EncoderName | None = None,
    *,
    dropout: float | None = None,
    power: float | None = None,
) -> Encoder:
    """An encoder over the vocabulary of `model`.

    Args:
        name: None is the one that the model's configuration names.
        dropout: of `merges` and `longest_merge`; None is the configuration's.
        power: of `unigram_sampled`, >= 0; None is the configuration's.

    Raises:
        ValueError: if the model has no merges, events or scores for it, if its conventions are
            not "bytes", for an unknown name, a dropout where nothing is merged, or a dropout or
            power out of range.
    """
    chosen = model.config.own_encoder if name is None else name
    share = model.config.dropout if dropout is None else dropout
    exponent = model.config.power if power is None else power
    require_bytes(model.config)
    if chosen not in ENCODERS:
        raise ValueError(f"encoder is {chosen!r}, but must be one of {', '.join(ENCODERS)}")
    if not 0 <= share <= 1:
        raise ValueError(f"dropout is {share}, but must be in [0, 1]")
    if not 0 <= exponent < np.inf:
        raise ValueError(f"power is {exponent}, but must be >= 0 and finite")
    if share > 0 and chosen not in MERGING_ENCODERS:
        raise ValueError(f"dropout is {share}, but encoder {chosen!r} makes no merges to drop")
    if chosen in ("pathpiece_random", "unigram_sampled") or share > 0:
        return _DrawingEncoder(_drawing_speller(model, chosen, share, exponent))
    return _RememberingEncoder(_speller(model, chosen))


def require_bytes(config: TokenizerConfig) -> None:
    """Refuse conventions that no encoder here works by; training can ask before it begins.

    Raises:
        ValueError: saying what encodes by those conventions.
    """
    if config.conventions != "bytes":
        raise ValueError(
            f"these encoders work on bytes, but the model has {config.conventions!r} conventions: "
            f"use {_OTHER_CONVENTIONS[config.conventions]}, or train it with conventions='bytes'"
        )


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


class _Cache(NamedTuple):
    """Ids of pretokens by their bytes; see `pretoken_kernels`."""

    slots: npt.NDArray[np.int64]
    key_ends: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint8]
    id_ends: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    known: npt.NDArray[np.int64]  # [1] entries that there are


class _RememberingEncoder:
    """Spells each different pretoken once, as long as it is remembered."""

    draws = False

    def __init__(self, spell: _Spell) -> None:
        self._spell = spell
        # One for each thread that is at work; lists append and pop without a lock.
        self._caches: list[_Cache] = []

    def encode(
        self,
        data: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        count = len(ends)
        bounds = np.concatenate([[0], ends])
        out = np.empty(len(data), np.int32)
        token_ends = np.zeros(count + 1, np.int64)
        entries = np.empty(count, np.int64)
        missing = np.empty(min(count, _CACHED), np.int64)
        cache = self._take_cache(int(np.diff(bounds).max(initial=0)))
        start = at = 0
        while start < count:
            known = int(cache.known[0])
            stop, new = pretoken_kernels.look_up(
                data,
                bounds,
                start,
                cache.slots,
                cache.key_ends,
                cache.keys,
                known,
                entries,
                missing,
            )
            if new:
                written = cache.id_ends[known]
                new_ends = cache.id_ends[known + 1 : known + 1 + new]
                self._spell(data, bounds, missing[:new], cache.ids[written:], new_ends)
                new_ends += written
                cache.known[0] = known + new
            at = pretoken_kernels.gather(
                entries, start, stop, cache.id_ends, cache.ids, out, at, token_ends[1:]
            )
            if stop < count:  # full: what is frequent comes back soon
                cache.slots[:] = 0
                cache.known[0] = 0
            start = stop
        if len(cache.keys) == _CACHED_BYTES:
            self._caches.append(cache)
        return out[:at], token_ends[groups[1:]]

    def _take_cache(self, longest: int) -> _Cache:
        if longest > _CACHED_BYTES:
            return _empty_cache(longest)
        try:
            return self._caches.pop()
        except IndexError:
            return _empty_cache(longest)


class _DrawingEncoder:
    """Spells every pretoken anew, by a seed that depends on its text and its place there."""

    draws = True

    def __init__(self, spell: _Spell) -> None:
        self._spell = spell

    def encode(
        self,
        data: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        if seeds is None or len(seeds) != len(groups) - 1:
            raise ValueError(f"this encoder draws: it needs a seed for each of {len(groups) - 1}")
        pretokens = np.arange(len(ends))
        sizes = np.diff(groups)
        places = pretokens - np.repeat(groups[:-1], sizes)
        each = np.repeat(seeds, sizes) + places.astype(np.uint64) * _STEP
        out = np.empty(len(data), np.int32)
        token_ends = np.zeros(len(ends) + 1, np.int64)
        bounds = np.concatenate([[0], ends])
        self._spell(data, bounds, pretokens, each, out, token_ends[1:])
        return out[: token_ends[-1]], token_ends[groups[1:]]


def _speller(model: TokenizerModel, name: str) -> _Spell:
    """What spells pretokens without chance."""
    if name == "events":
        return _event_speller(model)
    if name in MERGING_ENCODERS:
        spell = partial(merging_kernels.spell_by_merges, *_merges(model, name), 0.0)
        nothing = np.empty(0, np.uint64)
        return lambda data, bounds, chosen, out, out_ends: spell(
            data, bounds, chosen, nothing, out, out_ends
        )
    trie = token_trie(model.tokens, left_out=model.special_ids, backwards=name == "greedy_suffix")
    if name == "pathpiece":
        nothing = np.empty(0, np.uint64)
        return lambda data, bounds, chosen, out, out_ends: encoding_kernels.fewest(
            trie.edges, trie.size, data, bounds, chosen, nothing, out, out_ends
        )
    if name == "unigram":
        return partial(encoding_kernels.most_probable, trie.edges, trie.size, _scores(model))
    kernels = {
        "longest_first": encoding_kernels.longest_first,
        "greedy": encoding_kernels.greedy,
        "greedy_suffix": encoding_kernels.greedy_suffix,
    }
    return partial(kernels[name], trie.edges, trie.size)


def _drawing_speller(model: TokenizerModel, name: str, dropout: float, power: float) -> _Spell:
    """What spells pretokens by seeds."""
    if name in MERGING_ENCODERS:
        return partial(merging_kernels.spell_by_merges, *_merges(model, name), float(dropout))
    trie = token_trie(model.tokens, left_out=model.special_ids)
    if name == "pathpiece_random":
        return partial(encoding_kernels.fewest, trie.edges, trie.size)
    return partial(encoding_kernels.sampled, trie.edges, trie.size, _scores(model), float(power))


def _event_speller(model: TokenizerModel) -> _Spell:
    """Picky BPE."""
    if not len(model.events) and model.vocab_size > len(model.special_ids) + 256:
        raise ValueError("encoder 'events' needs events, and this model has none")
    byte_ids = _byte_ids(model.tokens)
    events = picky_encoder(model)

    def spell(
        data: npt.NDArray[np.uint8],
        bounds: npt.NDArray[np.int64],
        chosen: npt.NDArray[np.int64],
        out: npt.NDArray[np.int32],
        out_ends: npt.NDArray[np.int64],
    ) -> None:
        begins = bounds[chosen]
        lengths = bounds[chosen + 1] - begins
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(begins - ends + lengths, lengths)
        ids, bounds_of_ids = events.encode(byte_ids[data[places]], np.concatenate([[0], ends]))
        out[: len(ids)] = ids
        out_ends[:] = bounds_of_ids[1:]

    return spell


def _merges(
    model: TokenizerModel, name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The table of merges, and the id of each byte."""
    if model.removed:
        raise ValueError(f"encoder {name!r} would make tokens that Picky BPE removed: use 'events'")
    learned = model.vocab_size - len(model.special_ids) - 256
    if learned > 0 and not len(model.merges):
        raise ValueError(f"encoder {name!r} needs merges, and this model has none: choose another")
    longest_first = model.tokens if name == "longest_merge" else None
    return merge_table(model.merges, longest_first=longest_first), _byte_ids(model.tokens)


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


def _empty_cache(longest: int) -> _Cache:
    """Room for `_CACHED` pretokens, and for one of `longest` bytes at least."""
    room = max(_CACHED_BYTES, longest)
    return _Cache(
        np.zeros(2 * _CACHED, np.int64),
        np.zeros(_CACHED + 1, np.int64),
        np.empty(room, np.uint8),
        np.zeros(_CACHED + 1, np.int64),
        np.empty(room, np.int32),  # no pretoken has more ids than bytes
        np.zeros(1, np.int64),
    )
