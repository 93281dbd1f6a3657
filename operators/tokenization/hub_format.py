"""A trained tokenizer as the Transformers library knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


def to_transformers(tokenizer: Tokenizer, end_of_text: str) -> PreTrainedTokenizerFast:
    """Wrap a copy of `tokenizer`, ready for `save_pretrained(folder)`.

    `AutoTokenizer.from_pretrained(folder)` gives back the same ids and, for byte-level
    tokenizers, the same text: Transformers' clean-up of spaces, which rewrites " ." to ".", is off.
    `end_of_text` serves as begin, end and padding token; nothing is added to an encoded text.

    Raises:
        ValueError: if `end_of_text` is not in the vocabulary; Transformers would silently add it
            as a new id beyond the embedding table of a model.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if tokenizer.token_to_id(end_of_text) is None:
        raise ValueError(f"end_of_text {end_of_text!r} is not in the tokenizer's vocabulary")
    return PreTrainedTokenizerFast(
        # A copy: the wrapper changes truncation, padding and post-processing of what it holds.
        tokenizer_object=Tokenizer.from_str(tokenizer.to_str()),
        bos_token=end_of_text,
        eos_token=end_of_text,
        pad_token=end_of_text,
        clean_up_tokenization_spaces=False,
    )
