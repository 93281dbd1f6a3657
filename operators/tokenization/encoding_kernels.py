"""Spell pretokens with a vocabulary, compiled: a trie of tokens, and the encoders that walk it.

Pretokens lie end to end: number k is `data[bounds[k]:bounds[k + 1]]`. Every encoder takes

    data, bounds    the pretokens; none is empty
    chosen          numbers of those to spell
    out             room for as many ids as they have bytes: the ids are written here
    out_ends        [chosen] where the ids of each end, written here

and, where something is drawn, seeds [chosen]. `token_trie` says what edges and size are.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.kernel_parts import draw, drop_smallest, push

# An edge of the trie is (node * 256 + byte + 1) << 27 | child, which stays below 2^63.
NODE_BITS = 27
_CHILD_MASK = (1 << NODE_BITS) - 1
_MULTIPLIER = 0x1E3779B97F4A7C15

_POSITION = (1 << 31) - 1
_UNREACHED = (1 << 62) - 1


# --- the trie ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def child(edges, node, byte):
    """The node that `byte` leads to from `node`, or -1."""
    key = np.int64(node) * 256 + np.int64(byte)
    mask = len(edges) - 1
    slot = ((key * _MULTIPLIER) >> 24) & mask
    while True:
        edge = edges[slot]
        if edge == 0:
            return -1
        if edge >> NODE_BITS == key + 1:
            return edge & _CHILD_MASK
        slot = (slot + 1) & mask


@njit(cache=True, nogil=True)
def _place_edge(edges, key, target):
    mask = len(edges) - 1
    slot = ((key * _MULTIPLIER) >> 24) & mask
    while edges[slot] != 0:
        slot = (slot + 1) & mask
    edges[slot] = (key + 1) << NODE_BITS | target


@njit(cache=True, nogil=True)
def insert_tokens(edges, flat, ends, ids, size):
    """Add tokens, which lie end to end, shorter ones first; returns the number of edges."""
    used = 0
    inner = size + 1
    begin = 0
    for n in range(len(ends)):
        node = 0
        for at in range(begin, ends[n]):
            byte = np.int64(flat[at])
            following = child(edges, node, byte)
            if following < 0:
                if at + 1 == ends[n]:
                    following = ids[n] + 1
                else:
                    following = inner
                    inner += 1
                _place_edge(edges, node * 256 + byte, following)
                used += 1
            node = following
        begin = ends[n]
    return used


@njit(cache=True, nogil=True)
def copy_edges(edges, smaller):
    """Put all edges into a table of another size."""
    for slot in range(len(edges)):
        edge = edges[slot]
        if edge != 0:
            _place_edge(smaller, (edge >> NODE_BITS) - 1, edge & _CHILD_MASK)


# --- encoders ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _longest(bounds, chosen):
    """Bytes of the longest of these pretokens."""
    longest = 0
    for k in chosen:
        longest = max(longest, bounds[k + 1] - bounds[k])
    return longest


@njit(cache=True, nogil=True)
def _longest_from(edges, size, data, begin, end):
    """(bytes, id) of the longest token that begins at `begin` and ends at `end` or before."""
    node = 0
    longest = 0
    token = -1
    for at in range(begin, end):
        node = child(edges, node, data[at])
        if node < 0:
            break
        if node <= size:
            longest = at + 1 - begin
            token = node - 1
    return longest, token


@njit(cache=True, nogil=True)
def longest_first(edges, size, data, bounds, chosen, out, out_ends):
    """LBPE: the longest token anywhere, of equally long ones the leftmost; then left and right."""
    room = _longest(bounds, chosen)
    lengths, tokens, heap = (
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
    )
    # `taken[n]`: byte n is covered. Placed tokens are as long or longer, so that one which begins
    # inside a candidate covers the candidate's last byte.
    taken = np.empty(room, np.bool_)
    at = 0
    for m in range(len(chosen)):
        begin, end = bounds[chosen[m]], bounds[chosen[m] + 1]
        count = end - begin
        waiting = 0
        for n in range(count):
            taken[n] = False
            lengths[n], tokens[n] = _longest_from(edges, size, data, begin + n, end)
            waiting = push(heap, waiting, (_POSITION - lengths[n]) << 31 | n)
        while waiting > 0:
            key = heap[0]
            waiting = drop_smallest(heap, waiting)
            n = key & _POSITION
            if taken[n]:
                continue
            if taken[n + lengths[n] - 1]:
                free = n + 1
                while not taken[free]:
                    free += 1
                lengths[n], tokens[n] = _longest_from(edges, size, data, begin + n, begin + free)
                waiting = push(heap, waiting, (_POSITION - lengths[n]) << 31 | n)
                continue
            taken[n : n + lengths[n]] = True
        n = 0
        while n < count:
            out[at] = tokens[n]
            at += 1
            n += lengths[n]
        out_ends[m] = at


@njit(cache=True, nogil=True)
def fewest(edges, size, data, bounds, chosen, seeds, out, out_ends):
    """PathPiece: the fewest tokens; of equals the longest last one, or with seeds any of them."""
    room = _longest(bounds, chosen) + 1
    costs, tokens, starts, ties = (
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
    )
    draws = len(seeds) > 0
    state = np.zeros(1, np.uint64)
    at = 0
    for m in range(len(chosen)):
        begin = bounds[chosen[m]]
        count = bounds[chosen[m] + 1] - begin
        if draws:
            state[0] = seeds[m]
        costs[0] = 0
        costs[1 : count + 1] = _UNREACHED
        for n in range(count):
            cost = costs[n] + 1
            node = 0
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node > size or cost > costs[stop]:
                    continue
                # Starts come in ascending order: the first of equals is the longest.
                if cost < costs[stop]:
                    ties[stop] = 1
                else:
                    if not draws:
                        continue
                    ties[stop] += 1
                    if draw(state) * ties[stop] >= 1.0:
                        continue
                costs[stop] = cost
                tokens[stop] = node - 1
                starts[stop] = n
        at = _write_back(tokens, starts, count, out, at)
        out_ends[m] = at


@njit(cache=True, nogil=True)
def _write_back(tokens, starts, count, out, at):
    """Write the path that ends at `count` and has token `tokens[n]` from `starts[n]` to n."""
    steps = 0
    n = count
    while n > 0:
        steps += 1
        n = starts[n]
    n = count
    for step in range(at + steps - 1, at - 1, -1):
        out[step] = tokens[n]
        n = starts[n]
    return at + steps


@njit(cache=True, nogil=True)
def greedy(edges, size, data, bounds, chosen, out, out_ends):
    """The longest token at the beginning, then at the beginning of the rest."""
    at = 0
    for m in range(len(chosen)):
        begin, end = bounds[chosen[m]], bounds[chosen[m] + 1]
        while begin < end:
            length, out[at] = _longest_from(edges, size, data, begin, end)
            begin += length
            at += 1
        out_ends[m] = at


@njit(cache=True, nogil=True)
def greedy_suffix(edges, size, data, bounds, chosen, out, out_ends):
    """The longest token at the end, then at the end of the rest; the trie reads backwards."""
    at = 0
    for m in range(len(chosen)):
        begin, end = bounds[chosen[m]], bounds[chosen[m] + 1]
        first = at
        while end > begin:
            node = 0
            stop = end
            for n in range(end - 1, begin - 1, -1):
                node = child(edges, node, data[n])
                if node < 0:
                    break
                if node <= size:
                    stop = n
                    out[at] = node - 1
            end = stop
            at += 1
        for n in range((at - first) // 2):
            out[first + n], out[at - 1 - n] = out[at - 1 - n], out[first + n]
        out_ends[m] = at


@njit(cache=True, nogil=True)
def most_probable(edges, size, scores, data, bounds, chosen, out, out_ends):
    """Unigram: the largest sum of scores; of equals the longest last token."""
    room = _longest(bounds, chosen) + 1
    tokens, starts, best = (
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.float64),
    )
    best[:1] = 0.0
    at = 0
    for m in range(len(chosen)):
        begin = bounds[chosen[m]]
        count = bounds[chosen[m] + 1] - begin
        starts[1 : count + 1] = -1
        for n in range(count):
            node = 0
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node > size:
                    continue
                score = best[n] + scores[node - 1]
                if starts[stop] < 0 or score > best[stop]:
                    best[stop] = score
                    tokens[stop] = node - 1
                    starts[stop] = n
        at = _write_back(tokens, starts, count, out, at)
        out_ends[m] = at


@njit(cache=True, nogil=True)
def sampled(edges, size, scores, power, data, bounds, chosen, seeds, out, out_ends):
    """Unigram: a segmentation drawn with probability proportional to P ** power.

    `mass[n]` is the logarithm of the sum over all segmentations of what follows n; tokens are then
    drawn from left to right (forward filtering and backward sampling, seen in a mirror).
    """
    mass = np.empty(_longest(bounds, chosen) + 1, np.float64)
    state = np.zeros(1, np.uint64)
    at = 0
    for m in range(len(chosen)):
        begin = bounds[chosen[m]]
        count = bounds[chosen[m] + 1] - begin
        state[0] = seeds[m]
        mass[count] = 0.0
        for n in range(count - 1, -1, -1):
            highest = -np.inf
            total = 0.0
            node = 0
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node > size:
                    continue
                value = power * scores[node - 1] + mass[stop]
                if value > highest:
                    total = total * np.exp(highest - value) + 1.0
                    highest = value
                else:
                    total += np.exp(value - highest)
            mass[n] = highest + np.log(total)
        n = 0
        while n < count:
            left = draw(state)
            node = 0
            chosen_stop = n
            for stop in range(n + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node > size:
                    continue
                chosen_stop = stop
                out[at] = node - 1
                left -= np.exp(power * scores[node - 1] + mass[stop] - mass[n])
                if left < 0:
                    break
            n = chosen_stop
            at += 1
        out_ends[m] = at
