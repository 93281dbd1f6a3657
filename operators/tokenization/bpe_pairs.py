"""The pairs of a text, each with its count and the places where it occurs.

Two neighbours are counted as often as they stand side by side, so "aaa" has the pair (a, a)
twice, as every known implementation counts.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.bpe_state import NOWHERE, PAIRS, PLACES, Pairs, Places, Text, grown
from operators.tokenization.token_tables import pair_key, pair_slot, slots_for


@njit(cache=True)
def linked(symbols, begins, weights):
    """The text of pretokens, each a list of its symbols."""
    cells = len(symbols)
    after, before = np.empty(cells, np.int32), np.empty(cells, np.int32)
    words = np.empty(cells, np.int32)
    for word in range(len(begins) - 1):
        start, stop = begins[word], begins[word + 1]
        for cell in range(start, stop):
            words[cell] = word
            before[cell] = cell - 1 if cell > start else NOWHERE
            after[cell] = cell + 1 if cell + 1 < stop else NOWHERE
    return Text(symbols, after, before, words, weights)


@njit(cache=True)
def counted(text, specials, sizes):
    """All pairs with their counts and places. No pair holds a special token."""
    pairs = Pairs(
        np.full(64, -1, np.int64),
        np.empty(64, np.int32),
        np.empty(32, np.int32),
        np.empty(32, np.int32),
        np.empty(32, np.int64),
        np.empty(32, np.int32),
    )
    places = Places(
        np.empty(2 * len(text.symbols) + 16, np.int32),
        np.empty(2 * len(text.symbols) + 16, np.int32),
    )
    # Backwards, so that each list, which grows at its head, runs forwards through the text.
    for cell in range(len(text.symbols) - 1, -1, -1):
        behind = text.after[cell]
        if behind == NOWHERE or min(text.symbols[cell], text.symbols[behind]) < specials:
            continue
        pairs = room_for_pairs(pairs, sizes, 1)
        pair = pair_of(pairs, sizes, text.symbols[cell], text.symbols[behind])
        pairs.counts[pair] += text.weights[text.words[cell]]
        at = sizes[PLACES]
        sizes[PLACES] += 1
        places.cells[at], places.links[at] = cell, pairs.heads[pair]
        pairs.heads[pair] = at
    return pairs, places


@njit(cache=True)
def room_for_pairs(pairs, sizes, more):
    """The same pairs with room for `more`."""
    needed = sizes[PAIRS] + more
    left, right, counts, heads = pairs.left, pairs.right, pairs.counts, pairs.heads
    if needed > len(left):
        left, right = grown(left, needed), grown(right, needed)
        counts, heads = grown(counts, needed), grown(heads, needed)
    keys, slots = pairs.keys, pairs.slots
    if 2 * needed > len(keys):
        keys = np.full(slots_for(2 * needed), -1, np.int64)
        slots = np.empty(len(keys), np.int32)
        for pair in range(sizes[PAIRS]):
            key = pair_key(left[pair], right[pair])
            at = pair_slot(keys, key)
            keys[at], slots[at] = key, pair
    return Pairs(keys, slots, left, right, counts, heads)


@njit(cache=True, inline="always")
def pair_of(pairs, sizes, left, right):
    """The pair of two tokens, made if it is new: there must be room for it."""
    key = pair_key(left, right)
    at = pair_slot(pairs.keys, key)
    if pairs.keys[at] == -1:
        pair = sizes[PAIRS]
        sizes[PAIRS] += 1
        pairs.keys[at], pairs.slots[at] = key, pair
        pairs.left[pair], pairs.right[pair] = left, right
        pairs.counts[pair], pairs.heads[pair] = 0, NOWHERE
    return pairs.slots[at]
