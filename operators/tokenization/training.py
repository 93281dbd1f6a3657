"""Train byte-level BPE and Unigram tokenizers: reversible, and the same on every run.

Both algorithms work on the 256 byte symbols of GPT-2 (the `ByteLevel` pre-tokenizer without a
prefix space), so there is no unknown token and `decode(encode(text)) == text` for any text.

**Why the same data gives the same tokenizer.** The Rust trainers keep the counted words in a hash
map whose order changes from process to process.

- BPE is not touched by that: it adds integers, takes the most frequent pair, and breaks ties by
  the ids of the pair, which follow from the sorted byte alphabet.
- Unigram is, in two ways. Expectation-maximisation sums floats in the order of the words, so
  scores differ in their last bits (about 1e-14, whatever the number of threads), and with them
  the order of equally good pieces. And every byte without a score of its own gets the lowest
  score plus a small step *in the order of a hash set*, which changes it by up to 0.0256.
  `_canonical_pieces` takes both out: scores are rounded to 1e-4 nats, such bytes share one score,
  and ids follow (score, piece).

What stays is not a proof: two segmentations of a word that are equal to the last bit while pieces
are pruned could still be told apart by noise, and a score could lie within 1e-14 of a rounding
edge (about one run in 100,000 for 16,000 pieces).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Algorithm = Literal["bpe", "unigram"]

# The 256 bytes and the end-of-text token: below this a tokenizer could not spell every text.
SMALLEST_VOCABULARY = 257

# SentencePiece lets a piece have 16 characters. A byte-level trainer counts bytes, so its default
# of 16 would give a Devanagari or Burmese piece 5 characters and an English one 16, which is a
# premium made by the trainer. 48 bytes are 16 characters of a three-byte script.
_LONGEST_PIECE_BYTES = 48

# Far above the noise of the summation (1e-14), far below what a score means: 0.01 % of a
# probability.
_SCORE_DECIMALS = 4

# The trainer spreads bytes without a score over lowest + 0.0001 * (0 ... 255).
_UNSEEN_BYTE_SPREAD = 0.0256


def train_tokenizer(
    texts: Iterable[str],
    *,
    algorithm: Algorithm,
    vocab_size: int,
    min_frequency: int = 2,
    end_of_text: str = "<|endoftext|>",
) -> Tokenizer:
    """Train a byte-level tokenizer whose only special token is `end_of_text`, id 0.

    Args:
        texts: read once, in any order: the result depends on the multiset of texts only.
        algorithm: "bpe" (Sennrich et al. 2016, on bytes as in GPT-2) or "unigram" (Kudo 2018).
        vocab_size: number of ids wanted, the special token included; at least 257. Data that
            cannot give so many pieces gives a smaller vocabulary, never an error: ask
            `get_vocab_size()`. No texts at all give the 256 bytes and the special token.
        min_frequency: a pair is merged when it occurs >= this often. BPE only: Unigram keeps
            pieces by their likelihood and has no such threshold.
        end_of_text: at least two characters. Where a text contains it literally, it is encoded
            as the special token, and comes back from `decode(ids, skip_special_tokens=False)`.

    Raises:
        ValueError: for an unknown algorithm, a vocab_size < 257, a min_frequency < 0, or a
            shorter end_of_text.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    if vocab_size < SMALLEST_VOCABULARY:
        raise ValueError(
            f"vocab_size is {vocab_size}, but 256 bytes and the end-of-text token need "
            f">= {SMALLEST_VOCABULARY}"
        )
    if min_frequency < 0:
        raise ValueError(f"min_frequency is {min_frequency}, but must be >= 0")
    if len(end_of_text) < 2:
        raise ValueError(f"end_of_text is {end_of_text!r}, but must have >= 2 characters")

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if algorithm == "bpe":
        tokenizer = _byte_level(Tokenizer(models.BPE()))
        merging = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=[end_of_text],
            initial_alphabet=alphabet,
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, merging)
        return tokenizer
    if algorithm == "unigram":
        noisy = _byte_level(Tokenizer(models.Unigram()))
        pruning = trainers.UnigramTrainer(
            vocab_size=vocab_size,
            special_tokens=[end_of_text],
            initial_alphabet=alphabet,
            max_piece_length=_LONGEST_PIECE_BYTES,
            show_progress=False,
        )
        noisy.train_from_iterator(texts, pruning)
        learned = [
            # Without any text there is no score at all (null): then all bytes are alike.
            (piece, 0.0 if score is None else score)
            for piece, score in json.loads(noisy.to_str())["model"]["vocab"]
            # Asked for the bytes and nothing else, the trainer misses its mark and stops nowhere.
            if piece != end_of_text and (vocab_size > SMALLEST_VOCABULARY or len(piece) == 1)
        ]
        pieces = [(end_of_text, 0.0), *_canonical_pieces(learned)]
        tokenizer = _byte_level(Tokenizer(models.Unigram(pieces, None, False)))
        tokenizer.add_special_tokens([end_of_text])
        return tokenizer
    raise ValueError(f"algorithm is {algorithm!r}, but must be 'bpe' or 'unigram'")


def _byte_level(tokenizer: Tokenizer) -> Tokenizer:
    from tokenizers import decoders, pre_tokenizers

    # A prefix space would come back from decode() as a character the text never had.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _canonical_pieces(pieces: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The pieces without the noise of their training: see the module's docstring.

    A single byte with a *learned* score inside the spread is flattened with the unseen ones,
    which cannot be told apart; it costs at most 0.0256 nats on one of the rarest bytes.
    """
    lowest = min(score for _, score in pieces)
    highest_unseen = lowest + _UNSEEN_BYTE_SPREAD
    settled = [
        (
            piece,
            round(lowest if len(piece) == 1 and score < highest_unseen else score, _SCORE_DECIMALS),
        )
        for piece, score in pieces
    ]
    return sorted(settled, key=lambda entry: (-entry[1], entry[0]))
