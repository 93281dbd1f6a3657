"""Token premiums on parallel text, by the convention of Petrov et al. 2023."""

import os
from pathlib import Path

import polars as pl
import pytest
from hub_tokenizers import byte_bpe, word_level

from operators.tokenization.premiums import estimated_unknown_tokens, token_premiums

PARALLEL = {
    "eng_Latn": ["the cat sat\n", "the dog ran\r\n"],
    "rus_Cyrl": ["кот сидел", "собака бежала"],
    "deu_Latn": ["die Katze saß", "der Hund lief"],
}
TRAINED = byte_bpe(["the cat sat the dog ran"] * 5, 280)
BYTES = byte_bpe([], 257)


def row(table, tokenizer, language):
    (found,) = table.filter(
        (pl.col("tokenizer") == tokenizer) & (pl.col("language") == language)
    ).to_dicts()
    return found


def test_premiums_are_tokens_of_the_sentences_joined_with_single_spaces():
    table = token_premiums({"bpe": TRAINED}, PARALLEL)
    english = len(TRAINED.encode("the cat sat the dog ran").ids)
    russian = len(TRAINED.encode("кот сидел собака бежала").ids)
    assert row(table, "bpe", "eng_Latn")["tokens"] == english
    assert row(table, "bpe", "rus_Cyrl")["token_premium"] == russian / english
    assert row(table, "bpe", "rus_Cyrl")["characters"] == len("кот сидел собака бежала")


def test_the_reference_has_premium_exactly_1_under_every_tokenizer():
    table = token_premiums({"bpe": TRAINED, "bytes": BYTES}, PARALLEL, reference="deu_Latn")
    own = table.filter(pl.col("language") == "deu_Latn")
    for name in ("token_premium", "byte_premium", "parity"):
        assert own[name].to_list() == [1.0, 1.0]


def test_a_row_for_each_tokenizer_and_language_in_the_order_given():
    table = token_premiums({"b": BYTES, "a": TRAINED}, PARALLEL)
    assert table.select("tokenizer", "language").rows() == [
        (name, language) for name in ("b", "a") for language in PARALLEL
    ]


def test_a_tokenizer_of_bytes_has_the_premium_of_bytes():
    """Up to the spaces between sentences, which the token premium has and the byte premium not."""
    table = token_premiums({"bytes": BYTES}, PARALLEL)
    for language, sentences in PARALLEL.items():
        own = row(table, "bytes", language)
        assert own["tokens"] == own["utf8_bytes"] == own["sentence_tokens"] + 1
        assert own["parity"] == own["byte_premium"]
        assert own["bytes_per_token"] == 1.0
        assert own["byte_premium"] == sum(len(s.rstrip("\r\n").encode()) for s in sentences) / 22


def test_line_breaks_at_the_ends_of_sentences_count_nowhere():
    stripped = {language: [s.rstrip("\r\n") for s in texts] for language, texts in PARALLEL.items()}
    tokenizers = {"bpe": TRAINED}
    assert token_premiums(tokenizers, stripped).equals(token_premiums(tokenizers, PARALLEL))


def test_unknown_tokens_are_estimated_by_the_characters_that_are_lost():
    words = word_level(["the", "cat"])
    # 4 tokens, 2 of them unknown; 18 characters, of which "the cat" keeps 7: 4 * 11 / 18 = 2.44.
    assert estimated_unknown_tokens(words, "the cat sat forever"[:18]) == int(4 * 11 / 18) == 2
    assert estimated_unknown_tokens(words, "the cat") == 0
    assert estimated_unknown_tokens(words, "") == 0
    assert estimated_unknown_tokens(TRAINED, "кот") == 0


def test_a_language_that_was_not_written_down_is_excluded_not_called_cheap():
    known = word_level(
        ["the", "cat", "sat", "dog", "ran", "die", "Katze", "der", "Hund", "lief", "saß"]
    )
    table = token_premiums({"words": known}, PARALLEL)
    russian = row(table, "words", "rus_Cyrl")
    assert russian["unknown_share"] == 1.0
    assert russian["excluded"]
    assert russian["token_premium"] is None
    assert russian["parity"] is None
    assert russian["byte_premium"] > 1.5
    assert row(table, "words", "deu_Latn")["token_premium"] == 1.0


def test_a_share_of_exactly_a_tenth_is_not_excluded():
    words = [f"w{number}" for number in range(9)]
    # 10 tokens of 3 characters with their spaces; one is lost with one space: 3 of 30, 1 token.
    text = " ".join([*words, "xx "])
    table = token_premiums({"words": word_level(words)}, {"a": [text]}, reference="a")
    (own,) = table.to_dicts()
    assert (own["unknown_tokens"], own["unknown_share"], own["excluded"]) == (1, 0.1, False)


def test_under_an_excluded_reference_nothing_has_a_premium():
    table = token_premiums({"words": word_level(["кот"])}, PARALLEL)
    assert table["token_premium"].to_list() == [None] * 3


@pytest.mark.parametrize(
    ("parallel", "message"),
    [
        ({"eng_Latn": ["a"], "deu_Latn": ["a", "b"]}, "not parallel"),
        ({"deu_Latn": ["a"]}, "'eng_Latn' is not among"),
        ({"eng_Latn": [], "deu_Latn": []}, "has no bytes"),
    ],
)
def test_text_without_premiums_is_refused(parallel, message):
    with pytest.raises(ValueError, match=message):
        token_premiums({"bpe": TRAINED}, parallel)


def test_no_tokenizer_gives_an_empty_table_with_its_columns():
    table = token_premiums({}, PARALLEL)
    assert table.is_empty()
    assert table.schema["token_premium"] == pl.Float64


@pytest.mark.skipif("TOKENMILL_DATA" not in os.environ, reason="TOKENMILL_DATA is not set")
def test_bytes_on_flores_have_the_byte_premiums_of_the_paper():
    """ByT5: English 259,396 bytes, Burmese 911,313 on dev and devtest: 3.513. Here dev alone."""
    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    columns = ["eng_Latn", "deu_Latn", "mya_Mymr"]
    frame = pl.read_parquet(path)
    if not set(columns) <= set(frame.columns):
        pytest.skip(f"{path} lacks one of {columns}")
    table = token_premiums({"bytes": BYTES}, {c: frame[c].to_list() for c in columns})
    premiums = dict(table.select("language", "token_premium").rows())
    assert premiums["mya_Mymr"] == pytest.approx(3.513, rel=0.02)
