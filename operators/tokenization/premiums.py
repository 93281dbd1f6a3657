"""What each language pays in tokens for the same content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from operators.tokenization.byte_tokenizer import ByteTokenizer, as_byte_tokenizer
from operators.tokenization.measures import byte_premiums

if TYPE_CHECKING:
    import polars as pl

# Petrov et al. leave out a tokenizer that cannot read more of a language than this.
MOST_UNKNOWN = 0.1


def token_premiums(
    tokenizers: Mapping[str, Any],
    parallel: Mapping[str, Sequence[str]],
    reference: str = "eng_Latn",
) -> pl.DataFrame:
    """What each language pays in tokens under each tokenizer, for the same content.

    The convention is that of Petrov et al. 2023: the sentences of a language, line breaks at
    their ends stripped, are joined with single spaces to one text, and a premium is the tokens of
    that text over those of the reference. A tokenizer with an unknown token is left out for a
    language where its estimated share of unknown tokens is above 0.1: it did not write it down.

    Args:
        tokenizers: name -> `ByteTokenizer` or `tokenizers.Tokenizer`.
        parallel: language -> sentences; sentence i says the same in every language.
        reference: the language with premium 1; a mean premium depends on this choice.

    Returns:
        One row a tokenizer and language, in the order given: `tokenizer`, `language`, `tokens`
        (the corpus token count, CTC), `sentence_tokens` (sentences encoded one by one),
        `characters`, `utf8_bytes` (of the joined text), `unknown_tokens` (estimated),
        `unknown_share`, `excluded`, `token_premium` (null where this language or the reference
        is excluded), `byte_premium`, `parity` (sentence_tokens over those of the reference; null
        likewise), `bytes_per_token`.

    Raises:
        ValueError: if languages have different numbers of sentences, or the reference is missing
            or has no text.
    """
    import polars as pl

    bytes_premium = byte_premiums(parallel, reference)
    stripped = {
        language: [sentence.rstrip("\r\n") for sentence in sentences]
        for language, sentences in parallel.items()
    }
    rows: list[dict[str, Any]] = []
    for name, given in tokenizers.items():
        tokenizer = as_byte_tokenizer(given)
        own = {
            language: _counted(tokenizer, sentences) | {"byte_premium": bytes_premium[language]}
            for language, sentences in stripped.items()
        }
        base = own[reference]
        for language, row in own.items():
            comparable = not (row["excluded"] or base["excluded"])
            for measure_name, count in (("token_premium", "tokens"), ("parity", "sentence_tokens")):
                row[measure_name] = _ratio(row[count], base[count]) if comparable else None
            rows.append({"tokenizer": name, "language": language} | row)
    schema = {
        "tokenizer": pl.String, "language": pl.String, "tokens": pl.Int64,
        "sentence_tokens": pl.Int64, "characters": pl.Int64, "utf8_bytes": pl.Int64,
        "unknown_tokens": pl.Int64, "unknown_share": pl.Float64, "excluded": pl.Boolean,
        "token_premium": pl.Float64, "byte_premium": pl.Float64, "parity": pl.Float64,
        "bytes_per_token": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def estimated_unknown_tokens(tokenizer: Any, text: str) -> int:
    """How many tokens a text would have had where the tokenizer could not read it.

    Estimate of Petrov et al. 2023: tokens times the share of characters that are gone when the
    unknown tokens are left out and the rest is decoded; one unknown token may stand for a whole
    word. 0 for a tokenizer without an unknown token.
    """
    adapted = as_byte_tokenizer(tokenizer)
    if adapted.unknown_id is None or not text:
        return 0
    return _unknown(adapted, text, adapted.encode(text))


def _counted(tokenizer: ByteTokenizer, sentences: Sequence[str]) -> dict[str, Any]:
    text = " ".join(sentences)
    ids = tokenizer.encode(text)
    unknown = _unknown(tokenizer, text, ids) if tokenizer.unknown_id is not None else 0
    share = unknown / len(ids) if ids else 0.0
    size = len(text.encode())
    return {
        "tokens": len(ids),
        "sentence_tokens": sum(map(len, tokenizer.encode_batch(list(sentences)))),
        "characters": len(text),
        "utf8_bytes": size,
        "unknown_tokens": unknown,
        "unknown_share": share,
        "excluded": share > MOST_UNKNOWN,
        "bytes_per_token": _ratio(size, len(ids)),
    }


def _unknown(tokenizer: ByteTokenizer, text: str, ids: Sequence[int]) -> int:
    if not text:
        return 0
    known = tokenizer.decode([number for number in ids if number != tokenizer.unknown_id])
    return max(0, int(len(ids) * (len(text) - len(known)) / len(text)))


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
