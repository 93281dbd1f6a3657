"""WordPiece tokenizers, as BERT has them (Schuster and Nakajima 2012; Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(texts: Iterable[str], *, vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """A cased WordPiece tokenizer that puts [CLS] before and [SEP] behind a text.

    The same texts give the same tokens. The trainer is that of BPE, which breaks ties by ids; it
    numbers the letters inside words in the order of a hash map, which changes from process to
    process, so they are numbered before it starts.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import WordPieceTrainer

    kept = list(texts)
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    letters: set[str] = set()
    for text in kept:
        letters.update(text)
    shown = sorted({c for x in sorted(letters) for c in normalizer.normalize_str(x).strip()})
    numbered = [*SPECIAL, *shown, *(f"##{letter}" for letter in shown)]

    def empty(model: models.Model) -> Tokenizer:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    learner = empty(models.WordPiece(unk_token="[UNK]"))
    trainer = WordPieceTrainer(
        vocab_size=max(vocab_size, len(numbered)),
        min_frequency=min_frequency,
        special_tokens=numbered,
        show_progress=False,
    )
    learner.train_from_iterator(kept, trainer)
    # A new tokenizer with the same words: in the other one all letters are special tokens.
    words = learner.get_vocab()
    tokenizer = empty(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, words[name]) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer
