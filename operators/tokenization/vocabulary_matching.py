"""Which tokens of two vocabularies are the same, and how the old one spells a new token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import ByteTokenizer


def match_specials(
    old: ByteTokenizer, new: ByteTokenizer, named: Mapping[str, str] | None = None
) -> dict[int, int]:
    """New special id -> old special id, for those that have a counterpart.

    Counterparts are those of `named`, else those of equal names; and where each vocabulary has
    exactly one special token, the two of them, whatever they are called. A special token never
    matches an ordinary one that is spelled like it.

    Args:
        old: the vocabulary that a model was trained with.
        new: the one it gets.
        named: name of a new special token -> name of the old one it takes over from.

    Raises:
        ValueError: if `named` holds something that is no special token.
    """
    old_ids = {bytes(old.tokens[number]): number for number in sorted(old.special_ids)}
    new_ids = {bytes(new.tokens[number]): number for number in sorted(new.special_ids)}
    matched = {new_ids[name]: old_ids[name] for name in new_ids if name in old_ids}
    for new_name, old_name in (named or {}).items():
        for name, ids, whose in ((new_name, new_ids, "new"), (old_name, old_ids, "old")):
            if name.encode() not in ids:
                shown = sorted(known.decode(errors="replace") for known in ids)
                raise ValueError(f"{name!r} is no special token of the {whose} tokenizer: {shown}")
        matched[new_ids[new_name.encode()]] = old_ids[old_name.encode()]
    if not matched and len(old_ids) == len(new_ids) == 1:
        matched[next(iter(new_ids.values()))] = next(iter(old_ids.values()))
    return matched


def match_tokens(old: ByteTokenizer, new: ByteTokenizer) -> npt.NDArray[np.int64]:
    """For each new id the old id of the same bytes, or -1; special tokens have -1.

    Where several ids stand for the same bytes ("A" and the byte fallback "<0x41>"), the n-th of
    the new ones takes the n-th of the old ones, the last of these when there are fewer; byte
    fallback comes last, the others by id. So equal vocabularies match id by id.
    """
    places = _ids_by_bytes(old)
    matches = np.full(len(new.tokens), -1, dtype=np.int64)
    for token, ids in _ids_by_bytes(new).items():
        candidates = places.get(token)
        if candidates is not None:
            for place, number in enumerate(ids):
                matches[number] = candidates[min(place, len(candidates) - 1)]
    return matches


def spell_tokens(old: ByteTokenizer, tokens: Sequence[bytes]) -> list[list[int]]:
    """Old ids that spell each of the tokens, byte for byte; an empty list where they cannot.

    The ids are those of `old.encode` where the token is text and encoding adds nothing to it.
    Parts of characters, and vocabularies that put a space before every text, are spelled by the
    longest token that fits, from left to right.
    """
    texts, places = [], []
    for place, token in enumerate(tokens):
        try:
            texts.append(token.decode())
        except UnicodeDecodeError:
            continue
        places.append(place)
    spelled: list[list[int] | None] = [None] * len(tokens)
    special = set(old.special_ids)
    for place, ids in zip(places, old.encode_batch(texts), strict=True):
        if special.isdisjoint(ids) and _joined(old, ids) == tokens[place]:
            spelled[place] = list(ids)
    left = [place for place, ids in enumerate(spelled) if ids is None]
    if left:
        first = {token: ids[0] for token, ids in _ids_by_bytes(old).items()}
        longest = max(map(len, first), default=0)
        for place in left:
            spelled[place] = _longest_first(tokens[place], first, longest)
    return [ids or [] for ids in spelled]


def vocabulary_overlap(left: ByteTokenizer, right: ByteTokenizer) -> float:
    """Jaccard index of two vocabularies: shared byte strings over all, special tokens aside.

    NaN when both are empty.
    """
    here, there = set(_ids_by_bytes(left)), set(_ids_by_bytes(right))
    union = len(here | there)
    return len(here & there) / union if union else float("nan")


def _ids_by_bytes(tokenizer: ByteTokenizer) -> dict[bytes, list[int]]:
    """Ordinary tokens -> their ids, those last that only byte fallback gives."""
    special = set(tokenizer.special_ids)
    fallback = set(getattr(tokenizer, "fallback_ids", ()))
    places: dict[bytes, list[int]] = {}
    for number, token in enumerate(tokenizer.tokens):
        if token and number not in special:
            places.setdefault(bytes(token), []).append(number)
    for ids in places.values():
        ids.sort(key=fallback.__contains__)
    return places


def _joined(tokenizer: ByteTokenizer, ids: Iterable[int]) -> bytes:
    return b"".join(tokenizer.tokens[number] for number in ids)


def _longest_first(token: bytes, ids: Mapping[bytes, int], longest: int) -> list[int]:
    pieces = []
    start = 0
    while start < len(token):
        for stop in range(min(start + longest, len(token)), start, -1):
            number = ids.get(token[start:stop])
            if number is not None:
                pieces.append(number)
                start = stop
                break
        else:
            return []
    return pieces
