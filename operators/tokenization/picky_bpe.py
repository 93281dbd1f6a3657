"""Picky BPE (Chizhov et al., EMNLP 2024): BPE that removes the tokens it no longer needs.

After a merge of (x1, x2) that occurred f times, each component with IoS = f / (its occurrences
before the merge) above the threshold leaves the vocabulary: it lived almost only inside the new
token. Where it still stands it falls into its halves, and theirs, down to what is present.

Choices, where the authors' program and their paper leave one:

- Removal is strict (IoS > threshold), so a threshold of 1 or more removes nothing and gives BPE.
- For a pair of equal tokens f counts merges, while the token loses two occurrences by each: its
  IoS is f / (rest + f), as in the program.
- The size counts tokens that are present. The program also counts each new way to an existing
  token, and so can end with fewer tokens than asked for.
- Equally frequent pairs go by their ids; in the program by the order of a dictionary.
- With "bytes" conventions the 256 bytes cannot be removed, with "picky" ones the characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from operators.tokenization.bpe_training import learn_events
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import MERGE, SPLIT, TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts


def train_picky_bpe(counts: PretokenCounts, config: TokenizerConfig) -> TokenizerModel:
    """Learn a Picky BPE vocabulary: present tokens, removed ones, and the events between.

    Args:
        counts: of the pre-tokenizer that the config names; of the words "picky" with the
            authors' conventions.

    Raises:
        ValueError: for counts of another pre-tokenizer, or an alphabet larger than vocab_size.
    """
    learned = learn_events(counts, config, threshold=config.picky_threshold)
    return _numbered(
        config,
        learned.tokens,
        range(len(learned.tokens)),
        np.flatnonzero(learned.present).tolist(),
        learned.events,
        learned.pieces,
    )


def picky_prefix(model: TokenizerModel, config: TokenizerConfig) -> TokenizerModel:
    """`model` as it was when its vocabulary first had `config.vocab_size` tokens.

    Raises:
        ValueError: if the alphabet alone is larger.
    """
    strings = [*model.tokens, *model.removed]
    made = set(model.merges[:, 2].tolist())
    order = [token for token in range(len(strings)) if token not in made]
    if config.vocab_size < len(order):
        raise ValueError(
            f"vocab_size is {config.vocab_size}, but the alphabet alone has {len(order)} ids"
        )
    present, seen = set(order), set(order)
    steps = 0
    for kind, first, _, result in model.events.tolist():
        if kind == SPLIT:
            present.remove(first)
        elif len(present) >= config.vocab_size:
            break
        else:
            present.add(result)
            if result not in seen:
                seen.add(result)
                order.append(result)
        steps += 1
    events = model.events[:steps]
    last_split = events[events[:, 0] == SPLIT][-1:, 3].tolist()
    pieces = model.pieces[: last_split[0] if last_split else 0]
    return _numbered(config, strings, order, present, events, pieces)


def _numbered(
    config: TokenizerConfig,
    strings: Sequence[bytes],
    order: Iterable[int],
    present: Iterable[int],
    events: npt.NDArray[np.int32],
    pieces: npt.NDArray[np.int32],
) -> TokenizerModel:
    """The model of these events, ids of present tokens first, each kind in the given order."""
    staying = set(present)
    order = list(order)
    kept = [token for token in order if token in staying]
    removed = [token for token in order if token not in staying]
    new_id = np.zeros(len(strings), np.int32)
    new_id[kept + removed] = np.arange(len(order), dtype=np.int32)
    numbered = events.copy()
    merging, splitting = events[:, 0] == MERGE, events[:, 0] == SPLIT
    numbered[merging, 1:] = new_id[events[merging, 1:]]
    numbered[splitting, 1] = new_id[events[splitting, 1]]
    return TokenizerModel(
        config=config,
        tokens=tuple(strings[token] for token in kept),
        merges=np.ascontiguousarray(numbered[merging, 1:]),
        removed=tuple(strings[token] for token in removed),
        events=numbered,
        pieces=new_id[pieces],
    )
