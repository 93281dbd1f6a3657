"""Sentence alignment, compiled: words that speak for a bead, and the cheapest path in a band.

A band holds, for each sentence (or place between sentences) of one side, a span of the other:
row r has the columns low[r] .. high[r] - 1, and its cells begin at `at[r]`. Words of a side are
numbers, one sentence after the other; sentence k has those at `begin[k]` .. `begin[k + 1] - 1`. A
list of words by word (translations, occurrences) is laid out in the same way. Nothing runs in
threads, since sums in another order have other last bits.
"""

from __future__ import annotations

import math

import numpy as np

from operators.compiled import njit

MOST = 4  # sentences of one side that a bead may have
_TIE = 1e-9


@njit(cache=True)
def log_two_tails(x):
    """log of the probability that a standard normal is at least |x| from 0."""
    x = abs(x)
    if x < 25.0:
        return math.log(math.erfc(x / math.sqrt(2.0)))
    square = x * x  # the asymptotic series, where erfc underflows
    series = 1 - 1 / square + 3 / square**2 - 15 / square**3
    return math.log(2.0) - square / 2 - math.log(x * math.sqrt(2 * math.pi)) + math.log(series)


@njit(cache=True)
def length_path(source, target, low, high, at, moves, penalties, ratio, variance):
    """Gale and Church's cheapest path, as the number of the move into each cell (255: none).

    `source[i]` is the length of the first i sentences. Rows are places 0..n, columns 0..m.
    """
    n = len(source) - 1
    cost = np.full(at[n + 1], np.inf)
    taken = np.full(at[n + 1], 255, np.uint8)
    options = np.empty(len(moves))
    cost[0] = 0.0
    for i in range(n + 1):
        for j in range(low[i], high[i]):
            if i == 0 and j == 0:
                continue
            least = np.inf
            for k in range(len(moves)):
                a, b = moves[k, 0], moves[k, 1]
                options[k] = np.inf
                if i < a or j - b < low[i - a] or j - b >= high[i - a]:
                    continue
                before = cost[at[i - a] + j - b - low[i - a]]
                if before == np.inf:
                    continue
                l_s = source[i] - source[i - a]
                l_t = target[j] - target[j - b]
                mean = (l_s + l_t / ratio) / 2
                delta = 0.0
                if mean > 0:
                    delta = (l_s * ratio - l_t) / math.sqrt(mean * variance)
                options[k] = before - log_two_tails(delta) + penalties[k]
                least = min(least, options[k])
            if least == np.inf:
                continue
            for k in range(len(moves)):
                if options[k] <= least + _TIE:
                    taken[at[i] + j - low[i]] = k
                    cost[at[i] + j - low[i]] = options[k]
                    break
    return cost[at[n] + len(target) - 1 - low[n]], taken


@njit(cache=True)
def word_pairs(source, source_begin, target, target_begin, beads, s_often, t_often, width):
    """source word * width + target word of the pairs of positions within beads, of often words."""
    size = 0
    for fill in range(2):
        if fill == 1:
            keys = np.empty(size, np.int64)
            size = 0
        for k in range(len(beads)):
            i, i_end, j, j_end = beads[k]
            for y in range(target_begin[j], target_begin[j_end]):
                if not t_often[target[y]]:
                    continue
                for x in range(source_begin[i], source_begin[i_end]):
                    if s_often[source[x]]:
                        if fill == 1:
                            keys[size] = np.int64(source[x]) * width + target[y]
                        size += 1
    return keys


@njit(cache=True)
def find_entries(source, source_begin, target, target_begin, beads, rows, right):
    """The entry of each pair of positions within beads, bead by bead, target by target; -1: none.

    The entries of source word v are `rows[v]` .. `rows[v + 1] - 1`; `right` are their target
    words, in order.
    """
    size = 0
    for k in range(len(beads)):
        i, i_end, j, j_end = beads[k]
        size += (source_begin[i_end] - source_begin[i]) * (target_begin[j_end] - target_begin[j])
    found = np.full(size, -1, np.int32)
    base = 0
    for k in range(len(beads)):
        i, i_end, j, j_end = beads[k]
        width = source_begin[i_end] - source_begin[i]
        height = target_begin[j_end] - target_begin[j]
        for x in range(width):
            v = source[source_begin[i] + x]
            begin, end = rows[v], rows[v + 1]
            if begin == end:
                continue
            for y in range(height):
                w = target[target_begin[j] + y]
                low, high = begin, end
                while low < high:
                    middle = (low + high) // 2
                    if right[middle] < w:
                        low = middle + 1
                    else:
                        high = middle
                if low < end and right[low] == w:
                    found[base + y * width + x] = low
        base += width * height
    return found


