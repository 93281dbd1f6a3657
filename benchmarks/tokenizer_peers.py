"""Texts to train tokenizers on, and the trainers of the library `tokenizers`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from operators.tokenization.pretokenization import PRETOKENIZERS

END_OF_TEXT = "<|endoftext|>"
# Bytes that a piece of Unigram may have, in ours and in theirs.
LONGEST_PIECE = 48


def books(megabytes: float) -> list[str]:
    """Chapters of English novels, so many megabytes in all (at most 23)."""
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "books", "standardebooks_10.parquet")
    texts: list[str] = []
    left = round(megabytes * 1e6)
    for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
        if left <= 0:
            break
        texts.append(text.encode()[:left].decode(errors="ignore"))
        left -= len(text.encode())
    return texts


def flores() -> dict[str, list[str]]:
    """997 sentences in each of 60 languages, by the name of the language."""
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    table = pq.read_table(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def train_with_library(
    texts: Sequence[str], algorithm: str, vocab_size: int, pretokenizer: str = "gpt2"
) -> Any:
    """A `tokenizers.Tokenizer` over bytes; WordPiece without a mark on tokens inside words."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    given: dict[str, Any] = {
        "vocab_size": vocab_size,
        "special_tokens": [END_OF_TEXT],
        "initial_alphabet": alphabet,
        "show_progress": False,
    }
    if algorithm == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer: Any = trainers.UnigramTrainer(max_piece_length=LONGEST_PIECE, **given)
    elif algorithm == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token=END_OF_TEXT))
        trainer = trainers.WordPieceTrainer(min_frequency=2, continuing_subword_prefix="", **given)
    else:
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(min_frequency=2, **given)
    if pretokenizer == "gpt2":
        # The library has this pattern built in, in a quicker form.
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        cut = pre_tokenizers.Split(Regex(PRETOKENIZERS[pretokenizer]), "isolated")
        letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, letters])
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def cpu_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads, and the result."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def wall_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result
