"""Where each row of a new embedding matrix comes from, and the rows themselves.

A plan says it once, for input and output embeddings and the output bias alike: a row is a copy of
an old row, a mixture of old rows, or a draw from the normal distribution of a group of old rows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from operators.tokenization.byte_tokenizer import ByteTokenizer
from operators.tokenization.focus import focus_weights
from operators.tokenization.vocabulary_matching import match_tokens, spell_tokens

TransferMethod = Literal["identity", "mean", "script", "focus"]
METHODS: tuple[str, ...] = get_args(TransferMethod)

# What a row of the new matrix is, in the order of the codes in `RowPlan.origins`.
ORIGINS = ("drawn", "special", "copied", "mixed", "script")
_DRAWN, _SPECIAL, _COPIED, _MIXED, _SCRIPT = range(len(ORIGINS))

# The group of all ordinary tokens, from which rows without another rule are drawn.
_ALL = 0


@dataclass(frozen=True, slots=True, eq=False)
class RowPlan:
    """How the rows of n new tokens are made of those of m old ones.

    Attributes:
        names: [n] what seeds a draw: the bytes of each new token.
        origins: uint8 [n], indices into `ORIGINS`; "drawn" is a row without a better rule.
        copies: int64 [n], the old row that is copied, or -1.
        mixtures: scipy csr [n, m], weights of the old rows; an empty row where it does not mix.
        groups: int64 [n], the group that a drawn row comes from.
        members: old ids of each group; the first group is all ordinary old tokens.
    """

    names: Sequence[bytes]
    origins: npt.NDArray[np.uint8]
    copies: npt.NDArray[np.int64]
    mixtures: Any
    groups: npt.NDArray[np.int64]
    members: Sequence[npt.NDArray[np.int64]]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by origin, every origin named."""
        sizes = np.bincount(self.origins, minlength=len(ORIGINS))
        return dict(zip(ORIGINS, sizes.tolist(), strict=True))


