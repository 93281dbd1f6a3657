"""A vocabulary as flat arrays, which compiled loops read: a trie of byte strings, and merges."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.tokenization.encoding_kernels import NODE_BITS, copy_edges, insert_tokens
from operators.tokenization.merging_kernels import fill_merges


class TokenTrie(NamedTuple):
    """A trie, read by `encoding_kernels.child`.

    Nodes are numbers: 0 is the root, t + 1 is token t, and those behind are prefixes that are no
    tokens themselves. So a node tells without a look-up whether it is a token, and which.

    Attributes:
        edges: [a power of two] int64, a hash table with open addressing, 8 bytes an edge; 0 where
            there is none.
        size: number of ids of the vocabulary: nodes 1 to `size` are its tokens.
        longest: bytes of the longest token.
    """

    edges: npt.NDArray[np.int64]
    size: int
    longest: int


def token_trie(
    tokens: Sequence[bytes], *, left_out: Collection[int] = (), backwards: bool = False
) -> TokenTrie:
    """The trie of `tokens`; the id of a token is its position.

    Args:
        left_out: ids that no text may reach: special tokens.
        backwards: read every token from its last byte to its first.

    Raises:
        ValueError: if one of the 256 bytes is no token (then some texts could not be spelled), a
            token is empty or appears twice, or all are longer than 2**27 bytes together.
    """
    ids = [number for number in range(len(tokens)) if number not in left_out]
    spelled = {tokens[number] for number in ids}
    missing = [byte for byte in range(256) if bytes([byte]) not in spelled]
    if missing:
        raise ValueError(
            f"{len(missing)} of the 256 bytes are no tokens (first: 0x{missing[0]:02x}), so that "
            "some texts could not be spelled: add them to the vocabulary"
        )
    if len(spelled) < len(ids):
        raise ValueError(f"{len(ids) - len(spelled)} tokens appear more than once")
    if b"" in spelled:
        raise ValueError(f"token {tokens.index(b'')} is empty")
    # A prefix comes before what it begins, so that it has its own number when it is reached.
    ids.sort(key=lambda number: len(tokens[number]))
    ordered = [tokens[number] for number in ids]
    if backwards:
        ordered = [token[::-1] for token in ordered]
    flat, ends = end_to_end(ordered)
    if len(tokens) + len(flat) >= 1 << NODE_BITS:
        raise ValueError(f"{len(flat)} bytes of tokens are too many: 2**{NODE_BITS} is the limit")
    edges = _empty_table(len(flat))
    used = insert_tokens(edges, flat, ends, np.array(ids, np.int64), len(tokens))
    # Tokens share their beginnings: most often half of the room, or less, is needed.
    small = _empty_table(used)
    if len(small) < len(edges):
        copy_edges(edges, small)
        edges = small
    return TokenTrie(edges, len(tokens), len(ordered[-1]))


def merge_table(
    merges: npt.NDArray[np.int32], *, longest_first: Sequence[bytes] | None = None
) -> npt.NDArray[np.int64]:
    """The merges as a hash table that `merging_kernels` reads.

    Args:
        merges: [n, 3] left, right and resulting id; the earlier, the stronger.
        longest_first: the tokens, where the merge with the longest result shall be the strongest
            and the order of `merges` breaks ties.
    """
    ranks = np.arange(len(merges), dtype=np.int64)
    if longest_first is not None:
        lengths = np.array([len(longest_first[result]) for result in merges[:, 2]], np.int64)
        ranks[np.lexsort((ranks, -lengths))] = np.arange(len(merges))
    pairs = np.empty((len(_empty_table(len(merges))), 2), np.int64)
    fill_merges(np.ascontiguousarray(merges, np.int32), ranks, pairs)
    return pairs


def end_to_end(
    pieces: Sequence[bytes],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Byte strings laid end to end, and where each of them ends."""
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return np.frombuffer(b"".join(pieces), np.uint8), np.cumsum(lengths)


def _empty_table(entries: int) -> npt.NDArray[np.int64]:
    """Room for so many entries at a load of a half at most; never full."""
    return np.zeros(1 << (2 * entries).bit_length(), np.int64)
