"""Measures of a corpus and its vocabulary, each against numbers counted by hand."""

import math

import numpy as np
import polars as pl
import pytest
from hub_tokenizers import byte_bpe, metaspace, word_level
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from operators.tokenization.byte_tokenizer import as_byte_tokenizer
from operators.tokenization.measures import measure, renyi_efficiency
from operators.tokenization.token_behaviour import digit_behaviour, whitespace_behaviour
from operators.tokenization.vocabulary_measures import (
    compare_tokenizers,
    normalized_sequence_length,
    token_counts,
    undertrained_candidates,
    unknown_rate,
    vocabulary_use,
)

WORDS = word_level(["the", "cat", "elephant"])
TEXTS = ["the cat", "the dog the", ""]
BYTES = byte_bpe([], 257)
TRAINED = byte_bpe(["the cat sat on the mat\n\n    and 2024 or 1999 cats"] * 5, 300)


def test_nsl_is_a_ratio_of_sums_not_a_mean_of_ratios():
    assert normalized_sequence_length([10, 20], [12, 28]) == 0.75


@pytest.mark.parametrize(
    ("here", "there"), [([1], [1, 2]), ([], []), ([3], [0])], ids=["unequal", "none", "no tokens"]
)
def test_sequences_without_an_nsl_are_refused(here, there):
    with pytest.raises(ValueError, match=r"baseline"):
        normalized_sequence_length(here, there)


def test_closeness_to_characters_oracle():
    """6 tokens for 20 characters."""
    text = "the cat the elephant"
    assert len(text) == 20
    pieces = metaspace(["▁the", "▁cat", "▁ele", "phant", "▁"])
    measured = measure(pieces, [text])
    assert measured.tokens == 5
    six = measure(metaspace(["▁the", "▁cat", "▁ele", "ph", "ant", "▁"]), [text])
    assert six.closeness_to_characters == 0.3


def test_counts_are_of_every_id_and_add_up_over_shards():
    counts = token_counts(WORDS, TEXTS)
    assert counts.tolist() == [1, 3, 1, 0]
    shards = token_counts(WORDS, TEXTS[:1]) + token_counts(WORDS, TEXTS[1:])
    assert shards.tolist() == counts.tolist()
    assert token_counts(WORDS, []).tolist() == [0, 0, 0, 0]
    assert token_counts(WORDS, iter(["cat"] * 2500))[2] == 2500


def test_unknown_rate_is_unknown_tokens_over_tokens():
    assert unknown_rate(WORDS, token_counts(WORDS, TEXTS)) == 1 / 5
    assert unknown_rate(TRAINED, token_counts(TRAINED, ["кот"])) == 0.0
    assert math.isnan(unknown_rate(WORDS, token_counts(WORDS, [])))


def test_vocabulary_use_counts_ordinary_tokens():
    use = vocabulary_use(WORDS, token_counts(WORDS, TEXTS))
    assert (use.ordinary, use.used, use.share) == (3, 2, 2 / 3)
    assert use.mean_bytes == (3 + 3 + 8) / 3
    assert use.mean_bytes_used == 3.0


def test_a_vocabulary_that_is_not_used_has_no_mean_length():
    use = vocabulary_use(WORDS, token_counts(WORDS, []))
    assert use.used == 0
    assert math.isnan(use.mean_bytes_used)


def test_rare_tokens_come_rarest_first_below_the_threshold_and_not_on_it():
    counts = np.array([0, 100, 7, 99])
    found = undertrained_candidates(WORDS, counts)
    assert found.rare.tolist() == [2, 3]
    assert found.small.tolist() == []
    assert undertrained_candidates(WORDS, counts, below=7).rare.tolist() == []


def test_equally_rare_tokens_come_by_id():
    assert undertrained_candidates(WORDS, np.array([5, 1, 1, 0])).rare.tolist() == [3, 1, 2]


def test_small_embeddings_are_the_lowest_share_of_ordinary_tokens():
    embeddings = np.array([[0.0, 0], [3, 4], [0, 1], [1, 1], [0, 0]])
    found = undertrained_candidates(
        WORDS, np.array([0, 200, 200, 5]), embeddings=embeddings, share=0.6
    )
    assert found.small.tolist() == [2, 3]  # not the special id 0, not the row behind the tokens
    assert found.both.tolist() == [3]


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        (np.zeros(3), {}, "3 counts for 4 tokens"),
        (np.zeros(4), {"embeddings": np.zeros((3, 2))}, "3 embeddings for 4 tokens"),
        (np.zeros(4), {"share": 1.5}, "share is 1.5"),
    ],
)
def test_counts_and_embeddings_of_another_vocabulary_are_refused(counts, options, message):
    with pytest.raises(ValueError, match=message):
        undertrained_candidates(WORDS, counts, **options)


