"""SuperBPE (Liu et al., COLM 2025): BPE that lets tokens cross spaces after a transition.

Stage 1 is byte-level BPE on pretokens that whitespace bounds. Stage 2 keeps those merges, applies
them to the corpus without that bound, and goes on. No token of stage 2 has more than `max_words`
words (its parts between spaces that are not empty) or a space behind a colon; a pair that would
make one is passed over for good.

**Line breaks.** The published regex of stage 2 ("superbpe-stage2") sets apart digits and runs of
punctuation, not line breaks, so tokens may cross them; this is the default, as published.
"superbpe-stage2-lines" sets line breaks apart, and keeps pretokens short on prose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from operators.tokenization.bpe_training import run_kernel, train_bpe
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_encoding import merge_encoder
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.symbols import symbols_of


def train_superbpe(
    counts: PretokenCounts, stage2: PretokenCounts | None, config: TokenizerConfig
) -> TokenizerModel:
    """Learn a SuperBPE vocabulary.

    Args:
        counts: of `config.pretokenizer`.
        stage2: of `config.stage2_pretokenizer`, as a rule of the same texts; not read where the
            transition is the end, which is plain BPE.

    Returns:
        A model whose config names the transition that took place: an earlier one than was asked
        for where the corpus had no pair left in stage 1.

    Raises:
        ValueError: for counts of another pre-tokenizer, or none for stage 2.
    """
    if not config.has_stage2:
        return train_bpe(counts, config)
    if stage2 is None or stage2.pretokenizer != config.stage2_pretokenizer:
        given = "none" if stage2 is None else f"of {stage2.pretokenizer!r}"
        raise ValueError(f"stage 2 wants counts of {config.stage2_pretokenizer!r}, but got {given}")
    base = stage1(counts, config)
    return extend(base, stage2, replace(config, transition_size=base.vocab_size))


def stage1(counts: PretokenCounts, config: TokenizerConfig) -> TokenizerModel:
    """The tokenizer at the transition: plain BPE, which sweeps over transitions can share."""
    size = config.transition_size or config.vocab_size
    return train_bpe(counts, config.with_vocab_size(size))


def extend(base: TokenizerModel, stage2: PretokenCounts, config: TokenizerConfig) -> TokenizerModel:
    """Stage 2: go on from a BPE tokenizer, up to `config.vocab_size`."""
    symbols, begins = symbols_of(base)(stage2.pretokens)
    ids, ends = merge_encoder(base).encode(symbols, begins)
    learned = run_kernel(ids, ends, stage2.counts, base.tokens, config, max_words=config.max_words)
    return TokenizerModel(
        config=config,
        tokens=tuple(learned.tokens),
        merges=np.concatenate([base.merges, learned.merges]),
    )
