"""Byte-pair encoding and its variants learned from counted pretokens, compiled.

Pretokens lie end to end, each a doubly linked list of symbols, so that a merge costs as much as
there are occurrences of its pair, however long the pretokens are. Every pair knows its count and
where it occurs (`bpe_pairs`); a heap knows the most frequent one (`bpe_heap`). The lists of places
and the heap may hold what is no longer true, and are checked when they are read: the counts are
always exact. Two kinds of step change them (`bpe_steps`).

Small functions in the innermost loops are written into their callers (`inline="always"`): a call
copies every array's description, which takes longer than what they do.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.bpe_heap import drop_first, offered
from operators.tokenization.bpe_pairs import counted, linked
from operators.tokenization.bpe_state import (
    HEAP,
    NOWHERE,
    PAIRS,
    TOKENS,
    Heap,
    Sides,
    Tokens,
    grown,
)
from operators.tokenization.bpe_steps import merge, room_for_sides, settle, split
from operators.tokenization.bpe_tokens import is_superword, joined, pieces_of, room_for_token
from operators.tokenization.token_tables import slots_for, string_slot, string_table


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
    sizes[TOKENS] = initial
    tokens = Tokens(
        data,
        data_begins,
        string_table(data, data_begins, slots_for(2 * initial + 2)),
        np.full(initial + 1, NOWHERE, np.int32),
        np.full(initial + 1, NOWHERE, np.int32),
        np.ones(initial + 1, np.int32),
        np.zeros(initial + 1, np.int64),
        np.ones(initial + 1, np.bool_),
        np.full(initial + 1, NOWHERE, np.int32),
    )
    text = linked(symbols, begins, weights)
    for cell in range(len(symbols)):
        tokens.frequency[symbols[cell]] += weights[text.words[cell]]
    pairs, places = counted(text, specials, sizes)
    sides = Sides(
        np.empty((2, 0), np.int32),
        np.zeros((2, 0), np.int64),
        np.empty((2, 0), np.int64),
        np.empty((2, 0), np.int32),
        np.empty((2, 0), np.int32),
        np.empty((2, 0), np.int32),
    )
    heap = Heap(np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int32))
    least = max(min_frequency, 1)
    for pair in range(sizes[PAIRS]):
        heap = offered(heap, sizes, pair, least, pairs, tokens, bytewise)
    events = np.empty((1024, 4), np.int32)
    all_pieces = np.empty(256, np.int32)
    n_events, n_pieces, merges, step = 0, 0, 0, 0
    present = initial
    picky = threshold < 1
    while present < vocab_size and merges < most_merges and sizes[HEAP]:
        count, pair = heap.counts[0], heap.pairs[0]
        drop_first(heap, sizes, tokens.data, tokens.begins, bytewise)
        if pairs.counts[pair] != count:
            heap = offered(heap, sizes, pair, least, pairs, tokens, bytewise)
            continue
        a, b = pairs.left[pair], pairs.right[pair]
        start = tokens.begins[sizes[TOKENS]]
        tokens = room_for_token(
            tokens, sizes,
            tokens.begins[a + 1] - tokens.begins[a] + tokens.begins[b + 1] - tokens.begins[b],
        )  # fmt: skip
        stop = joined(tokens, sizes, a, b)
        if max_words and not is_superword(tokens.data, start, stop, max_words):
            continue
        slot = string_slot(tokens.slots, tokens.data, tokens.begins, tokens.data, start, stop)
        new = tokens.slots[slot]
        if 0 <= new < specials:
            continue
        if new < 0:
            new = np.int32(sizes[TOKENS])
            tokens.slots[slot] = new
            sizes[TOKENS] += 1
            tokens.begins[new + 1] = stop
            tokens.left[new], tokens.right[new] = a, b
            tokens.width[new] = tokens.width[a] + tokens.width[b]
            tokens.frequency[new] = 0
            tokens.present[new] = False
            tokens.heads[new] = NOWHERE
        if not tokens.present[new]:
            tokens.present[new] = True
            present += 1
        merges += 1
        step += 1
        if sizes[TOKENS] > sides.touched.shape[1]:
            sides = room_for_sides(sides, sizes[TOKENS])
        places, made = merge(
            text, pairs, places, tokens, sides, sizes, pair, new, specials, step, picky
        )
        pairs, heap = settle(
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
            pieces = pieces_of(tokens, token, initial)
            while n_pieces + len(pieces) > len(all_pieces):
                all_pieces = grown(all_pieces, 2 * len(all_pieces))
            all_pieces[n_pieces : n_pieces + len(pieces)] = pieces
            events = _record(events, n_events, 1, token, n_pieces, n_pieces + len(pieces))
            n_events += 1
            n_pieces += len(pieces)
            step += 1
            pairs, heap, places = split(
                text, pairs, heap, places, tokens, sides, sizes, token, pieces, initial,
                specials, step, least, bytewise,
            )  # fmt: skip
    n = sizes[TOKENS]
    return (
        tokens.data[: tokens.begins[n]].copy(),
        tokens.begins[: n + 1].copy(),
        tokens.present[:n].copy(),
        tokens.frequency[:n].copy(),
        events[:n_events].copy(),
        all_pieces[:n_pieces].copy(),
    )
