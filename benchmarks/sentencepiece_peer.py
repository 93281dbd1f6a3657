"""SentencePiece's Unigram on the very problem that ours solves, where it is installed.

It works on characters, and puts its own mark between words. Given the pretokens, each byte written
as one character, with their counts, it has the same words, alphabet and lengths as ours and
`tokenizers`. It is spared what the others are not: splitting and counting. Bytes that the text does
not have get no piece there, but do here, so it is asked for that many fewer: as many learned ones.
"""

from __future__ import annotations

import io
from typing import Any

from benchmarks.tokenizer_peers import LONGEST_PIECE
from operators.tokenization.byte_alphabet import to_characters
from operators.tokenization.pretokenization import PretokenCounts

try:
    import sentencepiece
except ImportError:
    sentencepiece = None


def is_installed() -> bool:
    return sentencepiece is not None


def train_sentencepiece(counts: PretokenCounts, vocab_size: int) -> Any:
    """A `SentencePieceProcessor`; its unknown token has the place of our end of text."""
    absent = 256 - len(set().union(*counts.pretokens))
    lines = [
        f"{to_characters(pretoken)}\t{count}"
        for pretoken, count in zip(counts.pretokens, counts.counts.tolist(), strict=True)
    ]
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        input_format="tsv",
        model_type="unigram",
        vocab_size=vocab_size - absent,
        hard_vocab_limit=False,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        character_coverage=1.0,
        max_sentencepiece_length=LONGEST_PIECE,
        max_sentence_length=1 << 20,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_unicode_script=False,
        split_by_number=False,
        num_threads=1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())


def tokens_of(processor: Any, counts: PretokenCounts) -> int:
    """Tokens of a text that has these pretokens."""
    spelled = processor.encode(list(map(to_characters, counts.pretokens)), out_type=int)
    return sum(len(ids) * count for ids, count in zip(spelled, counts.counts.tolist(), strict=True))
