"""What exact byte probabilities ask of a tokenizer, and adapters for those that can answer.

A token is the bytes it stands for, and the bytes of an encoded text are the text. Encoding must be
a function: the same text, the same ids, each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import (
    ByteTokenizer,
    HubByteTokenizer,
    component_parts,
)
from operators.tokenization.encoders import make_encoder
from operators.tokenization.pretokenization import PRETOKENIZERS, pretokenizer
from operators.tokenization.scanning_program import scanning_program
from operators.tokenization.tokenizer import Tokenizer

Utf8 = npt.NDArray[np.uint8]
Ends = npt.NDArray[np.int64]

# Encoders whose first tokens can depend on what follows in the pretoken.
_LOOKING_AHEAD = ("events",)

# What ends texts where nothing else is said.
_END_OF_TEXT = "<|endoftext|>"

# The regex inside of `tokenizers`' ByteLevel.
_BYTE_LEVEL = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True, eq=False)
class CoverTokenizer:
    """A reversible tokenizer, as `LiveTokens` and `ByteStream` see it.

    Attributes:
        tokens: the bytes of each id; b"" for an id that stands for no text.
        special_ids: ids that encoding a text never gives, the end of text among them.
        end_id: the id that a model gives when the text ends; None if it has no such id.
        encode_batch: ids of texts. No special token is added, and one that stands in a text
            literally is encoded like any other text.
        pattern: the regex that cuts a text into pretokens, which are encoded each by itself;
            None if that is not known. Only then can long texts be treated by their ends.
        prefix_closed: whether the first tokens of an encoded pretoken, up to any of them, are
            the encoding of their own bytes as a pretoken. It holds for merges by rank (a merge
            never crosses what is a boundary at the end, so the left side merges as if alone),
            for greedy and longest-first matching, and for shortest and most probable paths
            whose ties are broken going forward. It does not hold where later splits undo merges
            (Picky BPE), or where a whole pretoken is looked up before merging.
        encode_laid: `encode_utf8`, where there is a quicker way than `encode_batch`.
    """

    tokens: Sequence[bytes]
    special_ids: frozenset[int]
    end_id: int | None
    encode_batch: Callable[[Sequence[str]], Sequence[Sequence[int]]]
    pattern: str | None = None
    prefix_closed: bool = False
    encode_laid: Callable[[Utf8, Ends], tuple[Any, Ends]] | None = None

    def __post_init__(self) -> None:
        if self.end_id is not None and self.end_id not in self.special_ids:
            raise ValueError(
                f"end_id {self.end_id} is not among special_ids {sorted(self.special_ids)}: a text "
                "could hold it"
            )

    def encode_utf8(self, data: Utf8, text_ends: Ends) -> tuple[Any, Ends]:
        """Texts that lie end to end as UTF-8: the ids of all, and where those of each end."""
        if self.encode_laid is not None:
            return self.encode_laid(data, text_ends)
        raw = data.tobytes()
        bounds = pairwise([0, *text_ends.tolist()])
        encoded = self.encode_batch([raw[start:stop].decode() for start, stop in bounds])
        ids = np.fromiter(chain.from_iterable(encoded), np.int64)
        return ids, np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    def encode(self, text: str) -> list[int]:
        """Ids of one text.

        Raises:
            ValueError: if they do not stand for the text's bytes: then there are no byte
                probabilities.
        """
        ids = list(self.encode_batch([text])[0])
        if b"".join(self.tokens[number] for number in ids) != text.encode():
            raise ValueError(
                f"the tokenizer is not reversible: the tokens of {text[:40]!r} are other bytes"
            )
        return ids


def cover_tokenizer(tokenizer: Any, *, end_of_text: str | None = None) -> CoverTokenizer:
    """The `CoverTokenizer` of a tokenizer of ours, of `tokenizers`, or of any `ByteTokenizer`.

    Args:
        tokenizer: a `Tokenizer` of this package, a byte-level `tokenizers.Tokenizer` or what
            holds one (a fast tokenizer of Transformers, a `HubByteTokenizer`), any other
            `ByteTokenizer`, or the thing itself.
        end_of_text: the special token that ends a text. Not given, it is the one of our
            tokenizers, and "<|endoftext|>" where a byte-level one has that.

    Raises:
        ValueError: for a tokenizer that changes texts, encodes at random or does not work on
            bytes, or an `end_of_text` that is no special token of it.
    """
    if isinstance(tokenizer, CoverTokenizer):
        return tokenizer
    if isinstance(tokenizer, Tokenizer):
        return _of_ours(tokenizer, end_of_text)
    held = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(held, "to_str") and hasattr(held, "get_vocab"):
        return _of_hub(held, end_of_text)
    if isinstance(tokenizer, ByteTokenizer):
        return CoverTokenizer(
            tokens=tuple(tokenizer.tokens),
            special_ids=frozenset(tokenizer.special_ids),
            end_id=_end_id(tokenizer, end_of_text),
            encode_batch=tokenizer.encode_batch,
        )
    raise ValueError(
        f"a {type(tokenizer).__name__} has no exact bytes: needed is a byte-level tokenizer"
    )


def _of_ours(tokenizer: Tokenizer, end_of_text: str | None) -> CoverTokenizer:
    if tokenizer.draws:
        raise ValueError(
            f"{tokenizer!r} draws, but exact bytes need one encoding of each text: take dropout=0 "
            "and an encoder that does not draw"
        )
    config = tokenizer.model.config
    program = scanning_program(pretokenizer(config.encoding_pretokenizer).pattern)
    encoder = make_encoder(tokenizer.model, tokenizer.encoder, dropout=0.0)  # type: ignore[arg-type]
    name = config.end_of_text if end_of_text is None else end_of_text
    return CoverTokenizer(
        tokens=tokenizer.tokens,
        special_ids=frozenset(tokenizer.special_ids),
        end_id=_end_id(tokenizer, name),
        encode_batch=lambda texts: tokenizer.encode_batch(texts, threads=1),
        pattern=pretokenizer(config.encoding_pretokenizer).pattern,
        prefix_closed=tokenizer.encoder not in _LOOKING_AHEAD,
        encode_laid=None
        if program is None
        else lambda data, ends: encoder.encode(data, *program.split(data, ends)),
    )


def _of_hub(tokenizer: Any, end_of_text: str | None) -> CoverTokenizer:
    from tokenizers import Tokenizer as HubTokenizer

    settings = json.loads(tokenizer.to_str())
    model = settings["model"]
    if settings["normalizer"] is not None:
        raise ValueError(
            f"the normalizer {settings['normalizer']['type']} changes texts: normalise them "
            "first and set tokenizer.normalizer to None"
        )
    if model.get("dropout"):
        raise ValueError(f"a dropout of {model['dropout']} draws: set tokenizer.model.dropout None")
    parts = component_parts(settings["pre_tokenizer"])
    if not any(part["type"] == "ByteLevel" for part in parts):
        raise ValueError("the tokenizer is not byte-level: it has no ByteLevel pre-tokenizer")
    if any(part.get("add_prefix_space") for part in parts):
        raise ValueError("the tokenizer adds a space to texts: set add_prefix_space to False")

    # A copy: special tokens in a text shall be text, and nothing shall be cut or padded.
    own = HubTokenizer.from_str(tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    own.encode_special_tokens = True
    seen = HubByteTokenizer(own)
    names = {seen.tokens[number] for number in seen.special_ids}
    if end_of_text is None and _END_OF_TEXT.encode() in names:
        end_of_text = _END_OF_TEXT
    # Added tokens are found before the text is cut, so they may cross pretokens.
    cut_by_one_regex = len(names) == len(settings["added_tokens"])
    return CoverTokenizer(
        tokens=seen.tokens,
        special_ids=seen.special_ids,
        end_id=_end_id(seen, end_of_text),
        encode_batch=lambda texts: [
            encoding.ids
            for encoding in own.encode_batch_fast(list(texts), add_special_tokens=False)
        ],
        pattern=_pattern_of(parts) if cut_by_one_regex else None,
        prefix_closed=model["type"] in ("BPE", "Unigram") and not model.get("ignore_merges"),
    )


def _pattern_of(parts: Sequence[dict[str, Any]]) -> str | None:
    """The one regex that these pre-tokenizers come to, or None."""
    cutting = [part for part in parts if not _is_only_bytes(part)]
    if not cutting:
        return PRETOKENIZERS["none"]
    (first, *others) = cutting
    if others:
        return None
    if first["type"] == "ByteLevel":
        return _BYTE_LEVEL
    if first["type"] == "Split" and first["behavior"] == "Isolated" and not first["invert"]:
        pattern: str | None = first["pattern"].get("Regex")
        return pattern
    return None


def _is_only_bytes(part: dict[str, Any]) -> bool:
    return part["type"] == "ByteLevel" and not part.get("use_regex", True)


def _end_id(tokenizer: ByteTokenizer, end_of_text: str | None) -> int | None:
    if end_of_text is None:
        return None
    specials = {tokenizer.tokens[number]: number for number in tokenizer.special_ids}
    if end_of_text.encode() not in specials:
        names = sorted(name.decode(errors="replace") for name in specials)
        raise ValueError(f"end_of_text {end_of_text!r} is not among the special tokens {names}")
    return specials[end_of_text.encode()]
