"""What exact byte probabilities ask of a tokenizer, and adapters for those that can answer.

A token is the bytes it stands for, and the bytes of an encoded text are the text. Encoding must be
a function: the same text, the same ids, each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from operators.tokenization.byte_alphabet import from_characters
from operators.tokenization.byte_tokenizer import ByteTokenizer
from operators.tokenization.pretokenization import PRETOKENIZERS
from operators.tokenization.tokenizer import Tokenizer

# Encoders whose first tokens can depend on what follows in the pretoken.
_LOOKING_AHEAD = ("events",)

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
    """

    tokens: Sequence[bytes]
    special_ids: frozenset[int]
    end_id: int | None
    encode_batch: Callable[[Sequence[str]], Sequence[Sequence[int]]]
    pattern: str | None = None
    prefix_closed: bool = False

    def __post_init__(self) -> None:
        if self.end_id is not None and self.end_id not in self.special_ids:
            raise ValueError(
                f"end_id {self.end_id} is not among special_ids {sorted(self.special_ids)}: a text "
                "could hold it"
            )

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
        tokenizer: a `Tokenizer` of this package, a byte-level `tokenizers.Tokenizer` or a fast
            tokenizer of Transformers that holds one, a `ByteTokenizer`, or the thing itself.
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
        specials = frozenset(tokenizer.special_ids)
        tokens = tuple(tokenizer.tokens)
        end_id = _end_id({tokens[number]: number for number in specials}, end_of_text)
        return CoverTokenizer(tokens, specials, end_id, tokenizer.encode_batch)
    raise ValueError(
        f"a {type(tokenizer).__name__} has no exact bytes: needed is a byte-level tokenizer"
    )


def _of_ours(tokenizer: Tokenizer, end_of_text: str | None) -> CoverTokenizer:
    if tokenizer.draws:
        raise ValueError(
            f"{tokenizer!r} draws, but exact bytes need one encoding of each text: take dropout=0 "
            "and an encoder that does not draw"
        )
    specials = frozenset(tokenizer.special_ids)
    name = tokenizer.model.config.end_of_text if end_of_text is None else end_of_text
    splitting = tokenizer.model.config.encoding_pretokenizer
    return CoverTokenizer(
        tokens=tokenizer.tokens,
        special_ids=specials,
        end_id=_end_id({tokenizer.tokens[number]: number for number in specials}, name),
        encode_batch=lambda texts: tokenizer.encode_batch(texts, threads=1),
        pattern=PRETOKENIZERS.get(splitting, splitting),
        prefix_closed=tokenizer.encoder not in _LOOKING_AHEAD,
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
    parts = _parts(settings["pre_tokenizer"])
    if not any(part["type"] == "ByteLevel" for part in parts):
        raise ValueError("the tokenizer is not byte-level: it has no ByteLevel pre-tokenizer")
    if any(part.get("add_prefix_space") for part in parts):
        raise ValueError("the tokenizer adds a space to texts: set add_prefix_space to False")

    # A copy: special tokens in a text shall be text, and nothing shall be cut or padded.
    own = HubTokenizer.from_str(tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    own.encode_special_tokens = True
    added = settings["added_tokens"]
    names = {token["content"]: token["id"] for token in added if token["special"]}
    ids = own.get_vocab(with_added_tokens=True)
    tokens = [b""] * (max(ids.values()) + 1)
    written_out = {token["content"] for token in added}
    for written, number in ids.items():
        tokens[number] = written.encode() if written in written_out else from_characters(written)
    encoded = {name.encode(): number for name, number in names.items()}
    if end_of_text is None and "<|endoftext|>" in names:
        end_of_text = "<|endoftext|>"
    # Added tokens are found before the text is cut, so they may cross pretokens.
    cut_by_one_regex = len(names) == len(added)
    return CoverTokenizer(
        tokens=tuple(tokens),
        special_ids=frozenset(names.values()),
        end_id=_end_id(encoded, end_of_text),
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


def _parts(component: dict[str, Any] | None) -> list[dict[str, Any]]:
    if component is None:
        return []
    members = component.get("pretokenizers")
    return [component] if members is None else [part for one in members for part in _parts(one)]


def _end_id(specials: dict[bytes, int], end_of_text: str | None) -> int | None:
    if end_of_text is None:
        return None
    if end_of_text.encode() not in specials:
        names = sorted(name.decode(errors="replace") for name in specials)
        raise ValueError(f"end_of_text {end_of_text!r} is not among the special tokens {names}")
    return specials[end_of_text.encode()]