def plan_rows(
    old: ByteTokenizer,
    new: ByteTokenizer,
    specials: Mapping[int, int],
    *,
    method: TransferMethod,
    vectors: npt.NDArray[np.floating[Any]] | None = None,
    word_position: bool = False,
    copy_equal: bool = True,
) -> RowPlan:
    """Decide for each new token where its row comes from.

    Special tokens with a counterpart are copied, and so are equal tokens. The others are

    - "identity": drawn from N(mean, std) of all ordinary old rows, dimension by dimension;
    - "mean": the mean of the old tokens that spell the new one (Gee et al. 2022, FVT);
    - "script": drawn from N(mean, std) of the old tokens of the same Unicode script (Downey et
      al. 2023);
    - "focus": sparsemax mixtures of shared tokens with similar `vectors` (Dobler and de Melo
      2023);

    and as in "identity" where the method has nothing to go by: no spelling, no old token of the
    script (at least two, for a deviation), no vector.

    Args:
        old: the vocabulary the model was trained with.
        new: the one it gets.
        specials: new special id -> old special id.
        method: for the tokens that are not copied.
        vectors: [new vocabulary, d], for "focus": see `cooccurrence_vectors`.
        word_position: for "script": tokens that begin with a space are groups of their own.
        copy_equal: for "script": whether equal tokens are copied ("identity afterwards").

    Raises:
        ValueError: for an unknown method, `copy_equal=False` with another method than "script",
            or "focus" without vectors of the right shape where a token needs one.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, but must be one of {', '.join(METHODS)}")
    if not copy_equal and method != "script":
        raise ValueError(f"copy_equal=False is for method 'script', not {method!r}")
    from scipy import sparse

    size = len(new.tokens)
    origins = np.full(size, _DRAWN, dtype=np.uint8)
    copies = np.full(size, -1, dtype=np.int64)
    if copy_equal:
        copies = match_tokens(old, new)
        origins[copies >= 0] = _COPIED
    for new_id, old_id in specials.items():
        copies[new_id] = old_id
        origins[new_id] = _SPECIAL
    special = set(old.special_ids)
    ordinary = np.array(
        [number for number, token in enumerate(old.tokens) if token and number not in special],
        dtype=np.int64,
    )
    groups = np.full(size, _ALL, dtype=np.int64)
    members = [ordinary]
    mixtures = sparse.csr_matrix((size, len(old.tokens)), dtype=np.float64)
    left = np.flatnonzero(copies < 0)
    if method == "mean":
        mixtures = _spread(_mean_weights(old, new, left), left, size)
    elif method == "focus" and len(left):
        if vectors is None:
            raise ValueError(
                f"method 'focus' needs vectors for {len(left)} tokens that are not copied: give "
                "those of cooccurrence_vectors, or others with a row for each new id"
            )
        if vectors.ndim != 2 or len(vectors) != size:
            raise ValueError(f"vectors have the shape {vectors.shape}, but {size} rows are needed")
        shared = np.flatnonzero(origins == _COPIED)
        weights = focus_weights(vectors, left, shared, copies[shared], len(old.tokens))
        mixtures = _spread(weights, left, size)
    elif method == "script":
        groups, scripts = _script_groups(old, new, ordinary, word_position)
        members += scripts
        origins[left[groups[left] != _ALL]] = _SCRIPT
    origins[np.diff(mixtures.indptr) > 0] = _MIXED
    return RowPlan(new.tokens, origins, copies, mixtures, groups, members)


def make_rows(
    plan: RowPlan, old_rows: npt.NDArray[np.floating[Any]], *, seed: int, label: str
) -> npt.NDArray[np.floating[Any]]:
    """The new matrix, [new vocabulary, d], in the dtype of the old one.

    A draw depends on the seed, the label and the token's bytes: not on ids or on other tokens.

    Args:
        plan: where rows come from.
        old_rows: [>= old vocabulary, d], float32 or float64; rows beyond the vocabulary count
            for nothing.
        seed: of the draws.
        label: names the matrix, so that two of them are drawn apart.
    """
    used = old_rows[: plan.mixtures.shape[1]]
    rows = np.asarray(plan.mixtures @ used, dtype=old_rows.dtype)
    copied = np.flatnonzero(plan.copies >= 0)
    # Not a mixture with weight 1: a copy is a copy to the last bit.
    rows[copied] = old_rows[plan.copies[copied]]
    drawn = np.flatnonzero(np.isin(plan.origins, (_DRAWN, _SCRIPT)))
    for group in np.unique(plan.groups[drawn]):
        mean, deviation = _moments(used, plan.members[group])
        for number in drawn[plan.groups[drawn] == group].tolist():
            draw = _normal(seed, label, bytes(plan.names[number]), number, len(mean))
            rows[number] = mean + deviation * draw
    return rows


def token_script(token: bytes) -> str:
    """The script of most letters of a token (ISO 15924: Latn); spaces do not count.

    "Zyyy" (common) has no letters: digits, punctuation. "Zzzz" (unknown) is no UTF-8: parts of
    characters. Han is Hani, since a token is too short to be told simplified or traditional.
    """
    from operators.corpus.scripts import script_of

    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "Zzzz"
    script = script_of(unicodedata.normalize("NFC", text))
    return "Hani" if script in ("Hans", "Hant") else script


def _moments(
    rows: npt.NDArray[np.floating[Any]], members: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    chosen = rows[members].astype(np.float64)
    if not len(chosen):
        raise ValueError("the old vocabulary has no ordinary token to learn a distribution from")
    return chosen.mean(axis=0), chosen.std(axis=0)


def _normal(seed: int, label: str, name: bytes, number: int, size: int) -> npt.NDArray[np.float64]:
    # Ids that are not used have no name, and would all be drawn alike.
    what = name or str(number).encode()
    key = b"\x00".join([str(seed).encode(), label.encode(), what])
    digest = blake2b(key, digest_size=16).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
    return generator.standard_normal(size)


def _mean_weights(old: ByteTokenizer, new: ByteTokenizer, ids: npt.NDArray[np.int64]) -> Any:
    """csr [len(ids), old vocabulary]: 1/k for each of the k pieces of a token."""
    from scipy import sparse

    spelled = spell_tokens(old, [bytes(new.tokens[number]) for number in ids.tolist()])
    sizes = np.array([len(pieces) for pieces in spelled], dtype=np.int64)
    pieces = np.array([piece for one in spelled for piece in one], dtype=np.int64)
    weights = np.repeat(1 / np.maximum(sizes, 1), sizes)
    rows = np.repeat(np.arange(len(ids)), sizes)
    return sparse.coo_matrix((weights, (rows, pieces)), (len(ids), len(old.tokens))).tocsr()


def _spread(weights: Any, ids: npt.NDArray[np.int64], size: int) -> Any:
    """The rows of `weights` at the places `ids` of a matrix with `size` rows."""
    from scipy import sparse

    pairs = weights.tocoo()
    shape = (size, weights.shape[1])
    return sparse.coo_matrix((pairs.data, (ids[pairs.row], pairs.col)), shape).tocsr()


def _script_groups(
    old: ByteTokenizer, new: ByteTokenizer, ordinary: npt.NDArray[np.int64], word_position: bool
) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.int64]]]:
    """The group of each new token, and the old ids of each group behind the first."""

    def key(token: bytes) -> tuple[str, bool]:
        return token_script(token), word_position and token.startswith(b" ")

    by_key: dict[tuple[str, bool], list[int]] = {}
    for number in ordinary.tolist():
        by_key.setdefault(key(bytes(old.tokens[number])), []).append(number)
    # One token has no deviation: its group would make all its new tokens alike.
    kept = [one for one in sorted(by_key) if len(by_key[one]) > 1]
    number_of = {one: place + 1 for place, one in enumerate(kept)}
    special = set(new.special_ids)
    groups = [
        _ALL if number in special or not token else number_of.get(key(bytes(token)), _ALL)
        for number, token in enumerate(new.tokens)
    ]
    return np.array(groups, dtype=np.int64), [np.array(by_key[one]) for one in kept]