# --- one table ------------------------------------------------------------------------------------


def test_the_table_holds_the_single_measures():
    tokenizers = {"trained": TRAINED, "bytes": BYTES, "words": WORDS}
    texts = ["the cat sat on 2024 mats", "the dog\n"]
    table = compare_tokenizers(tokenizers, texts)
    assert table["tokenizer"].to_list() == list(tokenizers)
    for row in table.iter_rows(named=True):
        tokenizer = tokenizers[row["tokenizer"]]
        measured, counts = measure(tokenizer, texts), token_counts(tokenizer, texts)
        assert row["tokens"] == measured.tokens == counts.sum()
        assert row["fertility"] == measured.fertility
        assert row["closeness_to_characters"] == measured.closeness_to_characters
        assert row["renyi_efficiency"] == renyi_efficiency(counts, vocab_size=len(counts))
        assert row["vocabulary_use"] == vocabulary_use(tokenizer, counts).share
        assert row["vocab_size"] == len(as_byte_tokenizer(tokenizer).tokens)
    first = table.row(0, named=True)
    assert (first["nsl"], first["overlap"], first["round_trip_failures"]) == (1.0, 1.0, 0)
    assert table["round_trip_failures"].to_list() == [0, 0, 2]
    assert table["nsl"][1] == measure(BYTES, texts).tokens / measure(TRAINED, texts).tokens
    assert table["overlap"][1] == 256 / (len(as_byte_tokenizer(TRAINED).tokens) - 1)


def test_the_baseline_can_be_another_and_must_be_there():
    tokenizers = {"trained": TRAINED, "bytes": BYTES}
    assert compare_tokenizers(tokenizers, ["the cat"], baseline="bytes")["nsl"][1] == 1.0
    with pytest.raises(ValueError, match="baseline 'gpt2' is not among"):
        compare_tokenizers(tokenizers, ["the cat"], baseline="gpt2")


def test_no_tokenizer_gives_an_empty_table():
    assert compare_tokenizers({}, ["a"]).equals(pl.DataFrame())


# --- digits and whitespace ------------------------------------------------------------------------


def grouped(pattern):
    """All runs of one to three digits and every byte are tokens; the pattern cuts before that."""
    runs = [f"{n:0{width}}" for width in (1, 2, 3) for n in range(10**width)]
    letters = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set("0123456789"))
    tokenizer = Tokenizer(models.WordLevel({t: n for n, t in enumerate([*letters, *runs])}, "a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize(
    ("pattern", "grouping"),
    [
        (r"\d", "single"),
        (r"\d{1,3}", "left_to_right"),
        (r"\d{1,3}(?=(?:\d{3})*(?!\d))", "right_to_left"),
        (r"\d{1,2}", "learned"),
    ],
)
def test_the_grouping_of_digits_is_recognised(pattern, grouping):
    behaviour = digit_behaviour(grouped(pattern))
    assert behaviour.grouping == grouping
    assert behaviour.longest == 3
    assert behaviour.mixed_tokens == 0


def test_bytes_have_single_digits_and_merges_learned_ones():
    assert digit_behaviour(BYTES).grouping == "single"
    assert digit_behaviour(TRAINED).grouping == "learned"
    assert digit_behaviour(TRAINED).longest == 4


def test_tokens_that_mix_digits_with_something_else_are_counted():
    mixed = word_level(["a1", "12", " 7", "x", "1,0", "1 "])
    assert digit_behaviour(mixed).mixed_tokens == 3


def test_whitespace_behaviour_of_bytes():
    behaviour = whitespace_behaviour(BYTES)
    assert behaviour.space_before_word == 0
    assert behaviour.longest_run == 1
    assert behaviour.superwords == 0
    assert behaviour.tokens_for_spaces == 16
    assert not behaviour.mixes_line_breaks


def test_whitespace_behaviour_counts_tokens_by_hand():
    tokenizer = metaspace(["▁the", "▁of▁the", "▁", "▁▁▁▁", "cat", "a\nb", "\n\n\n\n\n\n"])
    behaviour = whitespace_behaviour(tokenizer)
    assert behaviour.space_before_word == 2 / 7
    assert behaviour.longest_run == 6
    assert behaviour.superwords == 1
    assert behaviour.mixes_line_breaks


def test_an_empty_vocabulary_has_no_behaviour_and_no_error():
    empty = Tokenizer(models.BPE())
    assert math.isnan(whitespace_behaviour(empty).space_before_word)
    assert digit_behaviour(empty).longest == 0
