"""Tokenizer models without training: from a list of tokens, or from what `tokenizers` trained."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np

from operators.tokenization.byte_alphabet import ALPHABET, from_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel

END = "<|endoftext|>"


def model_of(
    learned: Iterable[bytes | str] = (),
    *,
    merges: Sequence[tuple[str, str]] = (),
    scores: Sequence[float] | None = None,
    encoder: str | None = None,
    pretokenizer: str = "none",
    **settings,
) -> TokenizerModel:
    """The bytes, `learned` and what `merges` make; `scores` are those of `learned`, bytes get -9."""
    tokens = [END.encode(), *ALPHABET]
    for given in [*learned, *("".join(pair) for pair in merges)]:
        token = given.encode() if isinstance(given, str) else given
        if token not in tokens:
            tokens.append(token)
    ids = {token: number for number, token in enumerate(tokens)}
    rows = [[ids[part.encode()] for part in (a, b, a + b)] for a, b in merges]
    config = TokenizerConfig(
        algorithm="unigram" if scores is not None else "bpe",
        vocab_size=len(tokens),
        encoder=encoder,
        pretokenizer=pretokenizer,
        **settings,
    )
    return TokenizerModel(
        config=config,
        tokens=tuple(tokens),
        merges=np.array(rows, np.int32).reshape(-1, 3),
        scores=None if scores is None else np.array([0.0] + [-9.0] * 256 + list(scores)),
    )


def spelled(model: TokenizerModel, ids: Sequence[int]) -> list[str]:
    """Ids as the texts of their tokens."""
    return [model.tokens[number].decode() for number in ids]


def hub_bpe(texts: Iterable[str], vocab_size: int):
    """A byte-level BPE trained by `tokenizers`, with GPT-2's pre-tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def model_from_hub(tokenizer, **settings) -> TokenizerModel:
    """Our model of a BPE that `hub_bpe` trained."""
    spelling = json.loads(tokenizer.to_str())["model"]
    vocabulary = spelling["vocab"]
    written = sorted(vocabulary, key=vocabulary.__getitem__)
    pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in spelling["merges"]]
    rows = [[vocabulary[a], vocabulary[b], vocabulary[a + b]] for a, b in pairs]
    return TokenizerModel(
        config=TokenizerConfig(algorithm="bpe", vocab_size=len(written), **settings),
        tokens=(END.encode(), *map(from_characters, written[1:])),
        merges=np.array(rows, np.int32).reshape(-1, 3),
    )
