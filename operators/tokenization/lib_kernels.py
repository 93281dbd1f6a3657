"""LiB's training, compiled: read, memorise, rank, forget.

A chunk is `data[start:start + length]` of the text it was first read in. Chunks that are known
form a trie; the trie is made anew whenever some are forgotten, which also puts the chunks in the
order of their rank. Everything is one thread with one stream of chance.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators.compiled import njit
from operators.tokenization.encoding_kernels import NODE_BITS, child

_CHILD_MASK = (1 << NODE_BITS) - 1
_MULTIPLIER = 0x1E3779B97F4A7C15

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

# Two readings that have not met again after so many times the longest chunk are not compared.
_HORIZON = 4

# What `sizes` counts: chunks, nodes and edges of the trie.
_CHUNKS, _NODES, _EDGES = range(3)


class _Lexicon(NamedTuple):
    """What is known. Room for as many chunks as may be known at once."""

    starts: Any
    lengths: Any
    credits: Any  # what its readings saved, less the readings that saved nothing
    born: Any  # the round in which it was memorised
    edges: Any  # see `child`; node 0 is the root
    chunks: Any  # [nodes] the chunk that a node stands for, or -1
    sizes: Any


@njit(cache=True)
def _draw(state):
    """A number in [0, 1): SplitMix64 (Steele, Lea, Flood 2014)."""
    state[0] += _GOLDEN
    value = state[0]
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    value = value ^ (value >> np.uint64(31))
    return np.float64(value >> np.uint64(11)) * (1.0 / (1 << 53))


@njit(cache=True)
def _place(edges, key, target):
    mask = len(edges) - 1
    slot = ((key * _MULTIPLIER) >> 24) & mask
    while edges[slot] != 0:
        slot = (slot + 1) & mask
    edges[slot] = (key + 1) << NODE_BITS | target


@njit(cache=True)
def _room_for(lexicon, length):
    """The lexicon with room in its trie for a chunk of so many bytes."""
    edges, chunks = lexicon.edges, lexicon.chunks
    if 2 * (lexicon.sizes[_EDGES] + length) > len(edges):
        larger = np.zeros(4 * len(edges), np.int64)
        for slot in range(len(edges)):
            if edges[slot] != 0:
                _place(larger, (edges[slot] >> NODE_BITS) - 1, edges[slot] & _CHILD_MASK)
        edges = larger
    if lexicon.sizes[_NODES] + length > len(chunks):
        more = np.full(2 * len(chunks) + length, -1, np.int32)
        more[: len(chunks)] = chunks
        chunks = more
    return _Lexicon(
        lexicon.starts, lexicon.lengths, lexicon.credits, lexicon.born, edges, chunks,
        lexicon.sizes,
    )  # fmt: skip


@njit(cache=True)
def _insert(lexicon, data, start, length, chunk):
    """Put a chunk into the trie, which has room; False if it is there already."""
    sizes = lexicon.sizes
    node = np.int64(0)
    for at in range(start, start + length):
        byte = np.int64(data[at])
        following = child(lexicon.edges, node, byte)
        if following < 0:
            following = sizes[_NODES]
            lexicon.chunks[following] = -1
            _place(lexicon.edges, node * 256 + byte, following)
            sizes[_NODES] += 1
            sizes[_EDGES] += 1
        node = following
    if lexicon.chunks[node] >= 0:
        return False
    lexicon.chunks[node] = chunk
    return True


@njit(cache=True)
def _longest_at(lexicon, data, begin, end):
    """(bytes, chunk, bytes of the next shorter one); a byte is always known, as chunk -1."""
    node = np.int64(0)
    longest, chunk, shorter = 1, -1, 1
    for at in range(begin, end):
        node = child(lexicon.edges, node, data[at])
        if node < 0:
            break
        known = lexicon.chunks[node]
        if known >= 0:
            shorter = longest
            longest, chunk = at + 1 - begin, known
    return longest, chunk, shorter


@njit(cache=True)
def _saved(lexicon, data, begin, end, longer, shorter, horizon):
    """Chunks that reading the longer chunk here saves, until both readings meet again; or 0."""
    one, other = begin + longer, begin + shorter
    saved = 0
    while one != other:
        if other - begin > horizon:
            return 0
        if one < other:
            one += _longest_at(lexicon, data, one, end)[0]
            saved -= 1
        else:
            other += _longest_at(lexicon, data, other, end)[0]
            saved += 1
    return saved


@njit(cache=True)
def _forget(lexicon, data, most, share, life, now):
    """Drop the tail of the ranking: `share` of it, and what is above `most`.

    Chunks memorised in the last `life` rounds have not been judged yet: they stay, and count
    for neither. Those that stay are put in the order of their rank: credit, then age.
    """
    count = lexicon.sizes[_CHUNKS]
    order = np.argsort(-lexicon.credits[:count], kind="mergesort")
    judged = 0
    for chunk in range(count):
        judged += now - lexicon.born[chunk] >= life
    stay = min(most, judged - np.int64(share * judged))
    kept = np.ones(count, np.bool_)
    for n in range(count):
        if now - lexicon.born[order[n]] >= life:
            kept[n] = stay > 0
            stay -= 1
    order = order[kept]
    size = len(order)
    lexicon.starts[:size] = lexicon.starts[order]
    lexicon.lengths[:size] = lexicon.lengths[order]
    lexicon.credits[:size] = lexicon.credits[order]
    lexicon.born[:size] = lexicon.born[order]
    lexicon.edges[:] = 0
    lexicon.sizes[_CHUNKS], lexicon.sizes[_NODES], lexicon.sizes[_EDGES] = size, 1, 0
    for chunk in range(size):
        _insert(lexicon, data, lexicon.starts[chunk], lexicon.lengths[chunk], chunk)


@njit(cache=True)
def _is(data, start, stop, what):
    return stop - start == len(what) and np.array_equal(data[start:stop], what)


@njit(cache=True)
def learn_lexicon(
    data, ends, weights, forbidden, limits, memorise, longest, forget, life, settling, fade, seed
):
    """Learn chunks from pretokens that lie end to end.

    Args:
        weights: [pretokens] how often each occurs; it is read once a round, for all of them.
        forbidden: bytes that must not become a chunk.
        limits: [rounds] chunks that may stay at the end of each round.
        memorise: probability that one pair of neighbours is remembered as a chunk.
        longest: bytes that a chunk may have.
        forget: share of the lexicon that is dropped each round.
        life: rounds for which a new chunk is not dropped.
        settling: rounds at the end in which only `limits` drops chunks, new ones too.
        fade: credits are multiplied by this after each round.

    Returns:
        starts and lengths of the chunks, the highest rank first.
    """
    room = 4 * max(1, limits.max()) + 1024
    lexicon = _Lexicon(
        np.empty(room, np.int64),
        np.empty(room, np.int32),
        np.zeros(room, np.float64),
        np.zeros(room, np.int64),
        np.zeros(1 << 12, np.int64),
        np.full(1 << 12, -1, np.int32),
        np.zeros(3, np.int64),
    )
    lexicon.sizes[_NODES] = 1
    state = np.array([seed], np.uint64)
    order = np.arange(len(ends))
    rounds = len(limits)
    for now in range(rounds):
        for n in range(len(order) - 1, 0, -1):
            other = np.int64(_draw(state) * (n + 1))
            order[n], order[other] = order[other], order[n]
        learning = now + 1 < rounds
        for word in order:
            begin, end = int(ends[word - 1]) if word > 0 else 0, int(ends[word])
            chance = 1 - (1 - memorise) ** weights[word]
            before = -1
            while begin < end:
                length, chunk, shorter = _longest_at(lexicon, data, begin, end)
                if chunk >= 0:
                    saved = _saved(lexicon, data, begin, end, length, shorter, _HORIZON * longest)
                    lexicon.credits[chunk] += weights[word] * (saved if saved > 0 else -1)
                stop = begin + length
                if (
                    learning
                    and before >= 0
                    and stop - before <= longest
                    and _draw(state) < chance
                    and not _is(data, before, stop, forbidden)
                ):
                    if lexicon.sizes[_CHUNKS] == room:
                        _forget(lexicon, data, room // 2, 0.0, 0, now)
                    lexicon = _room_for(lexicon, stop - before)
                    new = lexicon.sizes[_CHUNKS]
                    if _insert(lexicon, data, before, stop - before, new):
                        lexicon.starts[new], lexicon.lengths[new] = before, stop - before
                        lexicon.credits[new], lexicon.born[new] = 0.0, now
                        lexicon.sizes[_CHUNKS] += 1
                before = begin
                begin = stop
        if now + settling < rounds:
            _forget(lexicon, data, limits[now], forget, life, now)
        else:
            _forget(lexicon, data, limits[now], 0.0, 0, now)
        lexicon.credits[:] *= fade
    count = lexicon.sizes[_CHUNKS]
    return lexicon.starts[:count].copy(), lexicon.lengths[:count].copy()
