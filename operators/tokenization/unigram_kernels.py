"""Unigram's training, compiled: seeds from sorted suffixes, expected counts, what a removal costs.

Pretokens lie end to end, number k is `data[ends[k - 1]:ends[k]]` and occurs `weights[k]` times.
Pieces are numbers: 0 to 255 are the bytes, those behind them are `data[start:start + length]`,
shorter ones first. Everything is one thread in one order, so that floats are always summed alike.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import math

import numpy as np

from operators.compiled import njit
from operators.tokenization.encoding_kernels import child, copy_edges, insert_tokens

BYTES = 256

# A probability is value * 2 ** (256 * scale), value being kept in the middle of a float's range,
# so that a pretoken may be as long as a book. Below this a value moves to the next scale.
_TINY, _HUGE = 2.0**-256, 2.0**256
_LOG_HUGE = 256 * math.log(2)

# Up to here, sorting by insertion is quicker.
_FEW = 12


# --- seeds ------------------------------------------------------------------------------------


@njit(cache=True)
def _symbol(data, limits, start, depth):
    """The byte at `depth` of a suffix; -1 behind its end, so that "in" comes before "ing"."""
    at = start + depth
    return np.int64(data[at]) if at < limits[start] else np.int64(-1)


@njit(cache=True)
def _comes_before(data, limits, one, other, depth):
    while True:
        a, b = _symbol(data, limits, one, depth), _symbol(data, limits, other, depth)
        if a != b:
            return a < b
        if a < 0:
            return False
        depth += 1


@njit(cache=True)
def _median(a, b, c):
    if a > b:
        a, b = b, a
    return max(a, min(b, c))


@njit(cache=True)
def sorted_suffixes(data, limits):
    """Positions p in the order of data[p:limits[p]] (multikey quicksort, Bentley and Sedgewick)."""
    order = np.arange(len(data)).astype(np.int32)
    stack = np.empty((1024, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, len(order), 0
    waiting = 1
    while waiting:
        waiting -= 1
        low, high, depth = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2]
        while high - low > _FEW:
            pivot = _median(
                _symbol(data, limits, order[low], depth),
                _symbol(data, limits, order[(low + high) >> 1], depth),
                _symbol(data, limits, order[high - 1], depth),
            )
            less, at, more = low, low, high
            while at < more:
                symbol = _symbol(data, limits, order[at], depth)
                if symbol < pivot:
                    order[less], order[at] = order[at], order[less]
                    less += 1
                    at += 1
                elif symbol > pivot:
                    more -= 1
                    order[more], order[at] = order[at], order[more]
                else:
                    at += 1
            if waiting + 2 > len(stack):
                larger = np.empty((2 * len(stack), 3), np.int64)
                larger[:waiting] = stack[:waiting]
                stack = larger
            stack[waiting, 0], stack[waiting, 1], stack[waiting, 2] = low, less, depth
            stack[waiting + 1, 0], stack[waiting + 1, 1] = more, high
            stack[waiting + 1, 2] = depth
            waiting += 2
            if pivot < 0:
                low = high = less
            else:
                low, high, depth = less, more, depth + 1
        for n in range(low + 1, high):
            start = order[n]
            at = n
            while at > low and _comes_before(data, limits, start, order[at - 1], depth):
                order[at] = order[at - 1]
                at -= 1
            order[at] = start
    return order


@njit(cache=True)
def _common(data, limits, one, other):
    length = 0
    while True:
        a = _symbol(data, limits, one, length)
        if a < 0 or a != _symbol(data, limits, other, length):
            return length
        length += 1


@njit(cache=True)
def repeats(order, data, limits, words, weights, longest):
    """Substrings of two bytes and more that occur twice and more, as often as any longer one.

    A substring that is always followed, or always preceded, by the same byte is left out: the
    longer one occurs as often and spells more. (One that cannot be longer stays.)

    Args:
        order: see `sorted_suffixes`.
        words: [bytes] the pretoken of each byte; none lies across two.
        longest: bytes that a substring may have.

    Returns:
        start of an occurrence, length, and occurrences of each, in the order of their last
        suffix.
    """
    count = len(order)
    # Occurrences, and changes of the byte before, of all suffixes up to each.
    mass = np.zeros(count + 1, np.int64)
    changes = np.zeros(count + 1, np.int64)
    before = -2
    for n in range(count):
        start = order[n]
        mass[n + 1] = mass[n] + weights[words[start]]
        begins = start == 0 or words[start - 1] != words[start]
        here = -1 if begins else int(data[start - 1])
        # Two beginnings differ, too: what stands before them cannot be joined to both.
        changes[n + 1] = changes[n] + (1 if begins or here != before else 0)
        before = here
    starts = np.empty(1024, np.int32)
    lengths = np.empty(1024, np.int32)
    counts = np.empty(1024, np.int64)
    found = 0
    # Open intervals of suffixes with a common beginning: its length, and the first suffix.
    open_lengths = np.zeros(longest + 2, np.int64)
    open_firsts = np.zeros(longest + 2, np.int64)
    depth = 0
    for n in range(1, count + 1):
        # The suffix itself is an interval, too.
        whole = limits[order[n - 1]] - order[n - 1]
        if whole > open_lengths[depth]:
            depth += 1
            open_lengths[depth], open_firsts[depth] = whole, n - 1
        shared = _common(data, limits, order[n - 1], order[n]) if n < count else 0
        first = n - 1
        while open_lengths[depth] > shared:
            length, first = open_lengths[depth], open_firsts[depth]
            depth -= 1
            times = mass[n] - mass[first]
            if length < 2 or times < 2:
                continue
            start = order[first]
            begins = start == 0 or words[start - 1] != words[start]
            if not begins and changes[n] == changes[first + 1] and length < longest:
                continue
            if found == len(starts):
                starts = np.concatenate((starts, np.empty(found, np.int32)))
                lengths = np.concatenate((lengths, np.empty(found, np.int32)))
                counts = np.concatenate((counts, np.empty(found, np.int64)))
            starts[found], lengths[found], counts[found] = start, length, times
            found += 1
        if shared > open_lengths[depth]:
            depth += 1
            open_lengths[depth], open_firsts[depth] = shared, first
    return starts[:found].copy(), lengths[:found].copy(), counts[:found].copy()


# --- the lattice ------------------------------------------------------------------------------


@njit(cache=True)
def piece_trie(data, starts, lengths):
    """The trie of the bytes and of pieces, which `child` reads: piece p is its node p + 1."""
    total = BYTES
    for n in range(len(starts)):
        total += lengths[n]
    flat = np.empty(total, np.uint8)
    ends = np.empty(BYTES + len(starts), np.int64)
    for byte in range(BYTES):
        flat[byte] = byte
        ends[byte] = byte + 1
    at = BYTES
    for n in range(len(starts)):
        for place in range(starts[n], starts[n] + lengths[n]):
            flat[at] = data[place]
            at += 1
        ends[BYTES + n] = at
    edges = np.zeros(_slots(total), np.int64)
    used = insert_tokens(edges, flat, ends, np.arange(len(ends)), len(ends))
    if _slots(used) < len(edges):
        smaller = np.zeros(_slots(used), np.int64)
        copy_edges(edges, smaller)
        return smaller
    return edges


@njit(cache=True)
def _slots(entries):
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return slots


@njit(cache=True)
def _longest_pretoken(ends):
    longest = 0
    begin = 0
    for n in range(len(ends)):
        longest = max(longest, ends[n] - begin)
        begin = ends[n]
    return longest


@njit(cache=True)
def _scaled(value, scale):
    """`value` at scale 0."""
    while scale < 0 and value != 0:
        value *= _TINY
        scale += 1
    while scale > 0:
        value *= _HUGE
        scale -= 1
    return value


@njit(cache=True)
def _add(values, scales, at, value, scale):
    if values[at] == 0:
        values[at], scales[at] = value, scale
    elif scale == scales[at]:
        values[at] += value
    elif scale < scales[at]:
        values[at] += _scaled(value, scale - scales[at])
    else:
        values[at] = _scaled(values[at], scales[at] - scale) + value
        scales[at] = scale


@njit(cache=True)
def _settle(values, scales, at):
    """Bring a finished sum back into the middle of the range."""
    while 0 < values[at] < _TINY:
        values[at] *= _HUGE
        scales[at] -= 1


@njit(cache=True)
def expected_counts(edges, probabilities, data, ends, weights):
    """How often each piece is expected in all pretokens, over all their segmentations.

    Args:
        edges: see `piece_trie`.
        probabilities: [pieces] of one piece each; 0 for a piece that is not there. Every byte
            that occurs has one above 0.

    Returns:
        expected occurrences [pieces], and the logarithm of the probability of all pretokens.
    """
    size = len(probabilities)
    expected = np.zeros(size, np.float64)
    room = _longest_pretoken(ends) + 1
    forward, backward = np.empty(room, np.float64), np.empty(room, np.float64)
    forward_scales, backward_scales = np.empty(room, np.int64), np.empty(room, np.int64)
    # The pieces that begin at each place, and where they stop.
    firsts = np.empty(room, np.int64)
    pieces, stops = np.empty(1024, np.int32), np.empty(1024, np.int32)
    likelihood = 0.0
    begin = 0
    for n in range(len(ends)):
        count = ends[n] - begin
        forward[: count + 1] = 0.0
        forward[0], forward_scales[0] = 1.0, 0
        found = 0
        for at in range(count):
            firsts[at] = found
            _settle(forward, forward_scales, at)
            value, scale = forward[at], forward_scales[at]
            node = np.int64(0)
            for stop in range(at + 1, count + 1):
                node = child(edges, node, data[begin + stop - 1])
                if node < 0:
                    break
                if node > size:
                    continue
                probability = probabilities[node - 1]
                if probability == 0:
                    continue
                if found == len(pieces):
                    pieces = np.concatenate((pieces, np.empty(found, np.int32)))
                    stops = np.concatenate((stops, np.empty(found, np.int32)))
                pieces[found], stops[found] = node - 1, stop
                found += 1
                _add(forward, forward_scales, stop, value * probability, scale)
        firsts[count] = found
        _settle(forward, forward_scales, count)
        likelihood += weights[n] * (math.log(forward[count]) + forward_scales[count] * _LOG_HUGE)
        share = weights[n] / forward[count]
        backward[:count] = 0.0
        backward[count], backward_scales[count] = 1.0, 0
        for at in range(count - 1, -1, -1):
            here = share * forward[at]
            here_scale = forward_scales[at] - forward_scales[count]
            for k in range(firsts[at], firsts[at + 1]):
                piece, stop = pieces[k], stops[k]
                onward, scale = probabilities[piece] * backward[stop], backward_scales[stop]
                _add(backward, backward_scales, at, onward, scale)
                scale += here_scale
                if scale == 0:
                    expected[piece] += here * onward
                else:
                    expected[piece] += _scaled(here * onward, scale)
            _settle(backward, backward_scales, at)
        begin = ends[n]
    return expected, likelihood


@njit(cache=True)
def _best_path(edges, scores, data, begin, end, whole, best, starts, pieces):
    """Fill in the best segmentation of data[begin:end]; `whole` False leaves out that one piece.

    Of equal segmentations, the one with the longest last piece, as the encoder chooses.
    """
    size = len(scores)
    count = end - begin
    starts[: count + 1] = -1
    best[0] = 0.0
    for at in range(count):
        node = np.int64(0)
        for stop in range(at + 1, count + 1):
            node = child(edges, node, data[begin + stop - 1])
            if node < 0:
                break
            if node > size or (not whole and stop - at == count):
                continue
            score = best[at] + scores[node - 1]
            if score == -np.inf:
                continue
            if starts[stop] < 0 or score > best[stop]:
                best[stop], starts[stop], pieces[stop] = score, at, node - 1


@njit(cache=True)
def segmentation_counts(edges, scores, data, ends, weights):
    """How often each piece occurs in the best segmentations of all pretokens, [pieces].

    Args:
        scores: [pieces] log-probabilities; -inf for a piece that is not there.
    """
    counts = np.zeros(len(scores), np.int64)
    room = _longest_pretoken(ends) + 1
    best = np.empty(room, np.float64)
    starts, pieces = np.empty(room, np.int64), np.empty(room, np.int64)
    begin = 0
    for n in range(len(ends)):
        _best_path(edges, scores, data, begin, ends[n], True, best, starts, pieces)
        at = ends[n] - begin
        while at > 0:
            counts[pieces[at]] += weights[n]
            at = starts[at]
        begin = ends[n]
    return counts


@njit(cache=True)
def removal_losses(edges, scores, counts, data, starts, lengths):
    """What the log-likelihood loses when one piece is removed, about, [pieces behind the bytes].

    Each occurrence of the piece becomes its second-best spelling, and every frequency follows
    (SentencePiece's estimate). A piece that does not occur loses nothing: -inf.

    Args:
        counts: see `segmentation_counts`.
    """
    losses = np.full(len(starts), -np.inf)
    total = 0.0
    for n in range(len(counts)):
        total += counts[n]
    longest = 0
    for n in range(len(lengths)):
        longest = max(longest, lengths[n])
    best = np.empty(longest + 1, np.float64)
    froms, pieces = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    for n in range(len(starts)):
        own = counts[BYTES + n]
        if own == 0:
            continue
        stop = starts[n] + lengths[n]
        _best_path(edges, scores, data, starts[n], stop, False, best, froms, pieces)
        used = 0
        at = np.int64(lengths[n])
        while at > 0:
            used += 1
            at = froms[at]
        grown = math.log(total + own * (used - 1.0))
        instead = 0.0
        at = np.int64(lengths[n])
        while at > 0:
            instead += math.log(np.float64(counts[pieces[at]] + own)) - grown
            at = froms[at]
        losses[n] = own * (math.log(np.float64(own)) - math.log(total) - instead)
    return losses


@njit(cache=True)
def digamma(values):
    """The derivative of log gamma, of values > 0 (its asymptotic series from 7 on)."""
    results = np.empty(len(values), np.float64)
    for n in range(len(values)):
        x = values[n]
        result = 0.0
        while x < 7:
            result -= 1 / x
            x += 1
        x -= 0.5
        square = 1 / (x * x)
        result += math.log(x) + square * (
            1 / 24 - square * (7 / 960 - square * (31 / 8064 - square * 127 / 30720))
        )
        results[n] = result
    return results
