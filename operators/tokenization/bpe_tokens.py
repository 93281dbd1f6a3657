"""The tokens that byte-pair encoding makes: their bytes, and what they fall into when removed."""
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np

from operators.compiled import njit
from operators.tokenization.bpe_state import TOKENS, Tokens, grown
from operators.tokenization.token_tables import slots_for, string_table

_SPACE, _COLON = 0x20, 0x3A


@njit(cache=True)
def room_for_token(tokens, sizes, length):
    """The same tokens with room for one more of `length` bytes."""
    count = sizes[TOKENS]
    data = tokens.data
    end = tokens.begins[count]
    if end + length > len(data):
        data = grown(data, end + length)
    begins, left, right = tokens.begins, tokens.left, tokens.right
    width, frequency = tokens.width, tokens.frequency
    present, heads, slots = tokens.present, tokens.heads, tokens.slots
    if count + 1 >= len(begins):
        size = count + 2 + count // 2
        begins, left, right = grown(begins, size), grown(left, size), grown(right, size)
        width, frequency = grown(width, size), grown(frequency, size)
        present, heads = grown(present, size), grown(heads, size)
    if 2 * (count + 1) > len(slots):
        slots = string_table(data, begins[: count + 1], slots_for(2 * (count + 1)))
    return Tokens(data, begins, slots, left, right, width, frequency, present, heads)


@njit(cache=True)
def joined(tokens, sizes, left, right):
    """Write the bytes of two tokens behind those of the last one; say where they end."""
    end = tokens.begins[sizes[TOKENS]]
    for token in (left, right):
        for n in range(tokens.begins[token], tokens.begins[token + 1]):
            tokens.data[end] = tokens.data[n]
            end += 1
    return end


@njit(cache=True)
def is_superword(data, start, stop, max_words):
    """Whether SuperBPE allows a token: at most so many words, and no space behind a colon."""
    words = 0
    for n in range(start, stop):
        if data[n] == _SPACE:
            if n > start and data[n - 1] == _COLON:
                return False
        elif n == start or data[n - 1] == _SPACE:
            words += 1
    return words <= max_words


@njit(cache=True)
def pieces_of(tokens, token, initial):
    """What a removed token falls into: its halves, and theirs, down to present tokens."""
    pieces = np.empty(tokens.width[token], np.int32)
    stack = np.empty(tokens.width[token] + 1, np.int32)
    stack[0] = token
    depth, count = 1, 0
    while depth:
        depth -= 1
        here = stack[depth]
        if here < initial or tokens.present[here]:
            pieces[count] = here
            count += 1
        else:
            stack[depth], stack[depth + 1] = tokens.right[here], tokens.left[here]
            depth += 2
    return pieces[:count].copy()
