"""Pack encoded documents into training sequences of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_LARGEST_TOKEN = 2**31 - 1

SEQUENCE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("documents", pa.list_(pa.string())),
        ("starts", pa.list_(pa.int32())),
        (
            "edits",
            pa.list_(
                pa.struct([("position", pa.int32()), ("before", pa.int32()), ("after", pa.int32())])
            ),
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class PackedSequences:
    """Sequences, and how many tokens found no place in them.

    Attributes:
        table: one row a sequence, in the order of the documents, with `SEQUENCE_SCHEMA`:
            `id` ("{document}:{offset}" of the sequence's first token, offset 0 being the
            separator of that document), `tokens`, `documents` (ids, in order of appearance),
            `starts` (position in the sequence where the piece of each of them begins; the first
            is always 0), `edits` (empty lists: nothing has been edited yet).
        dropped_tokens: length of the incomplete last sequence that was left out, separators
            included. tokens in table + dropped_tokens == all tokens + number of documents.
    """

    table: pa.Table
    dropped_tokens: int


def pack_documents(
    documents: Sequence[Sequence[int]],
    ids: Sequence[str],
    *,
    sequence_length: int,
    separator: int,
    keep_tail: bool = False,
) -> PackedSequences:
    """Lay the documents end to end, each behind one `separator`, and cut every `sequence_length`.

    The separator comes first, so that the first token of a document has a context to be predicted
    from. A document longer than a sequence goes on in the next one; an empty document is one
    separator. Nothing is shuffled or padded.

    Args:
        documents: token ids of each document, 0 <= id < 2**31; arrays or plain sequences.
        ids: their names, all different (they make the names of the sequences).
        sequence_length: tokens in a sequence, >= 1.
        separator: a token id, as a rule the end of text.
        keep_tail: keep the last sequence even when it is shorter (then nothing is dropped).

    Raises:
        ValueError: for lists of different lengths, repeated ids, ids out of range, a
            sequence_length < 1, or more than 2**31 - 1 tokens in one call.
    """
    if len(documents) != len(ids):
        raise ValueError(f"{len(documents)} documents have {len(ids)} ids")
    if len(set(ids)) != len(ids):
        raise ValueError("document ids repeat, so the ids of the sequences could repeat as well")
    if sequence_length < 1:
        raise ValueError(f"sequence_length is {sequence_length}, but must be >= 1")
    if not 0 <= separator <= _LARGEST_TOKEN:
        raise ValueError(f"separator {separator} is not a token id (0 <= id < 2**31)")
    if not documents:
        return PackedSequences(SEQUENCE_SCHEMA.empty_table(), 0)

    stream, begins = _lay_end_to_end(documents, separator)
    sequences = -(-len(stream) // sequence_length) if keep_tail else len(stream) // sequence_length
    kept = min(sequences * sequence_length, len(stream))
    dropped = len(stream) - kept
    if sequences == 0:
        return PackedSequences(SEQUENCE_SCHEMA.empty_table(), dropped)

    cuts = np.minimum(np.arange(sequences + 1, dtype=np.int64) * sequence_length, kept)
    # The document that holds a token is the last one that begins at or before it.
    first = np.searchsorted(begins, cuts[:-1], side="right") - 1
    last = np.searchsorted(begins, cuts[1:] - 1, side="right") - 1
    pieces = last - first + 1
    piece_bounds = np.concatenate([[0], np.cumsum(pieces)])
    sequence_of_piece = np.repeat(np.arange(sequences), pieces)
    document_of_piece = (
        first[sequence_of_piece] + np.arange(piece_bounds[-1]) - piece_bounds[sequence_of_piece]
    )
    starts = np.maximum(begins[document_of_piece] - cuts[sequence_of_piece], 0)
    offsets = cuts[:-1] - begins[first]

    columns = [
        pa.array(
            [
                f"{ids[document]}:{offset}"
                for document, offset in zip(first.tolist(), offsets.tolist(), strict=True)
            ],
            pa.string(),
        ),
        _lists(cuts, pa.array(stream[:kept])),
        _lists(piece_bounds, pa.array(list(ids), pa.string()).take(pa.array(document_of_piece))),
        _lists(piece_bounds, pa.array(starts.astype(np.int32))),
        pa.array([[]] * sequences, SEQUENCE_SCHEMA.field("edits").type),
    ]
    return PackedSequences(pa.Table.from_arrays(columns, schema=SEQUENCE_SCHEMA), dropped)


def _lay_end_to_end(
    documents: Sequence[Sequence[int]], separator: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """All tokens with their separators, int32 [tokens], and where each document begins, [docs]."""
    lengths = np.fromiter((len(document) for document in documents), np.int64, len(documents))
    begins = np.concatenate([[0], np.cumsum(lengths + 1)])
    total = int(begins[-1])
    if total > _LARGEST_TOKEN:
        raise ValueError(f"{total} tokens do not fit one call: pack fewer documents at a time")
    flat = np.concatenate([np.asarray(document, dtype=np.int64) for document in documents])
    if flat.size and not (flat.min() >= 0 and flat.max() <= _LARGEST_TOKEN):
        raise ValueError(
            f"token ids range from {flat.min()} to {flat.max()}, but 0 <= id < 2**31 is needed"
        )
    is_token = np.ones(total, dtype=np.bool_)
    is_token[begins[:-1]] = False
    stream = np.full(total, separator, dtype=np.int32)
    stream[is_token] = flat
    return stream, begins[:-1]


def _lists(bounds: npt.NDArray[np.int64], values: Any) -> Any:
    """An Arrow list array: list i is values[bounds[i]:bounds[i + 1]]."""
    return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), values)
