"""Our tokenizers for the `tokenizers` library, where it can express them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from operators.tokenization.byte_alphabet import to_characters
from operators.tokenization.config import MERGING_ENCODERS
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PRETOKENIZERS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

# A word longer than that is unknown to the library's WordPiece; here no word is.
_ANY_LENGTH = 2**31 - 1
# The score of a special token, which the library would otherwise take for a piece of text.
_NEVER = -1e9


def to_hub(model: TokenizerModel, encoder: str | None = None) -> Tokenizer:
    """A `tokenizers.Tokenizer` that gives the same ids, and the same text back.

    "merges" and "longest_merge" become a BPE, "unigram" a Unigram, "greedy" a WordPiece without
    prefix. One thing differs: the library makes the special token of the text of `end_of_text`
    wherever it occurs, as `allow_special=True` does here. (Its `encode_special_tokens` switches
    that off, but a WordPiece may still find it where no pretoken ends inside of it.)

    Args:
        encoder: None is the model's own.

    Raises:
        ValueError: if the library has no such encoder, if the model's conventions are not
            "bytes", or if the library does not take the pre-tokenizer's regex.
    """
    from tokenizers import Tokenizer, decoders, models

    name = encoder or model.config.own_encoder
    if model.config.conventions != "bytes":
        raise ValueError(f"{model.config.conventions!r} conventions have no ByteLevel form")
    if name in MERGING_ENCODERS and len(model.removed):
        raise ValueError(f"`tokenizers` cannot remove {len(model.removed)} tokens as Picky BPE did")
    written = [to_characters(token) for token in model.tokens]
    for number in model.special_ids:
        written[number] = model.tokens[number].decode()
    vocabulary = {token: number for number, token in enumerate(written)}
    if len(vocabulary) < len(written):
        raise ValueError(
            f"a token is written like end_of_text {model.config.end_of_text!r}: train with another"
        )
    if name in MERGING_ENCODERS:
        merges = model.merges
        if name == "longest_merge":
            lengths = np.array([len(model.tokens[result]) for result in merges[:, 2]], np.int64)
            merges = merges[np.argsort(-lengths, kind="stable")]
        pairs = [(written[left], written[right]) for left, right, _ in merges.tolist()]
        spells: Any = models.BPE(vocabulary, pairs)
    elif name == "greedy":
        spells = models.WordPiece(
            vocabulary,
            unk_token=model.config.end_of_text,
            continuing_subword_prefix="",
            max_input_chars_per_word=_ANY_LENGTH,
        )
    elif name == "unigram":
        if model.scores is None:
            raise ValueError(f"a {model.config.algorithm} model has no scores")
        scores = model.scores.tolist()
        scores[: len(model.special_ids)] = [_NEVER] * len(model.special_ids)
        spells = models.Unigram(list(zip(written, scores, strict=True)), None, False)
    else:
        raise ValueError(
            f"`tokenizers` has no encoder {name!r}; it has merges, longest_merge, greedy, unigram"
        )
    tokenizer = Tokenizer(spells)
    tokenizer.pre_tokenizer = _byte_level(model.config.encoding_pretokenizer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([model.config.end_of_text])
    return tokenizer


def _byte_level(pretokenizer: str) -> PreTokenizer:
    """What cuts as ours does, matches and what lies between them, and writes bytes as characters.

    Raises:
        ValueError: if the library does not take the regex.
    """
    from tokenizers import Regex, pre_tokenizers

    if pretokenizer == "gpt2":  # built in, and quicker than the same regex
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    written = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pretokenizer == "none":
        return written
    pattern = PRETOKENIZERS.get(pretokenizer, pretokenizer)
    try:
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception as error:  # the library raises no narrower type
        raise ValueError(
            f"`tokenizers` does not take the regex of pretokenizer {pretokenizer!r}: {error}"
        ) from error
    return pre_tokenizers.Sequence([cut, written])
