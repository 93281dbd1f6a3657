"""One entry to BPE, Picky BPE and SuperBPE, which all learn from counted pretokens."""

from __future__ import annotations

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.picky_bpe import train_picky_bpe
from operators.tokenization.pretokenization import PretokenCounts
from operators.tokenization.superbpe import train_superbpe

BPE_FAMILY = ("bpe", "picky_bpe", "superbpe")


def train_bpe_family(
    config: TokenizerConfig, counts: PretokenCounts, stage2: PretokenCounts | None = None
) -> TokenizerModel:
    """Train a tokenizer from counts.

    What a corpus can and cannot do:

    - *Nothing in it* gives the alphabet: 256 bytes and end_of_text.
    - *Too little for vocab_size* gives the vocabulary that it can: `model.vocab_size` says how
      large. Training stops where no pair occurs `min_frequency` times.
    - *The special token's text in it* is ordinary text to training, and no merge ever makes that
      token, whose id therefore never comes of text.
    - *NUL* is a byte like any other. *Lone surrogates* were refused when it was counted.

    Args:
        config: of an algorithm in `BPE_FAMILY`.
        counts: of `config.counted[0]`.
        stage2: of `config.counted[1]`, where there is one (SuperBPE).

    Raises:
        ValueError: for another algorithm, counts of another pre-tokenizer, or (with the
            conventions of references only) an alphabet larger than vocab_size.
    """
    if config.algorithm == "bpe":
        return train_bpe(counts, config)
    if config.algorithm == "picky_bpe":
        return train_picky_bpe(counts, config)
    if config.algorithm == "superbpe":
        return train_superbpe(counts, stage2, config)
    raise ValueError(
        f"algorithm is {config.algorithm!r}, which is not one of {', '.join(BPE_FAMILY)}"
    )
