"""Picky BPE's encoder: replay what training did, in its order (Chizhov et al. 2024)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.tokenization.event_kernels import EventTables, replay
from operators.tokenization.model import MERGE, SPLIT, TokenizerModel
from operators.tokenization.symbols import symbols_of
from operators.tokenization.token_tables import pair_table, slots_for, string_table

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


class EventEncoder:
    """Turns the symbols of pretokens into tokens by a sequence of merges and splits.

    Of all that applies to a pretoken, the earliest event that does not lie before the last one
    comes next, everywhere in the pretoken, until nothing applies. Without splits this is BPE by
    merge rank.

    Args:
        tokens: how many ids there are; events name no others.
        events: [m, 4] as `TokenizerModel.events`.
        pieces: [k] as `TokenizerModel.pieces`.
        whole: pretokens that are one token whatever the events say: their symbols end to end,
            where each begins and the last one ends, and the tokens.
    """

    def __init__(
        self,
        tokens: int,
        events: Ids,
        pieces: Ids,
        whole: tuple[Ids, Offsets, Ids] | None = None,
    ) -> None:
        number = np.arange(len(events), dtype=np.int32)
        merging, splitting = events[:, 0] == MERGE, events[:, 0] == SPLIT
        merges, splits = events[merging], events[splitting]
        keys = (merges[:, 1].astype(np.int64) << 32) | merges[:, 2]
        rules, first, rule_of = np.unique(keys, return_index=True, return_inverse=True)
        slot_keys, slot_rules = pair_table(rules)
        if whole is None:
            whole = (np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.int32))
        self._tables = EventTables(
            keys=slot_keys,
            rules=slot_rules,
            lefts=np.ascontiguousarray(merges[first, 1]),
            rights=np.ascontiguousarray(merges[first, 2]),
            results=np.ascontiguousarray(merges[first, 3]),
            merge_begins=_begins(np.bincount(rule_of, minlength=len(rules))),
            merge_events=number[merging][np.argsort(rule_of, kind="stable")],
            split_begins=_begins(np.bincount(splits[:, 1], minlength=tokens)),
            split_events=number[splitting][np.argsort(splits[:, 1], kind="stable")],
            piece_begins=_begins(splits[:, 3] - splits[:, 2]),
            pieces=pieces,
            widths=_widths(tokens, merges, any_split=len(splits) > 0),
            words=string_table(whole[0], whole[1], slots_for(2 * len(whole[2]))),
            word_symbols=whole[0],
            word_begins=whole[1],
            word_tokens=whole[2],
        )
        self._kinds = np.ascontiguousarray(events[:, 0])
        self._firsts = np.zeros(len(events), np.int32)
        self._firsts[merging] = rule_of
        self._firsts[splitting] = splits[:, 1]
        self._seconds = np.zeros(len(events), np.int32)
        self._seconds[splitting] = np.arange(len(splits))

    def encode(self, symbols: Ids, begins: Offsets) -> tuple[Ids, Offsets]:
        """The tokens of pretokens that lie end to end.

        Args:
            symbols: [cells] the ids that pretokens begin with.
            begins: [pretokens + 1] where each pretoken begins, and the last one ends.

        Returns:
            ids, end to end, and where those of each pretoken begin, [pretokens + 1].
        """
        ids, ends = replay(symbols, begins, self._tables, self._kinds, self._firsts, self._seconds)
        return ids, ends


def merge_encoder(model: TokenizerModel) -> EventEncoder:
    """BPE by merge rank, over the symbols of `symbols_of(model)`."""
    events = np.zeros((len(model.merges), 4), np.int32)
    events[:, 1:] = model.merges
    # One id more than there are: subword-nmt's unknown character, which is never merged.
    return EventEncoder(len(model.tokens) + 1, events, model.pieces)


def picky_encoder(model: TokenizerModel, *, whole_words: bool = True) -> EventEncoder:
    """Picky BPE, over the symbols of `symbols_of(model)`.

    Args:
        whole_words: give a pretoken that is itself in the vocabulary as that token, as the
            authors' program does; False replays the events for it, too, which is what training
            did with it.
    """
    ids = len(model.tokens) + len(model.removed)
    if not whole_words:
        return EventEncoder(ids, model.events, model.pieces)
    learned = np.setdiff1d(model.merges[:, 2], np.arange(len(model.tokens), ids)).astype(np.int32)
    symbols, begins = symbols_of(model)([model.tokens[token] for token in learned.tolist()])
    return EventEncoder(ids, model.events, model.pieces, (symbols, begins, learned))


def _begins(sizes: npt.NDArray[np.integer]) -> Offsets:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _widths(tokens: int, merges: Ids, *, any_split: bool) -> Ids:
    """How many symbols each token covers; it matters to splits only."""
    widths = [1] * tokens
    if any_split:
        for _, left, right, result in merges.tolist():
            widths[result] = widths[left] + widths[right]
    return np.array(widths, np.int32)
