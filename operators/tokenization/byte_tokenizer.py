"""What measures and transfer ask of a tokenizer, and an adapter for those of `tokenizers`.

A token is the bytes it stands for. Tokenizers write them in their own ways ("Ġthe", "▁the",
"<0xE2>", "##ing"); here they all become canonical bytes, so that two vocabularies can be compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from operators.tokenization.byte_alphabet import from_characters

if TYPE_CHECKING:
    from tokenizers import Tokenizer as HubTokenizer

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-F]{2})>")


@runtime_checkable
class ByteTokenizer(Protocol):
    """A vocabulary of byte strings and what makes ids of a text."""

    @property
    def tokens(self) -> Sequence[bytes]:
        """The bytes of each id; b"" for an id that is not used."""

    @property
    def special_ids(self) -> Collection[int]:
        """The ids that stand for no text, such as the end of text."""

    @property
    def unknown_id(self) -> int | None:
        """The id of what has no token; None where every text can be spelled."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text, with no special token added."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens written out."""


class HubByteTokenizer:
    """A `tokenizers.Tokenizer` seen as a `ByteTokenizer`.

    Canonical bytes of a token: with a ByteLevel pre-tokenizer or decoder, the bytes it writes as
    characters; with Metaspace, U+2581 is a space and, under byte fallback, "<0x41>" is a byte; of
    WordPiece, "##ing" is "ing" and "the" is " the" (a word begins with its space, as elsewhere);
    otherwise UTF-8. Added tokens stand for their text.

    Attributes:
        backend_tokenizer: the tokenizer itself, as Transformers' fast tokenizers call it.
    """

    def __init__(self, tokenizer: HubTokenizer) -> None:
        self.backend_tokenizer = tokenizer

    @cached_property
    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(self.backend_tokenizer.to_str())
        return settings

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """Canonical bytes of each id."""
        ids = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        added = {token["content"] for token in self._settings["added_tokens"]}
        canonical = _canonical_form(self._settings)
        tokens = [b""] * (max(ids.values(), default=-1) + 1)
        for written, number in ids.items():
            tokens[number] = written.encode() if written in added else canonical(written)
        return tuple(tokens)

    @cached_property
    def fallback_ids(self) -> frozenset[int]:
        """Ids of tokens that are written as bytes ("<0x41>") and used where no other fits."""
        if not _falls_back_to_bytes(self._settings):
            return frozenset()
        ids = self.backend_tokenizer.get_vocab(with_added_tokens=False)
        return frozenset(
            number for written, number in ids.items() if _BYTE_FALLBACK.fullmatch(written)
        )

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the added tokens that are declared special."""
        return frozenset(
            token["id"] for token in self._settings["added_tokens"] if token["special"]
        )

    @cached_property
    def unknown_id(self) -> int | None:
        """The model's unknown token, where it has one in its vocabulary."""
        model = self._settings["model"]
        if model.get("unk_id") is not None:
            return int(model["unk_id"])
        name = model.get("unk_token")
        number: int | None = None if name is None else self.backend_tokenizer.token_to_id(name)
        return number

    def encode(self, text: str) -> list[int]:
        """Ids of a text, with no special token added."""
        ids: list[int] = self.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts, on all the threads that the library uses."""
        encodings = self.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens written out."""
        text: str = self.backend_tokenizer.decode(list(ids), skip_special_tokens=False)
        return text


def as_byte_tokenizer(tokenizer: Any) -> ByteTokenizer:
    """`tokenizer` itself where it is a `ByteTokenizer`, else `HubByteTokenizer` around it.

    Raises:
        ValueError: if it is neither that nor a `tokenizers.Tokenizer`.
    """
    if isinstance(tokenizer, ByteTokenizer):
        return tokenizer
    # A fast tokenizer of Transformers holds one of `tokenizers`.
    held = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(held, "to_str") and hasattr(held, "get_vocab"):
        return HubByteTokenizer(held)
    raise ValueError(
        f"a {type(tokenizer).__name__} is no tokenizer: needed are tokens, special_ids, "
        "unknown_id, encode, encode_batch and decode, or a tokenizers.Tokenizer"
    )


def _canonical_form(settings: dict[str, Any]) -> Any:
    """The function that turns a written token of this tokenizer into bytes."""
    parts = [*component_parts(settings["pre_tokenizer"]), *component_parts(settings["decoder"])]
    kinds = {part["type"] for part in parts}
    model = settings["model"]
    if "ByteLevel" in kinds:
        return _from_byte_level
    marks = {part["replacement"] for part in parts if part["type"] == "Metaspace"}
    marks |= {
        part["pattern"].get("String")
        for part in parts
        if part["type"] == "Replace" and part.get("content") == " "
    }
    if marks - {None}:
        (mark,) = sorted(marks - {None})[:1]
        falls_back = _falls_back_to_bytes(settings)
        return lambda written: _from_metaspace(written, mark, falls_back)
    prefix = model.get("continuing_subword_prefix")
    if model["type"] == "WordPiece" and prefix:
        return lambda written: (
            written.removeprefix(prefix) if written.startswith(prefix) else f" {written}"
        ).encode()
    return str.encode


def _falls_back_to_bytes(settings: dict[str, Any]) -> bool:
    decoders = {part["type"] for part in component_parts(settings["decoder"])}
    return bool(settings["model"].get("byte_fallback")) or "ByteFallback" in decoders


def component_parts(component: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A pre-tokenizer or decoder of `tokenizers`, as in its JSON, as the parts it comes to."""
    if component is None:
        return []
    members = component.get("pretokenizers") or component.get("decoders")
    if members is None:
        return [component]
    return [part for one in members for part in component_parts(one)]


def _from_byte_level(written: str) -> bytes:
    try:
        return from_characters(written)
    except ValueError:
        # A token that no encoding can give (left by an edit by hand): its own text.
        return written.encode()


def _from_metaspace(written: str, mark: str, falls_back: bool) -> bytes:
    byte = _BYTE_FALLBACK.fullmatch(written) if falls_back else None
    return bytes.fromhex(byte[1]) if byte else written.replace(mark, " ").encode()
