"""Text encoded by the events of a training, compiled: merges and splits in their order.

Plain BPE is the case without splits, where the earliest learned merge always comes first.
"""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators.compiled import njit
from operators.tokenization.token_tables import pair_key, pair_slot, string_slot


class EventTables(NamedTuple):
    """The events of a model, found by what they apply to.

    Merge rule k, of one pair, has the event numbers merge_events[merge_begins[k]:
    merge_begins[k + 1]], ascending; token t has the splits split_events[split_begins[t]:
    split_begins[t + 1]]; split s makes pieces[piece_begins[s]:piece_begins[s + 1]].
    """

    keys: Any  # [slots] pairs, see `pair_slot`
    rules: Any  # [slots] merge rule of the pair
    lefts: Any  # [rules]
    rights: Any
    results: Any
    merge_begins: Any
    merge_events: Any
    split_begins: Any
    split_events: Any
    piece_begins: Any
    pieces: Any
    widths: Any  # [tokens] symbols that a token covers
    words: Any  # [slots] whole words that are tokens, see `string_slot`
    word_symbols: Any  # their symbols, end to end
    word_begins: Any
    word_tokens: Any  # the token of each


@njit(cache=True)
def _next_event(events, start, stop, earliest):
    """Position of the first of events[start:stop] that is >= `earliest`, or stop."""
    while start < stop:
        middle = (start + stop) >> 1
        if events[middle] < earliest:
            start = middle + 1
        else:
            stop = middle
    return start


@njit(cache=True)
def _rises(heap, here):
    entry = heap[here]
    while here:
        above = (here - 1) >> 1
        if heap[above] <= entry:
            break
        heap[here] = heap[above]
        here = above
    heap[here] = entry


@njit(cache=True)
def _sinks(heap, size):
    entry = heap[size]
    here = 0
    while 2 * here + 1 < size:
        below = 2 * here + 1
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if entry <= heap[below]:
            break
        heap[here] = heap[below]
        here = below
    heap[here] = entry


@njit(cache=True)
def _await(heap, size, tables, symbols, after, cell, earliest, length):
    """Enter into the heap what can next happen at a cell: a merge with what follows, a split."""
    token = symbols[cell]
    if size + 2 > len(heap):
        larger = np.empty(2 * len(heap) + 2, np.int64)
        larger[:size] = heap[:size]
        heap = larger
    if after[cell] < length:
        key = pair_key(token, symbols[after[cell]])
        slot = pair_slot(tables.keys, key)
        if tables.keys[slot] == key:
            rule = tables.rules[slot]
            stop = tables.merge_begins[rule + 1]
            at = _next_event(tables.merge_events, tables.merge_begins[rule], stop, earliest)
            if at < stop:
                heap[size] = (np.int64(tables.merge_events[at]) << 32) | cell
                _rises(heap, size)
                size += 1
    stop = tables.split_begins[token + 1]
    if tables.split_begins[token] < stop:
        at = _next_event(tables.split_events, tables.split_begins[token], stop, earliest)
        if at < stop:
            heap[size] = (np.int64(tables.split_events[at]) << 32) | cell
            _rises(heap, size)
            size += 1
    return heap, size


@njit(cache=True, nogil=True)
def replay(symbols, begins, tables, kinds, firsts, seconds):  # noqa: PLR0915 - cells of one pretoken, which all of it shares
    """Encode pretokens.

    Args:
        symbols: [cells] int32 ids that the pretokens begin with, end to end; kept.
        begins: [pretokens + 1] int64.
        tables: see `EventTables`.
        kinds, firsts, seconds: [events] by number: 0 and the merge rule (seconds unused), or 1,
            the token and the split.

    Returns:
        ids of all pretokens, int32, end to end; where each begins, int64 [pretokens + 1].
    """
    ids = np.empty(len(symbols), np.int32)
    ends = np.zeros(len(begins), np.int64)
    longest = 1
    for word in range(len(begins) - 1):
        longest = max(longest, begins[word + 1] - begins[word])
    here = np.empty(longest, np.int32)
    after, before = np.empty(longest, np.int32), np.empty(longest, np.int32)
    heap = np.empty(2 * longest + 2, np.int64)
    written = 0
    for word in range(len(begins) - 1):
        start = begins[word]
        length = begins[word + 1] - start
        if len(tables.word_tokens):
            slot = string_slot(
                tables.words, tables.word_symbols, tables.word_begins, symbols, start,
                start + length,
            )  # fmt: skip
            if tables.words[slot] >= 0:
                ids[written] = tables.word_tokens[tables.words[slot]]
                written += 1
                ends[word + 1] = written
                continue
        for cell in range(length):
            here[cell] = symbols[start + cell]
            after[cell], before[cell] = cell + 1, cell - 1
        size = 0
        for cell in range(length):
            heap, size = _await(heap, size, tables, here, after, cell, 0, length)
        while size:
            # Events in their order; where one applies several times, from left to right.
            event, cell = heap[0] >> 32, heap[0] & 0xFFFFFFFF
            size -= 1
            _sinks(heap, size)
            if kinds[event] == 0:
                rule = firsts[event]
                behind = after[cell]
                if here[cell] != tables.lefts[rule] or behind >= length:
                    continue
                if here[behind] != tables.rights[rule]:
                    continue
                here[cell], here[behind] = tables.results[rule], -1
                after[cell] = after[behind]
                if after[cell] < length:
                    before[after[cell]] = cell
                last = cell
            else:
                token, split = firsts[event], seconds[event]
                if here[cell] != token:
                    continue
                following = after[cell]
                last = cell
                for n in range(tables.piece_begins[split], tables.piece_begins[split + 1]):
                    if n > tables.piece_begins[split]:
                        before[after[last]] = last
                        last = after[last]
                    here[last] = tables.pieces[n]
                    after[last] = last + tables.widths[tables.pieces[n]]
                after[last] = following
                if following < length:
                    before[following] = last
            at = before[cell] if before[cell] >= 0 else cell
            while True:
                heap, size = _await(heap, size, tables, here, after, at, event, length)
                if at == last:
                    break
                at = after[at]
        cell = 0
        while cell < length:
            ids[written] = here[cell]
            written += 1
            cell = after[cell]
        ends[word + 1] = written
    return ids[:written].copy(), ends
