"""Byte-pair encoding and its variants learned from counted pretokens, compiled.

Pretokens lie end to end, each a doubly linked list of symbols, so that a merge costs as much as
there are occurrences of its pair, however long the pretokens are. Every pair knows its count and
where it occurs; a heap knows the most frequent one. The lists of places and the heap may hold
what is no longer true, and are checked when they are read: the counts are always exact.

Small functions in the innermost loops are written into their callers (`inline="always"`): a call
copies every array's description, which takes longer than what they do.

Two neighbours are counted as often as they stand side by side, so "aaa" has the pair (a, a)
twice, as every known implementation counts.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from operators.tokenization.token_tables import (
    pair_key,
    pair_slot,
    slots_for,
    string_slot,
    string_table,
)

_NOWHERE = -1
_RIGHT_HALF = (1 << 32) - 1
_SPACE, _COLON = 0x20, 0x3A

# What `sizes` counts: pairs, entries of the heap, places, tokens, and the neighbours that the
# current step has touched on the left and on the right.
_PAIRS, _HEAP, _PLACES, _TOKENS, _LEFT, _RIGHT = range(6)


class _Text(NamedTuple):
    """All pretokens: a cell for each symbol that they began with."""

    symbols: Any  # [cells] id of the token that begins here, -1 inside of one
    after: Any  # [cells] where the next token of the pretoken begins, or -1
    before: Any
    words: Any  # [cells] which pretoken
    weights: Any  # [pretokens] how often it occurs


class _Pairs(NamedTuple):
    keys: Any  # [slots] see `pair_slot`
    slots: Any  # [slots] position in what follows
    left: Any
    right: Any
    counts: Any
    heads: Any  # first of its list of places, or -1


class _Heap(NamedTuple):
    counts: Any
    keys: Any  # `pair_key`
    pairs: Any


class _Places(NamedTuple):
    """Linked lists of cells, all in one pool."""

    cells: Any
    links: Any  # the next of the list, or -1


class _Tokens(NamedTuple):
    data: Any  # bytes of all tokens
    begins: Any  # where those of each begin
    slots: Any  # see `string_slot`
    left: Any  # the two tokens it was first made of
    right: Any
    width: Any  # cells that it covers
    frequency: Any
    present: Any  # whether it is in the vocabulary
    heads: Any  # where it occurs, for tokens that may be removed


class _Sides(NamedTuple):
    """What one step changes, by the neighbour on the left [0] and on the right [1]."""

    touched: Any  # neighbours in the order of their first appearance
    stamp: Any  # the step that wrote what follows
    occurrences: Any
    heads: Any
    tails: Any
    pairs: Any


@njit(cache=True)
def _grown(array, size):
    larger = np.empty(max(size, len(array) + len(array) // 2), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True)
def _compare(data, begins, one, other):
    """The order of two tokens by their bytes: -1, 0 or 1."""
    first, second = begins[one], begins[other]
    length, other_length = begins[one + 1] - first, begins[other + 1] - second
    for n in range(min(length, other_length)):
        if data[first + n] != data[second + n]:
            return 1 if data[first + n] > data[second + n] else -1
    return 0 if length == other_length else (1 if length > other_length else -1)


@njit(cache=True, inline="always")
def _precedes(count, key, other_count, other, data, begins, bytewise):
    """Whether one pair is merged before another: the more frequent; then by ids or by bytes."""
    if count != other_count:
        return count > other_count
    if bytewise:
        order = _compare(data, begins, key >> 32, other >> 32)
        if order == 0:
            order = _compare(data, begins, key & _RIGHT_HALF, other & _RIGHT_HALF)
        return order > 0
    return key < other


@njit(cache=True)
def _push(heap, sizes, count, pair, key, data, begins, bytewise):
    if sizes[_HEAP] == len(heap.pairs):
        size = sizes[_HEAP] + 1
        heap = _Heap(_grown(heap.counts, size), _grown(heap.keys, size), _grown(heap.pairs, size))
    counts, keys, pairs = heap.counts, heap.keys, heap.pairs
    here = sizes[_HEAP]
    sizes[_HEAP] += 1
    while here:
        above = (here - 1) >> 1
        if not _precedes(count, key, counts[above], keys[above], data, begins, bytewise):
            break
        counts[here], keys[here], pairs[here] = counts[above], keys[above], pairs[above]
        here = above
    counts[here], keys[here], pairs[here] = count, key, pair
    return heap


@njit(cache=True, inline="always")
def _offered(heap, sizes, pair, least, pairs, tokens, bytewise):
    """The heap with a pair that is frequent enough."""
    count = pairs.counts[pair]
    if count >= least:
        key = pair_key(pairs.left[pair], pairs.right[pair])
        heap = _push(heap, sizes, count, pair, key, tokens.data, tokens.begins, bytewise)
    return heap


@njit(cache=True)
def _drop_first(heap, sizes, data, begins, bytewise):
    counts, keys, pairs = heap.counts, heap.keys, heap.pairs
    sizes[_HEAP] -= 1
    size = sizes[_HEAP]
    count, key, pair = counts[size], keys[size], pairs[size]
    here = 0
    while 2 * here + 1 < size:
        below = 2 * here + 1
        if below + 1 < size and _precedes(
            counts[below + 1], keys[below + 1], counts[below], keys[below], data, begins, bytewise
        ):
            below += 1
        if not _precedes(counts[below], keys[below], count, key, data, begins, bytewise):
            break
        counts[here], keys[here], pairs[here] = counts[below], keys[below], pairs[below]
        here = below
    counts[here], keys[here], pairs[here] = count, key, pair


@njit(cache=True)
def _room_for_pairs(pairs, sizes, more):
    """The same pairs with room for `more`."""
    needed = sizes[_PAIRS] + more
    left, right, counts, heads = pairs.left, pairs.right, pairs.counts, pairs.heads
    if needed > len(left):
        left, right = _grown(left, needed), _grown(right, needed)
        counts, heads = _grown(counts, needed), _grown(heads, needed)
    keys, slots = pairs.keys, pairs.slots
    if 2 * needed > len(keys):
        keys = np.full(slots_for(2 * needed), -1, np.int64)
        slots = np.empty(len(keys), np.int32)
        for pair in range(sizes[_PAIRS]):
            key = pair_key(left[pair], right[pair])
            at = pair_slot(keys, key)
            keys[at], slots[at] = key, pair
    return _Pairs(keys, slots, left, right, counts, heads)


@njit(cache=True, inline="always")
def _pair(pairs, sizes, left, right):
    """The pair of two tokens, made if it is new: there must be room for it."""
    key = pair_key(left, right)
    at = pair_slot(pairs.keys, key)
    if pairs.keys[at] == -1:
        pair = sizes[_PAIRS]
        sizes[_PAIRS] += 1
        pairs.keys[at], pairs.slots[at] = key, pair
        pairs.left[pair], pairs.right[pair] = left, right
        pairs.counts[pair], pairs.heads[pair] = 0, _NOWHERE
    return pairs.slots[at]


@njit(cache=True)
def _linked(symbols, begins, weights):
    cells = len(symbols)
    after, before = np.empty(cells, np.int32), np.empty(cells, np.int32)
    words = np.empty(cells, np.int32)
    for word in range(len(begins) - 1):
        start, stop = begins[word], begins[word + 1]
        for cell in range(start, stop):
            words[cell] = word
            before[cell] = cell - 1 if cell > start else _NOWHERE
            after[cell] = cell + 1 if cell + 1 < stop else _NOWHERE
    return _Text(symbols, after, before, words, weights)


@njit(cache=True)
def _counted(text, specials, sizes):
    """All pairs with their counts and places. No pair holds a special token."""
    pairs = _Pairs(
        np.full(64, -1, np.int64),
        np.empty(64, np.int32),
        np.empty(32, np.int32),
        np.empty(32, np.int32),
        np.empty(32, np.int64),
        np.empty(32, np.int32),
    )
    places = _Places(
        np.empty(2 * len(text.symbols) + 16, np.int32),
        np.empty(2 * len(text.symbols) + 16, np.int32),
    )
    # Backwards, so that each list, which grows at its head, runs forwards through the text.
    for cell in range(len(text.symbols) - 1, -1, -1):
        behind = text.after[cell]
        if behind == _NOWHERE or min(text.symbols[cell], text.symbols[behind]) < specials:
            continue
        pairs = _room_for_pairs(pairs, sizes, 1)
        pair = _pair(pairs, sizes, text.symbols[cell], text.symbols[behind])
        pairs.counts[pair] += text.weights[text.words[cell]]
        at = sizes[_PLACES]
        sizes[_PLACES] += 1
        places.cells[at], places.links[at] = cell, pairs.heads[pair]
        pairs.heads[pair] = at
    return pairs, places


@njit(cache=True)
def _room_for_token(tokens, sizes, length):
    """The same tokens with room for one more of `length` bytes."""
    count = sizes[_TOKENS]
    data = tokens.data
    end = tokens.begins[count]
    if end + length > len(data):
        data = _grown(data, end + length)
    begins, left, right = tokens.begins, tokens.left, tokens.right
    width, frequency = tokens.width, tokens.frequency
    present, heads, slots = tokens.present, tokens.heads, tokens.slots
    if count + 1 >= len(begins):
        size = count + 2 + count // 2
        begins, left, right = _grown(begins, size), _grown(left, size), _grown(right, size)
        width, frequency = _grown(width, size), _grown(frequency, size)
        present, heads = _grown(present, size), _grown(heads, size)
    if 2 * (count + 1) > len(slots):
        slots = string_table(data, begins[: count + 1], slots_for(2 * (count + 1)))
    return _Tokens(data, begins, slots, left, right, width, frequency, present, heads)


@njit(cache=True)
def _joined(tokens, sizes, left, right):
    """Write the bytes of two tokens behind those of the last one; say where they end."""
    end = tokens.begins[sizes[_TOKENS]]
    for token in (left, right):
        for n in range(tokens.begins[token], tokens.begins[token + 1]):
            tokens.data[end] = tokens.data[n]
            end += 1
    return end


@njit(cache=True)
def _is_superword(data, start, stop, max_words):
    """Whether SuperBPE allows a token: at most so many words, and no space behind a colon."""
    words = 0
    for n in range(start, stop):
        if data[n] == _SPACE:
            if n > start and data[n - 1] == _COLON:
                return False
        elif n == start or data[n - 1] == _SPACE:
            words += 1
    return words <= max_words


@njit(cache=True)
def _room_for_sides(sides, size):
    if size <= sides.touched.shape[1]:
        return sides
    size += size // 2
    return _Sides(
        np.empty((2, size), np.int32),
        np.zeros((2, size), np.int64),
        np.empty((2, size), np.int64),
        np.empty((2, size), np.int32),
        np.empty((2, size), np.int32),
        np.empty((2, size), np.int32),
    )


@njit(cache=True, inline="always")
def _note(sides, sizes, side, neighbour, weight, step, place):
    """One occurrence, whose new pair has the given place, beside `neighbour`."""
    if sides.stamp[side, neighbour] != step:
        sides.stamp[side, neighbour] = step
        sides.occurrences[side, neighbour] = 0
        sides.heads[side, neighbour] = _NOWHERE
        sides.tails[side, neighbour] = place
        sides.touched[side, sizes[_LEFT + side]] = neighbour
        sizes[_LEFT + side] += 1
    sides.occurrences[side, neighbour] += weight
    previous = sides.heads[side, neighbour]
    sides.heads[side, neighbour] = place
    return previous


@njit(cache=True)
def _settle(
    pairs, heap, places, tokens, sides, sizes, old_first, new_first, old_last, new_last,
    least, bytewise,
):  # fmt: skip
    """Turn what a step noted into counts, places and entries of the heap.

    Each occurrence beside a left neighbour x was a pair (x, old_first) and is now
    (x, new_first); beside a right neighbour y, (old_last, y) and (new_last, y). Gains come
    before losses: a neighbour may itself have been replaced in the same step.
    """
    pairs = _room_for_pairs(pairs, sizes, 2 * (sizes[_LEFT] + sizes[_RIGHT]))
    for side in range(2):
        for n in range(sizes[_LEFT + side]):
            x = sides.touched[side, n]
            if side == 0:
                pair = _pair(pairs, sizes, x, new_first)
            else:
                pair = _pair(pairs, sizes, new_last, x)
            sides.pairs[side, n] = pair
            pairs.counts[pair] += sides.occurrences[side, x]
            places.links[sides.tails[side, x]] = pairs.heads[pair]
            pairs.heads[pair] = sides.heads[side, x]
    for side in range(2):
        for n in range(sizes[_LEFT + side]):
            x = sides.touched[side, n]
            if side == 0:
                pair = _pair(pairs, sizes, x, old_first)
            else:
                pair = _pair(pairs, sizes, old_last, x)
            pairs.counts[pair] -= sides.occurrences[side, x]
    for side in range(2):
        for n in range(sizes[_LEFT + side]):
            pair = sides.pairs[side, n]
            heap = _offered(heap, sizes, pair, least, pairs, tokens, bytewise)
        sizes[_LEFT + side] = 0
    return pairs, heap


@njit(cache=True)
def _cells_in_order(places, head):
    """The cells of a list, ascending."""
    size = 0
    at = head
    while at != _NOWHERE:
        size += 1
        at = places.links[at]
    cells = np.empty(size, np.int32)
    at = head
    for n in range(size):
        cells[n] = places.cells[at]
        at = places.links[at]
    cells.sort()
    return cells


@njit(cache=True)
def _merge(text, pairs, places, tokens, sides, sizes, pair, new, specials, step, picky):
    """Replace every occurrence of a pair by the token `new`; say how many there were."""
    symbols, after, before = text.symbols, text.after, text.before
    a, b = pairs.left[pair], pairs.right[pair]
    at = pairs.heads[pair]
    pairs.heads[pair] = _NOWHERE
    # In "aaa" the left one wins, as in a pass over the text from left to right.
    cells = _cells_in_order(places, at) if a == b else np.empty(0, np.int32)
    made = 0
    n = 0
    while True:
        if a == b:
            if n == len(cells):
                break
            cell = cells[n]
            n += 1
        else:
            if at == _NOWHERE:
                break
            cell = places.cells[at]
            at = places.links[at]
        if symbols[cell] != a:
            continue
        behind = after[cell]
        if behind == _NOWHERE or symbols[behind] != b:
            continue
        weight = text.weights[text.words[cell]]
        made += weight
        following, preceding = after[behind], before[cell]
        symbols[cell], symbols[behind] = new, _NOWHERE
        after[cell] = following
        if following != _NOWHERE:
            before[following] = cell
        size = sizes[_PLACES]
        if size + 3 > len(places.cells):
            places = _Places(_grown(places.cells, size + 3), _grown(places.links, size + 3))
        if preceding != _NOWHERE and symbols[preceding] >= specials:
            places.cells[size] = preceding
            places.links[size] = _note(sides, sizes, 0, symbols[preceding], weight, step, size)
            size += 1
        if following != _NOWHERE and symbols[following] >= specials:
            places.cells[size] = cell
            places.links[size] = _note(sides, sizes, 1, symbols[following], weight, step, size)
            size += 1
        if picky:
            places.cells[size], places.links[size] = cell, tokens.heads[new]
            tokens.heads[new] = size
            size += 1
        sizes[_PLACES] = size
    return places, made


@njit(cache=True)
def _pieces_of(tokens, token, initial):
    """What a removed token falls into: its halves, and theirs, down to present tokens."""
    pieces = np.empty(tokens.width[token], np.int32)
    stack = np.empty(tokens.width[token] + 1, np.int32)
    stack[0] = token
    depth, count = 1, 0
    while depth:
        depth -= 1
        here = stack[depth]
        if here < initial or tokens.present[here]:
            pieces[count] = here
            count += 1
        else:
            stack[depth], stack[depth + 1] = tokens.right[here], tokens.left[here]
            depth += 2
    return pieces[:count].copy()


@njit(cache=True)
def _split(  # noqa: PLR0915 - one pass over the occurrences
    text, pairs, heap, places, tokens, sides, sizes, token, pieces, initial, specials, step,
    least, bytewise,
):  # fmt: skip
    """Replace every occurrence of a removed token by its pieces."""
    symbols, after, before = text.symbols, text.after, text.before
    last = len(pieces) - 1
    inner = np.full(len(pieces), _NOWHERE, np.int32)
    tails = np.full(len(pieces), _NOWHERE, np.int32)
    at = tokens.heads[token]
    tokens.heads[token] = _NOWHERE
    found = 0
    while at != _NOWHERE:
        first = places.cells[at]
        at = places.links[at]
        if symbols[first] != token:
            continue
        weight = text.weights[text.words[first]]
        found += weight
        following, preceding = after[first], before[first]
        size = sizes[_PLACES]
        needed = size + 2 * len(pieces) + 2
        if needed > len(places.cells):
            places = _Places(_grown(places.cells, needed), _grown(places.links, needed))
        if preceding != _NOWHERE and symbols[preceding] >= specials:
            places.cells[size] = preceding
            places.links[size] = _note(sides, sizes, 0, symbols[preceding], weight, step, size)
            size += 1
        cell = first
        for n in range(len(pieces)):
            piece = pieces[n]
            symbols[cell] = piece
            if piece >= initial:
                places.cells[size], places.links[size] = cell, tokens.heads[piece]
                tokens.heads[piece] = size
                size += 1
            if n < last:
                places.cells[size], places.links[size] = cell, inner[n]
                if inner[n] == _NOWHERE:
                    tails[n] = size
                inner[n] = size
                size += 1
                after[cell] = cell + tokens.width[piece]
                before[after[cell]] = cell
                cell = after[cell]
        after[cell] = following
        if following != _NOWHERE:
            before[following] = cell
            if symbols[following] >= specials:
                places.cells[size] = cell
                places.links[size] = _note(sides, sizes, 1, symbols[following], weight, step, size)
                size += 1
        sizes[_PLACES] = size
    for piece in pieces:
        tokens.frequency[piece] += found
    tokens.frequency[token] = 0
    if found:
        pairs = _room_for_pairs(pairs, sizes, last)
        for n in range(last):
            pair = _pair(pairs, sizes, pieces[n], pieces[n + 1])
            pairs.counts[pair] += found
            places.links[tails[n]] = pairs.heads[pair]
            pairs.heads[pair] = inner[n]
    pairs, heap = _settle(
        pairs, heap, places, tokens, sides, sizes, token, pieces[0], token, pieces[last],
        least, bytewise,
    )  # fmt: skip
    if found:
        for n in range(last):
            pair = _pair(pairs, sizes, pieces[n], pieces[n + 1])
            heap = _offered(heap, sizes, pair, least, pairs, tokens, bytewise)
    return pairs, heap, places


@njit(cache=True)
def _record(events, at, kind, first, second, third):
    if at == len(events):
        larger = np.empty((2 * at, 4), np.int32)
        larger[:at] = events
        events = larger
    events[at, 0], events[at, 1] = kind, first
    events[at, 2], events[at, 3] = second, third
    return events


@njit(cache=True, nogil=True)
def learn(  # noqa: PLR0915 - the algorithm, from top to bottom
    symbols, begins, weights, data, data_begins, specials, vocab_size, most_merges,
    min_frequency, threshold, bytewise, max_words,
):  # fmt: skip
    """Learn merges, and removals where `threshold` < 1, until the vocabulary has its size.

    Args:
        symbols: [cells] int32 ids that the pretokens begin with; overwritten.
        begins: [pretokens + 1] int64, where each pretoken begins and the last one ends.
        weights: [pretokens] int64, how often each occurs.
        data, data_begins: the bytes of the tokens that there are already, uint8 and int64.
        specials: so many of these are special: in no pair, and never the result of a merge.
        vocab_size: tokens wanted.
        most_merges: merges wanted at most.
        min_frequency: a pair must occur so often (>=), and at least once.
        threshold: IoS above which (>) a component of a merge is removed (Picky BPE).
        bytewise: equally frequent pairs: those with the larger bytes first, instead of those
            with the smaller ids.
        max_words: words that a token may have (SuperBPE), which then never has a space behind
            a colon either; 0 allows everything.

    Returns:
        data, data_begins of all tokens; whether each is present; how often each occurs in the
        pretokens at the end; events and pieces as in `TokenizerModel`, with ids as here.
    """
    sizes = np.zeros(6, np.int64)
    initial = len(data_begins) - 1
    sizes[_TOKENS] = initial
    tokens = _Tokens(
        data,
        data_begins,
        string_table(data, data_begins, slots_for(2 * initial + 2)),
        np.full(initial + 1, _NOWHERE, np.int32),
        np.full(initial + 1, _NOWHERE, np.int32),
        np.ones(initial + 1, np.int32),
        np.zeros(initial + 1, np.int64),
        np.ones(initial + 1, np.bool_),
        np.full(initial + 1, _NOWHERE, np.int32),
    )
    text = _linked(symbols, begins, weights)
    for cell in range(len(symbols)):
        tokens.frequency[symbols[cell]] += weights[text.words[cell]]
    pairs, places = _counted(text, specials, sizes)
    sides = _Sides(
        np.empty((2, 0), np.int32),
        np.zeros((2, 0), np.int64),
        np.empty((2, 0), np.int64),
        np.empty((2, 0), np.int32),
        np.empty((2, 0), np.int32),
        np.empty((2, 0), np.int32),
    )
    heap = _Heap(np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int32))
    least = max(min_frequency, 1)
    for pair in range(sizes[_PAIRS]):
        heap = _offered(heap, sizes, pair, least, pairs, tokens, bytewise)
    events = np.empty((1024, 4), np.int32)
    all_pieces = np.empty(256, np.int32)
    n_events, n_pieces, merges, step = 0, 0, 0, 0
    present = initial
    picky = threshold < 1
    while present < vocab_size and merges < most_merges and sizes[_HEAP]:
        count, pair = heap.counts[0], heap.pairs[0]
        _drop_first(heap, sizes, tokens.data, tokens.begins, bytewise)
        if pairs.counts[pair] != count:
            heap = _offered(heap, sizes, pair, least, pairs, tokens, bytewise)
            continue
        a, b = pairs.left[pair], pairs.right[pair]
        start = tokens.begins[sizes[_TOKENS]]
        tokens = _room_for_token(
            tokens, sizes,
            tokens.begins[a + 1] - tokens.begins[a] + tokens.begins[b + 1] - tokens.begins[b],
        )  # fmt: skip
        stop = _joined(tokens, sizes, a, b)
        if max_words and not _is_superword(tokens.data, start, stop, max_words):
            continue
        slot = string_slot(tokens.slots, tokens.data, tokens.begins, tokens.data, start, stop)
        new = tokens.slots[slot]
        if 0 <= new < specials:
            continue
        if new < 0:
            new = np.int32(sizes[_TOKENS])
            tokens.slots[slot] = new
            sizes[_TOKENS] += 1
            tokens.begins[new + 1] = stop
            tokens.left[new], tokens.right[new] = a, b
            tokens.width[new] = tokens.width[a] + tokens.width[b]
            tokens.frequency[new] = 0
            tokens.present[new] = False
            tokens.heads[new] = _NOWHERE
        if not tokens.present[new]:
            tokens.present[new] = True
            present += 1
        merges += 1
        step += 1
        if sizes[_TOKENS] > sides.touched.shape[1]:
            sides = _room_for_sides(sides, sizes[_TOKENS])
        places, made = _merge(
            text, pairs, places, tokens, sides, sizes, pair, new, specials, step, picky
        )
        pairs, heap = _settle(
            pairs, heap, places, tokens, sides, sizes, a, new, b, new, least, bytewise
        )
        pairs.counts[pair] = 0
        tokens.frequency[new] += made
        events = _record(events, n_events, 0, a, b, new)
        n_events += 1
        tokens.frequency[a] -= made
        if a == b:
            tokens.frequency[a] -= made
        for half in range(1 if a == b else 2):
            token = b if half else a
            if half:
                tokens.frequency[b] -= made
            if not picky or token < initial:
                continue
            if not made / (tokens.frequency[token] + made) > threshold:
                continue
            tokens.present[token] = False
            present -= 1
            pieces = _pieces_of(tokens, token, initial)
            while n_pieces + len(pieces) > len(all_pieces):
                all_pieces = _grown(all_pieces, 2 * len(all_pieces))
            all_pieces[n_pieces : n_pieces + len(pieces)] = pieces
            events = _record(events, n_events, 1, token, n_pieces, n_pieces + len(pieces))
            n_events += 1
            n_pieces += len(pieces)
            step += 1
            pairs, heap, places = _split(
                text, pairs, heap, places, tokens, sides, sizes, token, pieces, initial,
                specials, step, least, bytewise,
            )  # fmt: skip
    n = sizes[_TOKENS]
    return (
        tokens.data[: tokens.begins[n]].copy(),
        tokens.begins[: n + 1].copy(),
        tokens.present[:n].copy(),
        tokens.frequency[:n].copy(),
        events[:n_events].copy(),
        all_pieces[:n_pieces].copy(),
    )
