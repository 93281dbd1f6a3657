"""What pretokens begin with: bytes, or the characters of a reference implementation.

BPE and its variants start from an alphabet. Ours is the 256 bytes, so that any text can be
spelled. subword-nmt and the authors' Picky BPE work on characters, and mark where a word ends or
begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_alphabet import ALPHABET
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.model import TokenizerModel
from operators.tokenization.pretokenization import PretokenCounts

WORD_END = "</w>"  # subword-nmt, version 0.2: part of the last character of a word
WORD_BEGIN = "\u2581"  # Picky BPE: a character of its own
PICKY_SPECIALS = (b"<PAD>", b"<UNK>", b"<BOS>", b"<EOS>")
_UNKNOWN = 1

Symbols = Callable[[Sequence[bytes]], tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]]


def alphabet(config: TokenizerConfig, counts: PretokenCounts) -> tuple[bytes, ...]:
    """The tokens that training begins with, special ones first, in the order of their ids."""
    if config.conventions == "bytes":
        return (config.end_of_text.encode(), *ALPHABET)
    if config.conventions == "subword-nmt":
        words = [pretoken.decode() for pretoken in counts.pretokens]
        inner = set().union(*(word[:-1] for word in words)) if words else set()
        final = {word[-1] + WORD_END for word in words}
        return tuple(symbol.encode() for symbol in sorted(inner | final))
    kept = _covered_characters(counts, config.coverage)
    return (*PICKY_SPECIALS, *(character.encode() for character in sorted(kept)))


def symbols_of(model: TokenizerModel) -> Symbols:
    """What turns pretokens into the ids of the model that its merges begin with."""
    return initial_symbols(model.config, model.tokens)


def initial_symbols(config: TokenizerConfig, tokens: Sequence[bytes]) -> Symbols:
    """A function of pretokens: their initial ids end to end, int32, and where each begins.

    The last of the int64 begins is where the last pretoken ends. Characters without a token are
    UNK in the "picky" conventions; in those of subword-nmt they get the number behind the last
    id, which no merge names.
    """
    if config.conventions == "bytes":
        id_of_byte = np.zeros(256, np.int32)
        for token_id, token in enumerate(tokens):
            if len(token) == 1:
                id_of_byte[token[0]] = token_id
        return lambda pretokens: _of_bytes(pretokens, id_of_byte)
    ids = {token.decode(): token_id for token_id, token in enumerate(tokens)}
    inner = {symbol: token_id for symbol, token_id in ids.items() if len(symbol) == 1}
    if config.conventions == "picky":
        return lambda pretokens: _of_characters(pretokens, inner, inner, _UNKNOWN)
    final = {
        symbol[0]: token_id
        for symbol, token_id in ids.items()
        if len(symbol) == 1 + len(WORD_END) and symbol.endswith(WORD_END)
    }
    return lambda pretokens: _of_characters(pretokens, inner, final, len(tokens))


def _of_bytes(
    pretokens: Sequence[bytes], id_of_byte: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    lengths = np.fromiter(map(len, pretokens), np.int64, len(pretokens))
    data = np.frombuffer(b"".join(pretokens), np.uint8)
    return id_of_byte[data], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _of_characters(
    pretokens: Sequence[bytes], inner: Mapping[str, int], final: Mapping[str, int], unknown: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    words = [pretoken.decode() for pretoken in pretokens]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    begins = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    symbols = _looked_up(points, inner, unknown)
    last = begins[1:][lengths > 0] - 1
    symbols[last] = _looked_up(points[last], final, unknown)
    return symbols, begins


def _looked_up(
    points: npt.NDArray[np.uint32], ids: Mapping[str, int], unknown: int
) -> npt.NDArray[np.int32]:
    if not ids:
        return np.full(len(points), unknown, np.int32)
    ordered = sorted(ids)
    known = np.array([ord(character) for character in ordered], np.uint32)
    values = np.array([ids[character] for character in ordered], np.int32)
    at = np.minimum(np.searchsorted(known, points), len(known) - 1)
    return np.where(known[at] == points, values[at], np.int32(unknown)).astype(np.int32)


def _covered_characters(counts: PretokenCounts, coverage: float) -> set[str]:
    """The characters that stay when the rarest leave, as far as coverage is kept.

    The authors' rule: of N characters, N - round(coverage * N) may go, and the rarest types go
    one by one while fewer than that are gone. Among equally rare ones the larger code point goes
    first, where they go by the order of the corpus. (Where the first type is already too many,
    their program removes every character; ours removes none.)
    """
    symbols, begins = _code_points(counts.pretokens)
    weights = np.repeat(counts.counts, np.diff(begins))
    points, of = np.unique(symbols, return_inverse=True)
    frequencies = np.bincount(of, weights=weights, minlength=len(points)).astype(np.int64)
    total = int(frequencies.sum())
    spare = total - round(coverage * total)
    rarest = np.lexsort((-points.astype(np.int64), frequencies))
    gone = int(np.searchsorted(np.cumsum(frequencies[rarest]), spare)) if spare > 0 else 0
    return {chr(point) for point in points[rarest[gone:]].tolist()}


def _code_points(
    pretokens: Sequence[bytes],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    words = [pretoken.decode() for pretoken in pretokens]
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    return points, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
