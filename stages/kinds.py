"""The kinds of artifact, and the Arrow schema of each: one place, checked wherever data passes.

An artifact is either Arrow rows (every kind with a schema below) or a folder of files (`model`,
`tokenizer`). A stage may add columns of its own; the columns named here must be there, with these
types. Every row has a stable `id`; an edited row keeps it and says in `edits` what was done.
"""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa


class Kind(StrEnum):
    """What an artifact is. Wiring one kind where another belongs is an error before a run."""

    DOCUMENTS = "documents"
    BITEXT = "bitext"
    RECORDINGS = "recordings"
    SPEECH = "speech"
    TOKENS = "tokens"
    TOKENIZER = "tokenizer"
    MODEL = "model"
    METRICS = "metrics"
    SIGNALS = "signals"
    REPORT = "report"
    DROPPED = "dropped"
    QUARANTINED = "quarantined"
    LEXICON = "lexicon"
    PRETOKENS = "pretokens"
    TOKENIZERS = "tokenizers"
    TASKS = "tasks"


FILE_KINDS = frozenset({Kind.MODEL, Kind.TOKENIZER})

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("language", pa.string()),  # ISO 639-3 and script, as FLORES writes it: eng_Latn
        ("source", pa.string()),  # the URL it was read from
        ("group", pa.string()),  # documents that are versions of each other share it; else null
        ("edits", pa.list_(pa.string())),
    ]
)

BITEXT = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("source_language", pa.string()),
        ("target_language", pa.string()),
        ("source_text", pa.string()),
        ("target_text", pa.string()),
        ("source_sentences", pa.list_(pa.int32())),  # 0-indexed in the source document
        ("target_sentences", pa.list_(pa.int32())),
        ("score", pa.float64()),  # of the aligner; its documentation says which way is better
        ("edits", pa.list_(pa.string())),
    ]
)

# A recording with the text that was read in it, before and after its words were recognised.
RECORDINGS = pa.schema(
    [
        ("id", pa.string()),
        ("audio", pa.string()),  # URL
        ("audio_hash", pa.string()),  # of the file: the same URL with other sound is another row
        ("text", pa.string()),  # of the whole transcript
        ("language", pa.string()),
        ("source", pa.string()),  # URL of the transcript
        ("speaker", pa.string()),  # null where nobody said who speaks
        ("group", pa.string()),
        ("seconds", pa.float64()),  # null until the sound was read
        (
            "words",  # null until they were recognised
            pa.list_(
                pa.struct(
                    [
                        ("text", pa.string()),
                        ("start", pa.float64()),
                        ("end", pa.float64()),
                        ("confidence", pa.float64()),
                    ]
                )
            ),
        ),
        ("edits", pa.list_(pa.string())),
    ]
)

SPEECH = pa.schema(
    [
        ("id", pa.string()),
        ("audio", pa.string()),  # URL of the recording
        ("start", pa.float64()),  # seconds from its beginning
        ("end", pa.float64()),
        ("text", pa.string()),
        ("recognised", pa.string()),  # what the recogniser heard there
        ("language", pa.string()),
        ("source", pa.string()),
        ("score", pa.float64()),  # 1 - edits / length of the longer text: 1 is best
        ("cer", pa.float64()),
        ("speaker", pa.string()),
        ("group", pa.string()),
        ("edits", pa.list_(pa.string())),
    ]
)

TOKENS = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("documents", pa.list_(pa.string())),  # ids of the documents packed here, in order
        ("starts", pa.list_(pa.int32())),  # where in `tokens` the piece of each begins
        (
            "edits",
            pa.list_(
                pa.struct([("position", pa.int32()), ("before", pa.int32()), ("after", pa.int32())])
            ),
        ),
    ]
)

METRICS = pa.schema(
    [
        ("id", pa.string()),  # of what was measured: a document, a language, a frequency bin
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("weight", pa.float64()),  # what pools the values: bytes, tokens, beads
        ("group", pa.string()),
    ]
)

# Measured of rows, for rules to decide on: a row for each, and a float64 column a signal.
SIGNALS = pa.schema([("id", pa.string())])

REPORT = pa.schema([("id", pa.string()), ("media_type", pa.string()), ("content", pa.binary())])

DROPPED = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),  # what was measured, where a threshold decided
        ("text", pa.string()),
    ]
)

LEXICON = pa.schema(
    [
        ("id", pa.string()),
        ("source_language", pa.string()),
        ("target_language", pa.string()),
        ("source", pa.string()),  # a word, and one that it becomes
        ("target", pa.string()),
        ("count", pa.float64()),  # how often it is expected to, in what it was learnt from
    ]
)

# Pretokens of a corpus with their counts, a row a language and pre-tokenizer.
PRETOKENS = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("pretokenizer", pa.string()),
        ("pretokens", pa.list_(pa.binary())),  # UTF-8, sorted, no two the same
        ("counts", pa.list_(pa.int64())),
    ]
)

# Many tokenizers: a sweep over languages, algorithms and sizes.
TOKENIZERS = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),  # that it was trained on
        ("algorithm", pa.string()),
        ("pretokenizer", pa.string()),
        ("asked", pa.int64()),  # vocabulary size
        ("vocab_size", pa.int64()),  # what the text gave
        ("model", pa.string()),  # the JSON that tokenmill.json holds
    ]
)

# Questions to a model: what stands before the answer, and the answers to choose from.
TASKS = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),  # charbench.first, blimp, reversal
        ("group", pa.string()),  # what is told apart in a task: a paradigm, a direction, a length
        ("prompt", pa.string()),
        ("choices", pa.list_(pa.string())),  # as they follow the prompt, with their space if any
        ("gold", pa.int32()),  # which of them is right, from 0
        ("baseline", pa.int32()),  # which a trivial rule of the task takes; null where it has none
    ]
)

# What the engine sets aside: the row as it came in, with all its columns, and the exception.
QUARANTINED = pa.schema([("id", pa.string()), ("error", pa.string())])

SCHEMAS: dict[Kind, pa.Schema] = {
    Kind.DOCUMENTS: DOCUMENTS,
    Kind.BITEXT: BITEXT,
    Kind.RECORDINGS: RECORDINGS,
    Kind.SPEECH: SPEECH,
    Kind.TOKENS: TOKENS,
    Kind.METRICS: METRICS,
    Kind.SIGNALS: SIGNALS,
    Kind.REPORT: REPORT,
    Kind.DROPPED: DROPPED,
    Kind.QUARANTINED: QUARANTINED,
    Kind.LEXICON: LEXICON,
    Kind.PRETOKENS: PRETOKENS,
    Kind.TOKENIZERS: TOKENIZERS,
    Kind.TASKS: TASKS,
}


def schema_faults(kind: Kind, schema: pa.Schema) -> list[str]:
    """What keeps `schema` from being of `kind`, one readable sentence a fault; empty if none."""
    faults = []
    for field in SCHEMAS[kind]:
        index = schema.get_field_index(field.name)
        if index < 0:
            faults.append(f'column "{field.name}" ({field.type}) is missing')
        elif schema.field(index).type != field.type:
            found = schema.field(index).type
            faults.append(f'column "{field.name}" is {found}, and should be {field.type}')
    return faults
