"""WordPiece over bytes: the vocabulary of a BPE, spelled greedily.

`tokenizers`' WordPieceTrainer *is* its BpeTrainer: it forgets the merges and keeps the vocabulary,
and a text is then spelled by the longest token first. So is this, and a sweep that trains BPE has
its WordPiece vocabularies for nothing. (Schuster and Nakajima 2012 choose each merge by likelihood
instead; no published trainer that people use does.)

What the library adds is "##" before a token that does not begin a word. Tokens here are the bytes
they stand for, and pre-tokenizers leave the space at the beginning of a word, which tells the two
apart: without that mark (`continuing_subword_prefix=""`) the library's vocabulary is this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from operators.tokenization.bpe_training import train_bpe
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts


def train_wordpiece(counts: PretokenCounts, config: TokenizerConfig) -> TokenizerModel:
    """Learn a WordPiece vocabulary: BPE's tokens in the order learned, but for too long ones.

    Args:
        counts: of the pre-tokenizer that the config names.

    Returns:
        A model with at most `config.vocab_size` tokens; fewer where the corpus has no pair left
        that occurs `min_frequency` times. An empty corpus gives the alphabet.

    Raises:
        ValueError: for counts of another pre-tokenizer, or another algorithm.
    """
    (model,) = wordpieces_of_bpe(
        lambda vocab_size: train_bpe(counts, plain_bpe(config, vocab_size)), [config]
    )
    return model


def plain_bpe(config: TokenizerConfig, vocab_size: int) -> TokenizerConfig:
    """The BPE whose vocabulary a WordPiece of this config takes, at another size."""
    return TokenizerConfig(
        algorithm="bpe",
        vocab_size=vocab_size,
        pretokenizer=config.pretokenizer,
        min_frequency=config.min_frequency,
        end_of_text=config.end_of_text,
        conventions=config.conventions,
    )


def wordpieces_of_bpe(
    bpe: Callable[[int], TokenizerModel], configs: Sequence[TokenizerConfig]
) -> list[TokenizerModel]:
    """WordPiece vocabularies out of one BPE.

    Args:
        bpe: gives the BPE of a vocabulary size (`plain_bpe`). It is asked for the largest one,
            and again for a larger one where tokens above `max_token_bytes` had to be left out.
        configs: different in size, `max_token_bytes` and what matters to encoding only.

    Raises:
        ValueError: for another algorithm, and whatever `bpe` raises.
    """
    for config in configs:
        if config.algorithm != "wordpiece":
            raise ValueError(f"algorithm is {config.algorithm!r}, but must be 'wordpiece'")
    asked = max(config.vocab_size for config in configs)
    tokens = bpe(asked).tokens
    while len(tokens) == asked:
        lacking = max(config.vocab_size - len(_short(tokens, config)) for config in configs)
        if lacking <= 0:
            break
        asked += max(lacking, asked // 2)
        tokens = bpe(asked).tokens
    return [
        TokenizerModel(config=config, tokens=_short(tokens, config)[: config.vocab_size])
        for config in configs
    ]


def _short(tokens: tuple[bytes, ...], config: TokenizerConfig) -> tuple[bytes, ...]:
    specials, longest = config.specials, config.max_token_bytes
    return (*tokens[:specials], *(t for t in tokens[specials:] if len(t) <= longest))
