"""Encoders, compiled: ids of pretokens that lie end to end as UTF-8.

Pretoken k is `data[ends[k - 1]:ends[k]]`. A vocabulary is a trie (`token_trie` describes it), a
table of merges (`merge_pairs`) and scores; what an encoder does not need is empty. Every encoder
writes the ids of one pretoken to `out` from `at` on and returns where they end. All stands in one
file: numba looks only at a file's own age when it reuses what it compiled.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit

# What `encode_pretokens` does with a pretoken.
MERGES, LONGEST_FIRST, PATHPIECE, PATHPIECE_RANDOM = 0, 1, 2, 3
GREEDY, GREEDY_SUFFIX, UNIGRAM, UNIGRAM_SAMPLED = 4, 5, 6, 7

# An edge of the trie is (node * 256 + byte + 1) << 27 | child, which stays below 2^63.
NODE_BITS = 27
_CHILD_MASK = (1 << NODE_BITS) - 1
_MULTIPLIER = 0x1E3779B97F4A7C15

_LOW = (1 << 32) - 1
_POSITION = (1 << 31) - 1
_NO_MERGE = (1 << 62) - 1
# Up to here a search through all pairs is quicker than a heap.
_FEW_BYTES = 40
# Longer pretokens are rarely seen twice.
_LONGEST_CACHED = 48

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


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


# --- the table of merges ----------------------------------------------------------------------


@njit(cache=True, nogil=True)
def merge_pairs(merges, ranks, pairs):
    """Fill `pairs`, [a power of two, 2], with (left << 31 | right, rank << 32 | result).

    Where a pair has two merges, the smaller rank counts.
    """
    mask = len(pairs) - 1
    pairs[:, 0] = -1
    for n in range(len(merges)):
        key = np.int64(merges[n, 0]) << 31 | np.int64(merges[n, 1])
        value = np.int64(ranks[n]) << 32 | np.int64(merges[n, 2])
        slot = ((key * _MULTIPLIER) >> 24) & mask
        while pairs[slot, 0] != -1 and pairs[slot, 0] != key:
            slot = (slot + 1) & mask
        if pairs[slot, 0] == -1 or value < pairs[slot, 1]:
            pairs[slot, 0] = key
            pairs[slot, 1] = value


@njit(cache=True, nogil=True)
def _merge_of(pairs, left, right):
    """rank << 32 | result of the merge of two ids, or `_NO_MERGE`."""
    key = np.int64(left) << 31 | np.int64(right)
    mask = len(pairs) - 1
    slot = ((key * _MULTIPLIER) >> 24) & mask
    while True:
        found = pairs[slot, 0]
        if found == key:
            return pairs[slot, 1]
        if found == -1:
            return _NO_MERGE
        slot = (slot + 1) & mask


# --- chance -----------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _draw(state):
    """A number in [0, 1): SplitMix64 (Steele, Lea, Flood 2014)."""
    state[0] += _GOLDEN
    value = state[0]
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    value = value ^ (value >> np.uint64(31))
    return np.float64(value >> np.uint64(11)) * (1.0 / (1 << 53))


# --- a heap of numbers, the smallest first ----------------------------------------------------


@njit(cache=True, nogil=True)
def _push(heap, size, key):
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if heap[above] <= key:
            break
        heap[at] = heap[above]
        at = above
    heap[at] = key
    return size + 1


@njit(cache=True, nogil=True)
def _drop_smallest(heap, size):
    size -= 1
    key = heap[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if heap[below] >= key:
            break
        heap[at] = heap[below]
        at = below
    heap[at] = key
    return size


# --- encoders ---------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _merge_few(pairs, byte_ids, data, begin, end, out, at, work):
    """BPE of a short pretoken: the smallest rank first, the leftmost of its places first."""
    count = end - begin
    found = work.a
    for n in range(count):
        out[at + n] = byte_ids[data[begin + n]]
    for n in range(count - 1):
        found[n] = _merge_of(pairs, out[at + n], out[at + n + 1])
    while True:
        best = _NO_MERGE
        where = -1
        for n in range(count - 1):
            if found[n] < best:
                best = found[n]
                where = n
        if where < 0:
            return at + count
        out[at + where] = best & _LOW
        count -= 1
        for n in range(where + 1, count):
            out[at + n] = out[at + n + 1]
            found[n] = found[n + 1]
        if where + 1 < count:
            found[where] = _merge_of(pairs, out[at + where], out[at + where + 1])
        if where > 0:
            found[where - 1] = _merge_of(pairs, out[at + where - 1], out[at + where])


@njit(cache=True, nogil=True)
def _merge_many(pairs, byte_ids, dropout, data, begin, end, out, at, work, state):
    """BPE with a heap, O(n log n). A merge that is dropped waits until another one was made.

    That is Provilkov et al. 2020: before each merge every applicable one is dropped with
    probability `dropout`, and the first of the rest is made; it ends when none is left. Chance is
    asked only as far as the first that stays.
    """
    ids, following, previous, heap, waiting = work.a, work.b, work.c, work.heap, work.spare
    count = end - begin
    size = 0
    for n in range(count):
        ids[n] = byte_ids[data[begin + n]]
        following[n] = n + 1
        previous[n] = n - 1
    for n in range(count - 1):
        merge = _merge_of(pairs, ids[n], ids[n + 1])
        if merge != _NO_MERGE:
            size = _push(heap, size, (merge >> 32) << 32 | n)
    dropped = 0
    while size > 0:
        key = heap[0]
        size = _drop_smallest(heap, size)
        n = key & _LOW
        right = following[n]
        if ids[n] < 0 or right >= count:
            continue
        merge = _merge_of(pairs, ids[n], ids[right])
        if merge >> 32 != key >> 32:  # one of the two has changed since
            continue
        if dropout > 0 and _draw(state) < dropout:
            waiting[dropped] = key
            dropped += 1
            continue
        ids[n] = merge & _LOW
        ids[right] = -1
        after = following[right]
        following[n] = after
        if after < count:
            previous[after] = n
            merge = _merge_of(pairs, ids[n], ids[after])
            if merge != _NO_MERGE:
                size = _push(heap, size, (merge >> 32) << 32 | n)
        before = previous[n]
        if before >= 0:
            merge = _merge_of(pairs, ids[before], ids[n])
            if merge != _NO_MERGE:
                size = _push(heap, size, (merge >> 32) << 32 | before)
        while dropped > 0:
            dropped -= 1
            size = _push(heap, size, waiting[dropped])
    n = 0
    while n < count:
        out[at] = ids[n]
        at += 1
        n = following[n]
    return at


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
def _longest_first(edges, size, data, begin, end, out, at, work):
    """LBPE: the longest token anywhere, of equally long ones the leftmost; then left and right."""
    lengths, tokens, heap = work.a, work.b, work.heap
    count = end - begin
    waiting = 0
    for n in range(count):
        lengths[n], tokens[n] = _longest_from(edges, size, data, begin + n, end)
        waiting = _push(heap, waiting, (_POSITION - lengths[n]) << 31 | n)
    # `taken[n]`: byte n is covered. Placed tokens are as long or longer, so that one which begins
    # inside a candidate covers the candidate's last byte.
    taken = work.c
    taken[:count] = 0
    while waiting > 0:
        key = heap[0]
        waiting = _drop_smallest(heap, waiting)
        n = key & _POSITION
        if taken[n]:
            continue
        if taken[n + lengths[n] - 1]:
            free = n + 1
            while not taken[free]:
                free += 1
            lengths[n], tokens[n] = _longest_from(edges, size, data, begin + n, begin + free)
            waiting = _push(heap, waiting, (_POSITION - lengths[n]) << 31 | n)
            continue
        taken[n : n + lengths[n]] = 1
    n = 0
    while n < count:
        out[at] = tokens[n]
        at += 1
        n += lengths[n]
    return at


@njit(cache=True, nogil=True)
def _pathpiece(edges, size, draws, data, begin, end, out, at, work, state):
    """PathPiece: the fewest tokens; of equals the longest last one, or one drawn uniformly."""
    fewest, tokens, starts, ties = work.a, work.b, work.c, work.heap
    count = end - begin
    fewest[0] = 0
    for n in range(1, count + 1):
        fewest[n] = _NO_MERGE
    for n in range(count):
        cost = fewest[n] + 1
        node = 0
        for stop in range(n + 1, count + 1):
            node = child(edges, node, data[begin + stop - 1])
            if node < 0:
                break
            if node > size or cost > fewest[stop]:
                continue
            # Starts come in ascending order: the first of equals is the longest.
            if cost < fewest[stop]:
                ties[stop] = 1
            else:
                if not draws:
                    continue
                ties[stop] += 1
                if _draw(state) * ties[stop] >= 1.0:
                    continue
            fewest[stop] = cost
            tokens[stop] = node - 1
            starts[stop] = n
    return _write_back(tokens, starts, count, out, at)


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
def _greedy(edges, size, data, begin, end, out, at):
    """The longest token at the beginning, then at the beginning of the rest."""
    while begin < end:
        length, out[at] = _longest_from(edges, size, data, begin, end)
        begin += length
        at += 1
    return at


@njit(cache=True, nogil=True)
def _greedy_suffix(edges, size, data, begin, end, out, at):
    """The longest token at the end, then at the end of the rest; the trie reads backwards."""
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
    return at


@njit(cache=True, nogil=True)
def _most_probable(edges, size, scores, data, begin, end, out, at, work):
    """Unigram: the largest sum of scores; of equals the longest last token."""
    tokens, starts, best = work.b, work.c, work.f
    count = end - begin
    best[0] = 0.0
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
    return _write_back(tokens, starts, count, out, at)


@njit(cache=True, nogil=True)
def _sampled(edges, size, scores, power, data, begin, end, out, at, work, state):
    """Unigram: a segmentation drawn with probability proportional to P ** power.

    `mass[n]` is the logarithm of the sum over all segmentations of what follows n; tokens are then
    drawn from left to right (forward filtering and backward sampling, seen in a mirror).
    """
    mass = work.f
    count = end - begin
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
        left = _draw(state)
        node = 0
        chosen = n
        for stop in range(n + 1, count + 1):
            node = child(edges, node, data[begin + stop - 1])
            if node < 0:
                break
            if node > size:
                continue
            chosen = stop
            out[at] = node - 1
            left -= np.exp(power * scores[node - 1] + mass[stop] - mass[n])
            if left < 0:
                break
        n = chosen
        at += 1
    return at


@njit(cache=True, nogil=True)
def _encode(kind, lexicon, strength, data, begin, end, out, at, work, state):
    edges, size = lexicon.edges, lexicon.size
    if end - begin == 1:  # every byte is a token, and there is no other way to spell it
        out[at] = lexicon.byte_ids[data[begin]]
        return at + 1
    if kind == MERGES:
        if strength <= 0 and end - begin <= _FEW_BYTES:
            return _merge_few(lexicon.pairs, lexicon.byte_ids, data, begin, end, out, at, work)
        return _merge_many(
            lexicon.pairs, lexicon.byte_ids, strength, data, begin, end, out, at, work, state
        )
    if kind == LONGEST_FIRST:
        return _longest_first(edges, size, data, begin, end, out, at, work)
    if kind in (PATHPIECE, PATHPIECE_RANDOM):
        draws = kind == PATHPIECE_RANDOM
        return _pathpiece(edges, size, draws, data, begin, end, out, at, work, state)
    if kind == GREEDY:
        return _greedy(edges, size, data, begin, end, out, at)
    if kind == GREEDY_SUFFIX:
        return _greedy_suffix(edges, size, data, begin, end, out, at)
    if kind == UNIGRAM:
        return _most_probable(edges, size, lexicon.scores, data, begin, end, out, at, work)
    return _sampled(edges, size, lexicon.scores, strength, data, begin, end, out, at, work, state)


# --- many pretokens ---------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _remember(cache, slot, tag, data, begin, end, out, first, at):
    """Keep the ids of a pretoken. A full cache is emptied: what is frequent comes back soon."""
    entry = cache.used[0]
    keys, ids = cache.bounds[entry, 0], cache.bounds[entry, 1]
    full = (
        entry + 2 > len(cache.bounds)
        or keys + end - begin > len(cache.keys)
        or ids + at - first > len(cache.ids)
    )
    if full:
        cache.slots[:] = 0
        cache.used[0] = 0
        return
    for n in range(end - begin):
        cache.keys[keys + n] = data[begin + n]
    for n in range(at - first):
        cache.ids[ids + n] = out[first + n]
    cache.bounds[entry + 1, 0] = keys + end - begin
    cache.bounds[entry + 1, 1] = ids + at - first
    cache.used[0] = entry + 1
    cache.slots[slot] = tag | (entry + 1)


@njit(cache=True, nogil=True)
def distinct_pretokens(data, ends, slots, first, which):
    """Number the pretokens by their bytes, in the order in which they first appear.

    Args:
        slots: [a power of two, at least twice the pretokens] zeros.
        first: [pretokens] written here: by number, the first pretoken with these bytes.
        which: [pretokens] written here: the number of each pretoken.

    Returns:
        How many different ones there are.
    """
    mask = len(slots) - 1
    found = 0
    begin = 0
    for k in range(len(ends)):
        end = ends[k]
        code = 0
        for n in range(begin, end):
            code = (code ^ np.int64(data[n])) * _MULTIPLIER
        slot = (code >> 20) & mask
        number = -1
        while slots[slot] != 0:
            number = slots[slot] - 1
            other = first[number]
            there = ends[other - 1] if other > 0 else 0
            if ends[other] - there == end - begin:
                same = True
                for n in range(end - begin):
                    if data[there + n] != data[begin + n]:
                        same = False
                        break
                if same:
                    break
            number = -1
            slot = (slot + 1) & mask
        if number < 0:
            number = found
            first[found] = k
            found += 1
            slots[slot] = found
        which[k] = number
        begin = end
    return found


@njit(cache=True, nogil=True)
def gather(first_ids, ids, which, groups, out, group_ends):
    """Write ids[first_ids[d]:first_ids[d + 1]] of d = which[k] for every pretoken k."""
    at = 0
    for t in range(len(groups) - 1):
        for k in range(groups[t], groups[t + 1]):
            for n in range(first_ids[which[k]], first_ids[which[k] + 1]):
                out[at] = ids[n]
                at += 1
        group_ends[t] = at
    return at


@njit(cache=True, nogil=True)
def encode_pretokens(
    kind, lexicon, strength, data, ends, groups, states, cache, work, out, group_ends
):
    """Encode all pretokens; returns the number of ids.

    Args:
        strength: the share of merges that MERGES drops; the power of UNIGRAM_SAMPLED.
        groups: [texts + 1] pretokens groups[t] to groups[t + 1] are those of text t.
        states: [texts] seeds of what is drawn, or [0] where nothing is: then ids of a pretoken
            are always the same, and `cache` keeps them.
        work: room for the longest pretoken.
        out: room for as many ids as there are bytes.
        group_ends: [texts] where the ids of each text end, written here.
    """
    state = np.zeros(1, np.uint64)
    draws = len(states) > 0
    mask = len(cache.slots) - 1
    at = 0
    begin = ends[groups[0] - 1] if groups[0] > 0 else 0
    for t in range(len(groups) - 1):
        if draws:
            state[0] = states[t]
        for k in range(groups[t], groups[t + 1]):
            end = ends[k]
            if draws or end - begin > _LONGEST_CACHED or end - begin == 1:
                at = _encode(kind, lexicon, strength, data, begin, end, out, at, work, state)
                begin = end
                continue
            code = 0
            for n in range(begin, end):
                code = (code ^ np.int64(data[n])) * _MULTIPLIER
            slot = (code >> 20) & mask
            tag = (code >> 3) & ~_LOW
            entry = 0
            while True:
                found = cache.slots[slot]
                if found == 0:
                    break
                if found & ~_LOW == tag:
                    entry = found & _LOW
                    keys = cache.bounds[entry - 1, 0]
                    if cache.bounds[entry, 0] - keys == end - begin:
                        same = True
                        for n in range(end - begin):
                            if cache.keys[keys + n] != data[begin + n]:
                                same = False
                                break
                        if same:
                            break
                    entry = 0
                slot = (slot + 1) & mask
            if entry > 0:
                for n in range(cache.bounds[entry - 1, 1], cache.bounds[entry, 1]):
                    out[at] = cache.ids[n]
                    at += 1
            else:
                first = at
                at = _encode(kind, lexicon, strength, data, begin, end, out, at, work, state)
                _remember(cache, slot, tag, data, begin, end, out, first, at)
            begin = end
        group_ends[t] = at
    return at
