"""Measures must be ratios of corpus sums, and premiums those of the papers."""

import math

import pytest
from hub_tokenizers import byte_bpe
from hypothesis import given
from hypothesis import strategies as st

from operators.tokenization import (
    TokenizerMeasures,
    byte_premiums,
    measure,
    premiums_of_counts,
    renyi_efficiency,
    round_trip_failures,
)

# Tokens on FLORES-200 dev + devtest, from the data of Petrov et al. 2023.
GPT2_TOKENS = {"eng_Latn": 52567, "deu_Latn": 112600, "mya_Mymr": 887930}


@pytest.fixture(scope="module")
def byte_tokenizer():
    return byte_bpe([], 257)


def test_token_premiums_are_those_of_the_paper():
    premiums = premiums_of_counts(GPT2_TOKENS)
    assert premiums["eng_Latn"] == 1.0
    assert premiums["deu_Latn"] == pytest.approx(2.142, abs=5e-4)
    assert premiums["mya_Mymr"] == pytest.approx(16.89, abs=5e-3)
    assert list(premiums) == list(GPT2_TOKENS)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 10**9), min_size=1))
def test_the_reference_has_premium_exactly_1(counts):
    reference = next(iter(counts))
    assert premiums_of_counts(counts, reference)[reference] == 1.0


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"deu_Latn": 3}, "'eng_Latn' is not among"),
        ({"eng_Latn": 0, "deu_Latn": 3}, "has no tokens"),
        ({"eng_Latn": 2, "deu_Latn": -3}, "negative for .'deu_Latn'"),
    ],
)
def test_premiums_without_a_usable_reference_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        premiums_of_counts(counts)


def test_byte_premiums_count_utf8_and_no_line_breaks():
    parallel = {"eng_Latn": ["cat\n", "dog\r\n"], "rus_Cyrl": ["кот", "пёс"]}
    assert byte_premiums(parallel) == {"eng_Latn": 1.0, "rus_Cyrl": 2.0}


def test_byte_premiums_of_text_that_is_not_parallel_are_refused():
    with pytest.raises(ValueError, match="not parallel"):
        byte_premiums({"eng_Latn": ["cat", "dog"], "rus_Cyrl": ["кот"]})


def test_ratios_are_of_sums_not_means_of_ratios(byte_tokenizer):
    measured = measure(byte_tokenizer, ["é", "one two\tthree"])
    assert measured == TokenizerMeasures(texts=2, tokens=15, words=4, characters=14, utf8_bytes=15)
    assert measured.fertility == 15 / 4
    assert measured.bytes_per_token == 1.0
    assert measured.characters_per_token == 14 / 15
    assert measured.closeness_to_characters == 15 / 14


def test_measures_of_shards_add_up(byte_tokenizer):
    texts = ["a b", "", "ccc é", " \n"]
    whole = measure(byte_tokenizer, texts)
    assert measure(byte_tokenizer, texts[:1]) + measure(byte_tokenizer, texts[1:]) == whole


@pytest.mark.parametrize("texts", [[], [""]], ids=["none", "empty"])
def test_ratios_without_a_denominator_are_nan(byte_tokenizer, texts):
    measured = measure(byte_tokenizer, texts)
    assert math.isnan(measured.fertility)
    assert math.isnan(measured.bytes_per_token)
    assert math.isnan(measured.characters_per_token)
    assert math.isnan(measured.closeness_to_characters)


def test_round_trip_failures_name_the_texts_that_change():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    assert round_trip_failures(words, ["a b", "a  b", "", "c", "b"]) == [1, 3]


@pytest.mark.parametrize(("alpha", "expected"), [(1, 0.8750), (2.5, 0.7302), (3, 0.6976)])
def test_renyi_efficiency_oracle(alpha, expected):
    assert renyi_efficiency([4, 2, 1, 1], alpha=alpha) == pytest.approx(expected, abs=5e-5)


@given(st.integers(2, 50), st.floats(0.1, 5))
def test_a_uniform_distribution_has_efficiency_1(types, alpha):
    assert renyi_efficiency([7] * types, alpha=alpha) == pytest.approx(1)


def test_tokens_never_seen_lower_the_efficiency_only_through_vocab_size():
    assert renyi_efficiency([3, 3, 0, 0]) == pytest.approx(1)
    assert renyi_efficiency([3, 3, 0, 0], vocab_size=4) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("counts", "options"),
    [
        ([], {}), ([5], {}), ([0, 0], {"vocab_size": 4}), ([1, -1], {}),
        ([1, math.nan], {}), ([1, 1, 1], {"vocab_size": 2}), ([1, 1], {"alpha": 0}),
    ],
)  # fmt: skip
def test_counts_without_an_efficiency_are_refused(counts, options):
    with pytest.raises(ValueError, match=r"."):
        renyi_efficiency(counts, **options)
