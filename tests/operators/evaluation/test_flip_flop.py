"""Flip-flop texts are valid, reads alone are scored, and a correct reader makes no error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.flip_flop import (
    SYMBOLS,
    copied_bits,
    error_rate,
    fault_of,
    flip_flop_text,
    read_bits,
    read_positions,
    read_scores,
    read_truths,
)

ORACLE = "w0i1i0r0w1i0r1"


def test_the_oracle_is_valid_and_has_two_reads():
    assert fault_of(ORACLE) is None
    assert read_positions(ORACLE).tolist() == [7, 13]
    assert read_truths(ORACLE).tolist() == [0, 1]
    assert error_rate(ORACLE, read_bits(ORACLE)) == 0.0


def test_changing_the_first_read_bit_of_the_oracle_makes_half_of_the_reads_wrong():
    changed = "w0i1i0r1w1i0r1"
    assert error_rate(changed, read_bits(changed)) == 0.5
    assert "position 7" in fault_of(changed)


@given(st.integers(2, 60), st.floats(0, 1), st.text(max_size=8), st.integers(0, 5))
def test_every_text_is_valid_and_of_the_length_that_was_asked(pairs, ignore, name, seed):
    text = flip_flop_text(name, pairs=pairs, ignore=ignore, seed=seed)
    assert len(text) == 2 * pairs
    assert fault_of(text) is None
    assert set(text) <= set(SYMBOLS)


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 50))
def test_a_reader_that_remembers_one_bit_makes_no_error(pairs, ignore, number):
    text = flip_flop_text(str(number), pairs=pairs, ignore=ignore, seed=0)
    memory, read = None, []
    for instruction, bit in zip(text[::2], text[1::2], strict=True):
        if instruction == "w":
            memory = int(bit)
        if instruction == "r":
            read.append(memory)
    assert error_rate(text, read) == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 symbols"),
        ("w0r", "3 symbols"),
        ("r0w0r0", 'begins with "r"'),
        ("w0r0i1", 'last instruction is "i"'),
        ("w0r0w1", 'last instruction is "w"'),
        ("w0x0r0", '"x" at position 2'),
        ("w2r0", '"2" at position 1'),
        ("w0 r0 ", '" " at position 2'),
        ("w0ï1r0", '"ï" at position 2'),
        ("w0r1", "position 3"),
    ],
)
def test_a_text_that_is_none_is_told_why(text, said):
    assert said in fault_of(text)


@pytest.mark.parametrize("ignore", [0.1, 0.8, 0.98])
def test_instructions_have_the_shares_of_the_family_and_other_bits_are_fair(ignore):
    texts = [flip_flop_text(str(n), pairs=256, ignore=ignore, seed=1) for n in range(200)]
    inner = "".join(text[2:-2] for text in texts)
    instructions = np.array(list(inner[::2]))
    for symbol, share in (("i", ignore), ("w", (1 - ignore) / 2), ("r", (1 - ignore) / 2)):
        error = 4 * np.sqrt(share * (1 - share) / len(instructions))
        assert abs((instructions == symbol).mean() - share) < error
    free = np.array(list(inner[1::2]))[instructions != "r"]
    assert abs((free == "1").mean() - 0.5) < 2 / np.sqrt(len(free))


@pytest.mark.parametrize(("ignore", "between"), [(0.0, set("wr")), (1.0, {"i"})])
def test_a_share_of_zero_or_one_holds_exactly(ignore, between):
    text = flip_flop_text("a", pairs=100, ignore=ignore, seed=0)
    assert set(text[2:-2:2]) == between


def test_a_text_follows_from_its_id_and_seed_alone():
    make = {name: flip_flop_text(name, pairs=20, ignore=0.5, seed=3) for name in "abc"}
    again = {name: flip_flop_text(name, pairs=20, ignore=0.5, seed=3) for name in "cba"}
    assert make == again
    assert len(set(make.values())) == 3
    assert flip_flop_text("a", pairs=20, ignore=0.5, seed=4) != make["a"]


@pytest.mark.parametrize(
    "wrong",
    [{"pairs": 1, "ignore": 0.5}, {"pairs": 4, "ignore": -0.1}, {"pairs": 4, "ignore": 1.1}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        flip_flop_text("a", seed=0, **wrong)


def test_errors_are_counted_among_all_tokens_or_among_the_bits_and_the_margin_is_of_the_bits():
    scores = read_scores(
        truths=[0, 1, 1, 0],
        bit_logits=[[3.0, 1.0], [2.0, 1.0], [0.0, 1.0], [1.0, 0.0]],
        best_other=[0.0, 0.0, 5.0, 0.0],
    )
    assert scores.binary_errors == 1
    assert scores.greedy_errors == 2  # the third has the right bit before the wrong one only
    assert scores.binary_error_rate == 0.25
    assert scores.greedy_error_rate == 0.5
    assert scores.margin == pytest.approx((2 - 1 + 1 + 1) / 4)


def test_a_tie_is_an_error_in_both_rates():
    tied = read_scores([0, 1], [[1.0, 1.0], [1.0, 1.0]], [-np.inf, -np.inf])
    assert (tied.greedy_errors, tied.binary_errors, tied.margin) == (2, 2, 0.0)
    with_other = read_scores([0], [[1.0, 0.0]], [1.0])
    assert (with_other.greedy_errors, with_other.binary_errors) == (1, 0)


@given(st.integers(1, 30), st.integers(0, 1000))
def test_binary_errors_are_never_more_than_greedy_ones_and_a_shift_of_logits_changes_nothing(
    reads, seed
):
    chance = np.random.default_rng(seed)
    truths, logits = chance.integers(0, 2, reads), chance.integers(-3, 3, (reads, 2)).astype(float)
    others = chance.integers(-3, 3, reads).astype(float)
    scores = read_scores(truths, logits, others)
    assert scores.binary_errors <= scores.greedy_errors <= scores.reads == reads
    assert read_scores(truths, logits + 7, others + 7) == scores


@pytest.mark.parametrize(
    ("truths", "logits", "others", "said"),
    [
        ([0, 1], [[0.0, 1.0]], [0.0, 0.0], "2 reads"),
        ([0], [[0.0, 1.0]], [], "1 reads"),
        ([], np.empty((0, 2)), [], "no read"),
        ([0], [[np.nan, 1.0]], [0.0], "NaN"),
    ],
)
def test_scores_that_do_not_belong_to_the_reads_are_refused(truths, logits, others, said):
    with pytest.raises(ValueError, match=said):
        read_scores(truths, logits, others)


def test_copying_the_bit_before_is_right_by_chance_only():
    assert copied_bits(ORACLE).tolist() == [0, 0]
    texts = [flip_flop_text(str(n), pairs=64, ignore=0.98, seed=0) for n in range(200)]
    errors = np.concatenate([copied_bits(text) != read_truths(text) for text in texts])
    assert 0.3 < errors.mean() < 0.6


def test_as_many_answers_as_reads_are_needed():
    with pytest.raises(ValueError, match="2 reads have 1"):
        error_rate(ORACLE, [0])
