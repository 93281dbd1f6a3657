"""The 256 bytes as printable characters, as GPT-2 and `tokenizers`' ByteLevel write them.

A token is the bytes it stands for. Files and people want characters: each byte has one, the
printable bytes of Latin-1 themselves, the others 256 and up in order of value ("Ġ" is a space).
"""

from __future__ import annotations

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_HIDDEN = tuple(byte for byte in range(256) if byte not in _PRINTABLE)

CHARACTER_OF_BYTE: tuple[str, ...] = tuple(
    chr(byte) if byte in _PRINTABLE else chr(256 + _HIDDEN.index(byte)) for byte in range(256)
)
_BYTE_OF_CHARACTER = {character: byte for byte, character in enumerate(CHARACTER_OF_BYTE)}
_TO_CHARACTERS = dict(enumerate(CHARACTER_OF_BYTE))

# `tokenizers`' BpeTrainer numbers its alphabet in the order of the characters. Ids break ties
# between equally frequent pairs, so this order is part of the algorithm.
ALPHABET: tuple[bytes, ...] = tuple(
    bytes([byte]) for byte in sorted(range(256), key=CHARACTER_OF_BYTE.__getitem__)
)


def to_characters(token: bytes) -> str:
    """A token as printable characters: b" the" -> "Ġthe". Any bytes have such a form."""
    return token.decode("latin-1").translate(_TO_CHARACTERS)


def from_characters(characters: str) -> bytes:
    """The inverse of `to_characters`.

    Raises:
        ValueError: for a character that stands for no byte.
    """
    try:
        return bytes(map(_BYTE_OF_CHARACTER.__getitem__, characters))
    except KeyError as unknown:
        raise ValueError(
            f"{unknown.args[0]!r} in {characters!r} stands for no byte of GPT-2's alphabet"
        ) from None
