"""TIPA: training data that teaches a model which characters its tokens are made of.

Source: Xu et al., "Enhancing Character-Level Understanding in LLMs through Token Internal
Structure Learning" (ACL 2025), and the authors' code. Each token becomes an example whose target
lists its characters by position, last one first, so that the length is said at once:
"Hi" -> {"2":"i","1":"H"}. MTIPA asks the same of sentences of the task's training data.

A character is a Unicode code point, as in the authors' code: "é" is one character when it is
composed and two when it is not, and an emoji of several parts is several. Positions count from 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from operators.tokenization.byte_tokenizer import as_byte_tokenizer

TIPA_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("instruction", pa.string()),
        ("text", pa.string()),
        ("target", pa.string()),
    ]
)

INSTRUCTION = (
    "Give the characters of the text with their positions as JSON, last one first. "
    'Example: "Hi" is {"2":"i","1":"H"}'
)


def character_positions(text: str, *, reverse: bool = True) -> str:
    """JSON that maps positions, from 1, to the code points of a text, the last one first.

    Args:
        text: without lone surrogates.
        reverse: False lists the first character first (the comparison in the paper).

    Raises:
        ValueError: for a lone surrogate, which is no character and has no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"position {error.start} of {text!r} holds a lone surrogate") from None
    pairs = list(enumerate(text, start=1))
    ordered = pairs[::-1] if reverse else pairs
    # A dictionary keeps its order, and positions are all different.
    return json.dumps(
        {str(position): character for position, character in ordered},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def tipa_rows(tokenizer: Any, *, instruction: str = INSTRUCTION, reverse: bool = True) -> pa.Table:
    """One example for each token of a vocabulary that is text.

    Whitespace around a token is taken off, as in the authors' code, so " the" and "the" give the
    same text, each once. Special tokens, tokens that are not valid UTF-8 by themselves (parts of
    characters), and tokens of whitespace only give no example.

    Args:
        tokenizer: a `ByteTokenizer` or a `tokenizers.Tokenizer`.
        instruction: of every example.
        reverse: as in `character_positions`.

    Returns:
        `TIPA_SCHEMA`, in the order of ids; `id` is "token:{id}".
    """
    adapted = as_byte_tokenizer(tokenizer)
    special = set(adapted.special_ids)
    names, texts = [], []
    for number, token in enumerate(adapted.tokens):
        if number in special:
            continue
        try:
            text = bytes(token).decode().strip()
        except UnicodeDecodeError:
            continue
        if text:
            names.append(f"token:{number}")
            texts.append(text)
    return _table(names, texts, instruction, reverse)


def mtipa_rows(
    texts: Sequence[str],
    ids: Sequence[str],
    *,
    share: float = 0.001,
    longest: int = 999,
    instruction: str = INSTRUCTION,
    reverse: bool = True,
    seed: int = 0,
) -> pa.Table:
    """Examples from a share of the sentences of a task's training data.

    Whether a sentence is taken depends on the seed and its id alone, so that shards and orders
    make no difference; the number taken is the share in expectation.

    Args:
        texts: sentences; one without characters gives no example.
        ids: their names, all different.
        share: of the sentences, in [0, 1]; the authors' script has 0.001.
        longest: code points that are kept of a sentence, from its beginning.
        instruction: of every example.
        reverse: as in `character_positions`.
        seed: of the choice.

    Returns:
        `TIPA_SCHEMA`, in the order given; `id` is that of the sentence.

    Raises:
        ValueError: for a share out of range, longest < 1, ids that repeat or do not fit, or a
            lone surrogate in a sentence that is taken.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, but must be in [0, 1]")
    if longest < 1:
        raise ValueError(f"longest is {longest}, but must be >= 1")
    if len(ids) != len(texts) or len(set(ids)) != len(ids):
        raise ValueError(
            f"{len(texts)} texts need as many different ids, not {len(ids)} with "
            f"{len(set(ids))} different"
        )
    taken = [
        (name, text[:longest])
        for name, text in zip(ids, texts, strict=True)
        if text and _fraction(seed, name) < share
    ]
    names = [name for name, _ in taken]
    return _table(names, [text for _, text in taken], instruction, reverse)


def _table(names: Sequence[str], texts: Sequence[str], instruction: str, reverse: bool) -> pa.Table:
    targets = [character_positions(text, reverse=reverse) for text in texts]
    return pa.Table.from_arrays(
        [
            pa.array(names, pa.string()),
            pa.array([instruction] * len(names), pa.string()),
            pa.array(texts, pa.string()),
            pa.array(targets, pa.string()),
        ],
        schema=TIPA_SCHEMA,
    )


def _fraction(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on the seed and the name."""
    digest = blake2b(f"{seed}\x00{name}".encode(), digest_size=8).digest()
    # 53 bits: all that a float holds, so that it never rounds up to 1.
    return (int.from_bytes(digest, "little") >> 11) / 2**53