@njit(cache=True)
def expect(source, source_begin, target, target_begin, beads, entry_of, forward, backward,
           s_rate, t_rate, s_share, t_share, counts, s_counts, t_counts):  # fmt: skip
    """One E step of model 1 in both directions: adds up what the two agree on.

    A target word is one of the text at large (`t_share`), or, with probability `t_rate`, made by a
    word of the bead or none: `forward` holds t(target | source) of each entry. And vice versa.
    Counts of entries are roots of the products of both posteriors (after Liang et al. 2006).
    """
    counts[:] = 0.0
    s_counts[:] = 0.0
    t_counts[:] = 0.0
    cell = 0
    for k in range(len(beads)):
        i, i_end, j, j_end = beads[k]
        x0, x1, y0, y1 = source_begin[i], source_begin[i_end], target_begin[j], target_begin[j_end]
        width, height = x1 - x0, y1 - y0
        by_target = np.zeros(height)
        by_source = np.zeros(width)
        for y in range(height):
            for x in range(width):
                entry = entry_of[cell + y * width + x]
                if entry >= 0:
                    by_target[y] += forward[entry]
                    by_source[x] += backward[entry]
        for y in range(height):
            w = target[y0 + y]
            made = t_rate[w] / (width + i_end - i)
            total = (1 - t_rate[w]) * t_share[w] + made * by_target[y]
            t_counts[w] += made * by_target[y] / total
            by_target[y] = made / total
        for x in range(width):
            w = source[x0 + x]
            made = s_rate[w] / (height + j_end - j)
            total = (1 - s_rate[w]) * s_share[w] + made * by_source[x]
            s_counts[w] += made * by_source[x] / total
            by_source[x] = made / total
        for y in range(height):
            for x in range(width):
                entry = entry_of[cell + y * width + x]
                if entry >= 0:
                    both = forward[entry] * by_target[y] * backward[entry] * by_source[x]
                    counts[entry] += math.sqrt(both)
        cell += width * height


@njit(cache=True)
def evidence(  # noqa: PLR0915 - one pass over buffers that all of it shares
    words, begin, other_begin, low, high, at, rate, share, entries_at, entries, said,
             learnt, occurs_at, occurs, now_first, now_last):  # fmt: skip
    """How much more probable a sentence's words are beside a block of the other side than alone.

    Of sentence r and the block of a = 1..MOST sentences that ends with sentence c, the log of the
    likelihood ratio is at [at[r] + c - low[r], a - 1], without `base[r]`, which all blocks share.

    `entries` are other words by word; `said` their translation probabilities; `learnt` the part of
    the count behind each that comes from beads. A word that is explained within the bead that the
    sentence has now (`now_first`..`now_last` - 1) is judged without what that very bead taught.
    """
    found = np.zeros((at[len(low)], MOST))
    base = np.zeros(len(low))
    widest = 1
    for r in range(len(low)):
        widest = max(widest, high[r] - low[r])
    heard = np.zeros(widest)
    # The first occurrence of each word that is not before the band: bands only move forward.
    ahead = occurs_at[:-1].copy()
    for r in range(len(low)):
        first, last = low[r], high[r]
        for y in range(begin[r], begin[r + 1]):
            w = words[y]
            if rate[w] <= 0:
                continue
            base[r] += math.log(1 - rate[w])
            odds = rate[w] / ((1 - rate[w]) * share[w])
            mass = 0.0
            for e in range(entries_at[w], entries_at[w + 1]):
                v = entries[e]
                stop = occurs_at[v + 1]
                o = ahead[v]
                while o < stop and occurs[o] < first:
                    o += 1
                ahead[v] = o
                while o < stop and occurs[o] < last:
                    c = occurs[o]
                    heard[c - first] += said[e]
                    if now_first[r] <= c < now_last[r]:
                        mass += said[e]
                    o += 1
            if mass > 0:
                size = other_begin[now_last[r]] - other_begin[now_first[r]]
                size += now_last[r] - now_first[r]
                made = odds / size
                total = 1 + made * mass
                for e in range(entries_at[w], entries_at[w + 1]):
                    if learnt[e] <= 0:
                        continue
                    v = entries[e]
                    stop = occurs_at[v + 1]
                    o = ahead[v]
                    while o < stop and occurs[o] < now_first[r]:
                        o += 1
                    times = 0
                    p = o
                    while p < stop and occurs[p] < min(now_last[r], last):
                        times += 1
                        p += 1
                    if times == 0:
                        continue
                    taught = times * made * said[e] / total
                    less = said[e] * min(1.0, taught / learnt[e])
                    while o < p:
                        heard[occurs[o] - first] -= less
                        o += 1
            for c in range(first, last):
                block = 0.0
                for a in range(min(MOST, c - first + 1)):
                    block += heard[c - first - a]
                    if block > 1e-12:
                        size = other_begin[c + 1] - other_begin[c - a] + a + 1
                        found[at[r] + c - first, a] += math.log(1 + odds * block / size)
            heard[: last - first] = 0.0
    return found, base


