"""What byte-pair encoding knows while it learns: the text, its pairs, places, tokens and changes.

Arrays in named tuples, so that compiled functions can hand them on together. An array that is full
is replaced by a larger one, and its tuple with it.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators.compiled import njit

NOWHERE = -1

# What `sizes` counts: pairs, entries of the heap, places, tokens, and the neighbours that the
# current step has touched on the left and on the right.
PAIRS, HEAP, PLACES, TOKENS, LEFT, RIGHT = range(6)


class Text(NamedTuple):
    """All pretokens: a cell for each symbol that they began with."""

    symbols: Any  # [cells] id of the token that begins here, -1 inside of one
    after: Any  # [cells] where the next token of the pretoken begins, or -1
    before: Any
    words: Any  # [cells] which pretoken
    weights: Any  # [pretokens] how often it occurs


class Pairs(NamedTuple):
    keys: Any  # [slots] see `pair_slot`
    slots: Any  # [slots] position in what follows
    left: Any
    right: Any
    counts: Any
    heads: Any  # first of its list of places, or -1


class Heap(NamedTuple):
    counts: Any
    keys: Any  # `pair_key`
    pairs: Any


class Places(NamedTuple):
    """Linked lists of cells, all in one pool."""

    cells: Any
    links: Any  # the next of the list, or -1


class Tokens(NamedTuple):
    data: Any  # bytes of all tokens
    begins: Any  # where those of each begin
    slots: Any  # see `string_slot`
    left: Any  # the two tokens it was first made of
    right: Any
    width: Any  # cells that it covers
    frequency: Any
    present: Any  # whether it is in the vocabulary
    heads: Any  # where it occurs, for tokens that may be removed


class Sides(NamedTuple):
    """What one step changes, by the neighbour on the left [0] and on the right [1]."""

    touched: Any  # neighbours in the order of their first appearance
    stamp: Any  # the step that wrote what follows
    occurrences: Any
    heads: Any
    tails: Any
    pairs: Any


@njit(cache=True)
def grown(array, size):
    """A copy with room for `size`, and at least half as large again."""
    larger = np.empty(max(size, len(array) + len(array) // 2), array.dtype)
    larger[: len(array)] = array
    return larger
