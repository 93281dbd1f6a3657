"""The two steps that change a text: a pair becomes a token, a removed token falls into pieces.

Each notes what it does beside every neighbour and settles it at the end: the counts are then exact
again, and the heap has the pairs that gained.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.bpe_heap import offered
from operators.tokenization.bpe_pairs import pair_of, room_for_pairs
from operators.tokenization.bpe_state import LEFT, NOWHERE, PLACES, RIGHT, Places, Sides, grown


@njit(cache=True)
def room_for_sides(sides, size):
    """Sides with room for `size` tokens; larger ones have forgotten what was noted."""
    if size <= sides.touched.shape[1]:
        return sides
    size += size // 2
    return Sides(
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
        sides.heads[side, neighbour] = NOWHERE
        sides.tails[side, neighbour] = place
        sides.touched[side, sizes[LEFT + side]] = neighbour
        sizes[LEFT + side] += 1
    sides.occurrences[side, neighbour] += weight
    previous = sides.heads[side, neighbour]
    sides.heads[side, neighbour] = place
    return previous


@njit(cache=True)
def settle(
    pairs, heap, places, tokens, sides, sizes, old_first, new_first, old_last, new_last,
    least, bytewise,
):  # fmt: skip
    """Turn what a step noted into counts, places and entries of the heap.

    Each occurrence beside a left neighbour x was a pair (x, old_first) and is now
    (x, new_first); beside a right neighbour y, (old_last, y) and (new_last, y). Gains come
    before losses: a neighbour may itself have been replaced in the same step.
    """
    pairs = room_for_pairs(pairs, sizes, 2 * (sizes[LEFT] + sizes[RIGHT]))
    for side in range(2):
        for n in range(sizes[LEFT + side]):
            x = sides.touched[side, n]
            if side == 0:
                pair = pair_of(pairs, sizes, x, new_first)
            else:
                pair = pair_of(pairs, sizes, new_last, x)
            sides.pairs[side, n] = pair
            pairs.counts[pair] += sides.occurrences[side, x]
            places.links[sides.tails[side, x]] = pairs.heads[pair]
            pairs.heads[pair] = sides.heads[side, x]
    for side in range(2):
        for n in range(sizes[LEFT + side]):
            x = sides.touched[side, n]
            if side == 0:
                pair = pair_of(pairs, sizes, x, old_first)
            else:
                pair = pair_of(pairs, sizes, old_last, x)
            pairs.counts[pair] -= sides.occurrences[side, x]
    for side in range(2):
        for n in range(sizes[LEFT + side]):
            pair = sides.pairs[side, n]
            heap = offered(heap, sizes, pair, least, pairs, tokens, bytewise)
        sizes[LEFT + side] = 0
    return pairs, heap


@njit(cache=True)
def _cells_in_order(places, head):
    """The cells of a list, ascending."""
    size = 0
    at = head
    while at != NOWHERE:
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
def merge(text, pairs, places, tokens, sides, sizes, pair, new, specials, step, picky):
    """Replace every occurrence of a pair by the token `new`; say how many there were."""
    symbols, after, before = text.symbols, text.after, text.before
    a, b = pairs.left[pair], pairs.right[pair]
    at = pairs.heads[pair]
    pairs.heads[pair] = NOWHERE
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
            if at == NOWHERE:
                break
            cell = places.cells[at]
            at = places.links[at]
        if symbols[cell] != a:
            continue
        behind = after[cell]
        if behind == NOWHERE or symbols[behind] != b:
            continue
        weight = text.weights[text.words[cell]]
        made += weight
        following, preceding = after[behind], before[cell]
        symbols[cell], symbols[behind] = new, NOWHERE
        after[cell] = following
        if following != NOWHERE:
            before[following] = cell
        size = sizes[PLACES]
        if size + 3 > len(places.cells):
            places = Places(grown(places.cells, size + 3), grown(places.links, size + 3))
        if preceding != NOWHERE and symbols[preceding] >= specials:
            places.cells[size] = preceding
            places.links[size] = _note(sides, sizes, 0, symbols[preceding], weight, step, size)
            size += 1
        if following != NOWHERE and symbols[following] >= specials:
            places.cells[size] = cell
            places.links[size] = _note(sides, sizes, 1, symbols[following], weight, step, size)
            size += 1
        if picky:
            places.cells[size], places.links[size] = cell, tokens.heads[new]
            tokens.heads[new] = size
            size += 1
        sizes[PLACES] = size
    return places, made


@njit(cache=True)
def split(  # noqa: PLR0915 - one pass over the occurrences
    text, pairs, heap, places, tokens, sides, sizes, token, pieces, initial, specials, step,
    least, bytewise,
):  # fmt: skip
    """Replace every occurrence of a removed token by its pieces."""
    symbols, after, before = text.symbols, text.after, text.before
    last = len(pieces) - 1
    inner = np.full(len(pieces), NOWHERE, np.int32)
    tails = np.full(len(pieces), NOWHERE, np.int32)
    at = tokens.heads[token]
    tokens.heads[token] = NOWHERE
    found = 0
    while at != NOWHERE:
        first = places.cells[at]
        at = places.links[at]
        if symbols[first] != token:
            continue
        weight = text.weights[text.words[first]]
        found += weight
        following, preceding = after[first], before[first]
        size = sizes[PLACES]
        needed = size + 2 * len(pieces) + 2
        if needed > len(places.cells):
            places = Places(grown(places.cells, needed), grown(places.links, needed))
        if preceding != NOWHERE and symbols[preceding] >= specials:
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
                if inner[n] == NOWHERE:
                    tails[n] = size
                inner[n] = size
                size += 1
                after[cell] = cell + tokens.width[piece]
                before[after[cell]] = cell
                cell = after[cell]
        after[cell] = following
        if following != NOWHERE:
            before[following] = cell
            if symbols[following] >= specials:
                places.cells[size] = cell
                places.links[size] = _note(sides, sizes, 1, symbols[following], weight, step, size)
                size += 1
        sizes[PLACES] = size
    for piece in pieces:
        tokens.frequency[piece] += found
    tokens.frequency[token] = 0
    if found:
        pairs = room_for_pairs(pairs, sizes, last)
        for n in range(last):
            pair = pair_of(pairs, sizes, pieces[n], pieces[n + 1])
            pairs.counts[pair] += found
            places.links[tails[n]] = pairs.heads[pair]
            pairs.heads[pair] = inner[n]
    pairs, heap = settle(
        pairs, heap, places, tokens, sides, sizes, token, pieces[0], token, pieces[last],
        least, bytewise,
    )  # fmt: skip
    if found:
        for n in range(last):
            pair = pair_of(pairs, sizes, pieces[n], pieces[n + 1])
            heap = offered(heap, sizes, pair, least, pairs, tokens, bytewise)
    return pairs, heap, places
