"""PathPiece's vocabulary: begin with too many tokens and drop those that are missed the least.

After Schmidt et al. 2024. They do not publish this part of their program; how many tokens go at
once, and which of two tokens with the same price goes first, is ours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from operators.tokenization.config import SMALLEST_VOCABULARY
from operators.tokenization.model import TokenizerModel
from operators.tokenization.omission_kernels import omission_costs
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.token_trie import end_to_end, token_trie


def pathpiece_vocabulary(
    counts: PretokenCounts, initial: TokenizerModel, vocab_size: int, *, share: float = 0.1
) -> TokenizerModel:
    """Shrink the vocabulary of `initial` for the encoder "pathpiece".

    In every round the corpus is segmented into the fewest tokens, every token gets its omission
    cost, and the cheapest go. Tokens that are not used go first and all at once, as they cannot
    be missed. Of the same cost, the less used goes first, then the later learned.

    Args:
        counts: the corpus, cut by the pre-tokenizer that `initial` encodes with.
        initial: any trained model: of BPE (best in the paper), of Unigram (it keeps its scores).
        vocab_size: ids to keep, special ones included. Special tokens and single bytes stay.
        share: of the tokens that are there, at most this part goes in a round: less is slower
            and nearer to one at a time, since prices change with every token that goes.

    Returns:
        A model without merges. If `initial` is no larger than `vocab_size`, nothing is dropped.

    Raises:
        ValueError: for another pre-tokenizer, a vocab_size < 257, conventions other than
            "bytes", or a share outside (0, 1].
    """
    config = initial.config
    if counts.pretokenizer != config.encoding_pretokenizer:
        raise ValueError(
            f"pretokens were cut by {counts.pretokenizer!r}, but the model encodes with "
            f"{config.encoding_pretokenizer!r}"
        )
    if vocab_size < SMALLEST_VOCABULARY:
        raise ValueError(f"vocab_size is {vocab_size}, but must be >= {SMALLEST_VOCABULARY}")
    if config.conventions != "bytes":
        raise ValueError(f"the model has {config.conventions!r} conventions, but must have 'bytes'")
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, but must be in (0, 1]")
    data, ends = end_to_end(counts.pretokens)
    specials = len(initial.special_ids)
    kept = np.arange(initial.vocab_size)
    stays = np.array([len(token) == 1 for token in initial.tokens])
    stays[:specials] = True
    while len(kept) > vocab_size:
        tokens = [initial.tokens[number] for number in kept]
        costs, uses, _ = token_costs(tokens, specials, data, ends, counts.counts)
        removable = np.flatnonzero(~stays[kept])
        order = removable[np.lexsort((-removable, uses[removable], costs[removable]))]
        unused = int(np.sum(uses[removable] == 0))
        batch = min(max(unused, int(share * len(kept)), 1), len(kept) - vocab_size)
        kept = np.delete(kept, order[:batch])
    return TokenizerModel(
        # Nothing is left to learn: one pre-tokenizer, which was the last one of training.
        config=replace(
            config,
            vocab_size=vocab_size,
            pretokenizer=config.encoding_pretokenizer,
            transition_size=None,
            encoder="pathpiece",
            dropout=0.0,
        ),
        tokens=tuple(initial.tokens[number] for number in kept),
        scores=None if initial.scores is None else initial.scores[kept],
    )


def token_costs(
    tokens: list[bytes],
    specials: int,
    data: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Omission cost and number of uses of each token, and the tokens of the whole corpus.

    The cost of single bytes is left at 0: they are never removed.

    Args:
        specials: the first so many tokens are reached by no text.
        data, ends: pretokens end to end, and where each ends.
        weights: how often each occurs.
    """
    trie = token_trie(tokens, left_out=range(specials))
    costs = np.zeros(len(tokens), np.int64)
    uses = np.zeros(len(tokens), np.int64)
    total = omission_costs(trie.edges, trie.size, trie.longest, data, ends, weights, costs, uses)
    return costs, uses, total