@njit(cache=True)
def length_evidence(l_s, l_t, a, b, ratio, variance, shapes, scales):
    """log of how much more probable two lengths are as a translation than each by itself.

    A t distribution around the ratio - most translations fit better than the variance says, and
    some much worse - against the gamma distribution of a sum of a (b) sentences of the text, in
    both directions, of which this is the mean.
    """
    mean = max((l_s + l_t / ratio) / 2, 1.0)
    square = mean * variance / 2  # of the scale: a t distribution with 4 degrees has this variance
    delta = l_s * ratio - l_t
    near = math.lgamma(2.5) - math.log(4 * math.pi * square) / 2
    near -= 2.5 * math.log(1 + delta * delta / (4 * square)) - math.log(ratio) / 2
    far = 0.0
    for side in range(2):
        shape = shapes[side] * (a if side == 0 else b)
        scale = scales[side]
        length = max(l_s if side == 0 else l_t, 1.0)
        far += (shape - 1) * math.log(length / scale) - length / scale
        far -= math.lgamma(shape) + math.log(scale)
    return near - far / 2


@njit(cache=True)
def lexical_path(  # noqa: PLR0915 - the search and the way back share the table
    source, target, low, high, at, moves, penalties, extend, close, lengths, words_weight,
    forward, f_base, f_band, backward, b_base, b_band,
):  # fmt: skip
    """The best path by words, lengths and kinds of beads: its beads, as `walk_back` gives them,
    and what each of them costs; no beads where there is no path.

    A one-sided bead costs its penalty where it opens a gap, `extend` after another one-sided bead;
    a bead with both sides after a gap costs `close` more. `lengths` are ratio, variance, shapes
    and scales of `length_evidence`; `forward` and `backward` what `evidence` found for target and
    for source sentences in their bands.
    """
    n, m = len(source) - 1, len(target) - 1
    # By whether the last bead has both sides (0) or one (1).
    cost = np.full((at[n + 1], 2), np.inf)
    taken = np.full((at[n + 1], 2), 255, np.uint8)  # move * 2 + the state before
    cost[0, 0] = 0.0
    f_low, f_at, b_low, b_at = f_band[0], f_band[2], b_band[0], b_band[2]
    ratio, variance, shapes, scales = lengths
    for i in range(n + 1):
        for j in range(low[i], high[i]):
            here = at[i] + j - low[i]
            for k in range(len(moves)):
                a, b = moves[k, 0], moves[k, 1]
                if i < a or j - b < low[i - a] or j - b >= high[i - a]:
                    continue
                there = at[i - a] + j - b - low[i - a]
                after, gap = cost[there, 0], cost[there, 1]
                if after == np.inf and gap == np.inf:
                    continue
                state = 1
                if a > 0 and b > 0:
                    state = 0
                    words = 0.0
                    for y in range(j - b, j):
                        words += f_base[y] + forward[f_at[y] + i - 1 - f_low[y], a - 1]
                    for x in range(i - a, i):
                        words += b_base[x] + backward[b_at[x] + j - 1 - b_low[x], b - 1]
                    l_s, l_t = source[i] - source[i - a], target[j] - target[j - b]
                    value = penalties[k] - words_weight * words / 2
                    value -= length_evidence(l_s, l_t, a, b, ratio, variance, shapes, scales)
                    after += value
                    gap += value + close
                else:
                    after += penalties[k]
                    gap += extend
                before = 0
                if gap < after - _TIE:
                    after = gap
                    before = 1
                if after < cost[here, state] - _TIE:
                    cost[here, state] = after
                    taken[here, state] = 2 * k + before
    beads = np.empty((n + m, 4), np.int64)
    costs = np.empty(n + m)
    i, j, row = n, m, n + m
    here = at[n] + m - low[n]
    state = 1 if cost[here, 1] < cost[here, 0] - _TIE else 0
    if cost[here, state] == np.inf:
        return beads[row:], costs[row:]
    while i or j:
        here = at[i] + j - low[i]
        step = taken[here, state]
        a, b = moves[step // 2, 0], moves[step // 2, 1]
        row -= 1
        beads[row, 0], beads[row, 1], beads[row, 2], beads[row, 3] = i - a, i, j - b, j
        costs[row] = cost[here, state]
        i -= a
        j -= b
        state = step % 2
        costs[row] -= cost[at[i] + j - low[i], state]
    return beads[row:], costs[row:]


@njit(cache=True)
def walk_back(taken, low, high, at, moves, n, m):
    """Beads of a path, in order: rows of source begin and end, target begin and end.

    `high` is not needed; it is there so that a band can be given as it is.
    """
    beads = np.empty((n + m, 4), np.int64)
    i, j, k = n, m, n + m
    while i or j:
        move = taken[at[i] + j - low[i]]
        a, b = moves[move, 0], moves[move, 1]
        k -= 1
        beads[k, 0], beads[k, 1], beads[k, 2], beads[k, 3] = i - a, i, j - b, j
        i -= a
        j -= b
    return beads[k:]


@njit(cache=True)
def alike(left_grams, left_at, right_grams, right_at, grams, least):
    """Pairs of words whose sets of character bigrams have a Dice coefficient of `least` or more."""
    # Words of the right side by bigram.
    size = np.zeros(grams + 1, np.int64)
    for g in right_grams:
        size[g + 1] += 1
    where = np.cumsum(size)
    fill = where.copy()
    words = np.empty(len(right_grams), np.int32)
    for w in range(len(right_at) - 1):
        for p in range(right_at[w], right_at[w + 1]):
            words[fill[right_grams[p]]] = w
            fill[right_grams[p]] += 1
    shared = np.zeros(len(right_at) - 1, np.int32)
    touched = np.empty(len(right_at) - 1, np.int32)
    room = 1024
    pairs = np.empty((room, 2), np.int32)
    dice = np.empty(room)
    found = 0
    for v in range(len(left_at) - 1):
        touches = 0
        for p in range(left_at[v], left_at[v + 1]):
            g = left_grams[p]
            for q in range(where[g], where[g + 1]):
                w = words[q]
                if shared[w] == 0:
                    touched[touches] = w
                    touches += 1
                shared[w] += 1
        own = left_at[v + 1] - left_at[v]
        for q in range(touches):
            w = touched[q]
            value = 2.0 * shared[w] / (own + right_at[w + 1] - right_at[w])
            shared[w] = 0
            if value < least:
                continue
            if found == room:
                room *= 2
                more_pairs = np.empty((room, 2), np.int32)
                more_pairs[:found] = pairs
                pairs = more_pairs
                more_dice = np.empty(room)
                more_dice[:found] = dice
                dice = more_dice
            pairs[found, 0], pairs[found, 1] = v, w
            dice[found] = value
            found += 1
    return pairs[:found], dice[:found]
