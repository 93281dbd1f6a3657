"""Entropies of Markov sources are exact, and their texts have them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation.markov_source import MarkovSource, random_source, switching

ORDERS = st.integers(1, 4)
PROBABILITIES = st.floats(0.05, 0.95)


def binary(p):
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.parametrize(
    ("p", "q", "unigram", "rate"), [(0.9, 0.9, 0.6931, 0.3251), (0.8, 0.5, 0.6663, 0.6190)]
)
@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_the_oracles_hold_in_nats_at_every_order(order, p, q, unigram, rate):
    source = switching(order, p, q)
    assert source.unigram_entropy * math.log(2) == pytest.approx(unigram, abs=5e-5)
    assert source.entropy_rate * math.log(2) == pytest.approx(rate, abs=5e-5)


def test_the_oracle_of_the_stationary_distribution():
    assert switching(1, 0.8, 0.5).unigram == pytest.approx([0.3846, 0.6154], abs=5e-5)


@given(ORDERS, PROBABILITIES, PROBABILITIES)
def test_a_switching_source_has_the_entropies_of_its_formula_whatever_the_order(order, p, q):
    source = switching(order, p, q)
    share = q / (p + q)
    assert source.unigram[0] == pytest.approx(share, abs=1e-9)
    assert source.unigram_entropy == pytest.approx(binary(share), abs=1e-9)
    rate = share * binary(p) + (1 - share) * binary(q)
    assert source.entropy_rate == pytest.approx(rate, abs=1e-9)
    assert source.entropy_rate <= source.unigram_entropy + 1e-12


@given(ORDERS, st.integers(2, 4), st.integers(0, 20))
def test_the_stationary_distribution_stays_as_it_is(order, symbols, seed):
    source = random_source(order, symbols, concentration=0.5, seed=seed)
    after = np.zeros(len(source.table))
    np.add.at(after, source.following.ravel(), (source.stationary[:, None] * source.table).ravel())
    assert after == pytest.approx(source.stationary, abs=1e-9)
    assert source.stationary.sum() == pytest.approx(1.0)
    assert 0 <= source.entropy_rate <= source.unigram_entropy + 1e-9 <= math.log2(symbols) + 2e-9


def test_independent_symbols_have_one_entropy():
    fair = switching(3, 0.5, 0.5)
    assert (fair.unigram_entropy, fair.entropy_rate) == (1.0, 1.0)
    given_ = MarkovSource(np.tile([0.2, 0.3, 0.5], (9, 1)))
    assert given_.entropy_rate == pytest.approx(given_.unigram_entropy, abs=1e-12)


def test_a_source_that_always_switches_has_no_entropy_but_a_whole_unigram_bit():
    source = switching(1, 1.0, 1.0)
    assert (source.entropy_rate, source.unigram_entropy) == (0.0, 1.0)
    assert next(source.texts(["x"], 6, seed=0)) in ("ababab", "bababa")


def test_the_truth_about_all_texts_of_a_length_sums_to_one_and_to_the_expected_bits():
    source = random_source(2, 3, seed=4)
    bits = np.array([source.bits("".join(t)) for t in itertools.product("abc", repeat=5)])
    assert (2.0**-bits).sum() == pytest.approx(1.0)
    assert (2.0**-bits * bits).sum() == pytest.approx(source.expected_bits(5))


def test_the_probability_of_a_text_is_the_product_of_its_steps():
    source = switching(1, 0.8, 0.5)
    expected = (0.5 / 1.3) * 0.8 * 0.5 * 0.2  # a, then b, then a, then a
    assert source.bits("abaa") == pytest.approx(-math.log2(expected))
    assert source.unigram_bits("ab") == pytest.approx(-math.log2(0.5 / 1.3 * 0.8 / 1.3))
    assert switching(1, 1.0, 1.0).bits("aa") == math.inf


@pytest.mark.parametrize("order", [1, 2, 5])
def test_texts_have_the_entropy_of_their_source(order):
    source = switching(order, 0.9, 0.9)
    texts = list(source.texts([str(n) for n in range(60)], 400, seed=0))
    bits = [source.bits(text) for text in texts]
    error = np.std(bits) / math.sqrt(len(bits))
    assert abs(np.mean(bits) - source.expected_bits(400)) < 4 * error
    # Each symbol follows the one `order` before it, and tells nothing of the one between.
    rows = np.array([list(text) for text in texts])
    assert (rows[:, order:] != rows[:, :-order]).mean() == pytest.approx(0.9, abs=0.01)
    if order > 1:
        assert (rows[:, 1:] != rows[:, :-1]).mean() == pytest.approx(0.5, abs=0.03)


def test_first_symbols_are_drawn_as_often_as_in_the_long_run():
    source = switching(2, 0.8, 0.5)
    firsts = [text[0] for text in source.texts([str(n) for n in range(4000)], 2, seed=1)]
    assert firsts.count("a") / 4000 == pytest.approx(0.3846, abs=0.03)


def test_a_text_follows_from_its_id_and_seed_whatever_stands_beside_it():
    source = random_source(2, 3, seed=0)
    names = [str(n) for n in range(20)]
    together = dict(zip(names, source.texts(names, 30, seed=7), strict=True))
    backwards = dict(zip(names[::-1], source.texts(names[::-1], 30, seed=7), strict=True))
    assert together == backwards
    assert {n: next(source.texts([n], 30, seed=7)) for n in names} == together
    assert next(source.texts(["0"], 30, seed=8)) != together["0"]
    assert len(set(together.values())) == 20


def test_a_longer_text_begins_with_the_shorter_one():
    source = switching(3, 0.7, 0.6)
    assert next(source.texts(["a"], 50, seed=0))[:20] == next(source.texts(["a"], 20, seed=0))


def test_a_text_may_be_as_short_as_the_order_and_no_shorter():
    source = switching(3, 0.7, 0.6)
    text = next(source.texts(["a"], 3, seed=0))
    assert source.bits(text) == pytest.approx(-math.log2(source.stationary[_number(text)]))
    assert source.expected_bits(3) > 0
    with pytest.raises(ValueError, match="shorter than the order 3"):
        next(source.texts(["a"], 2, seed=0))
    with pytest.raises(ValueError, match="shorter than the order 3"):
        source.bits("ab")


def _number(text):
    return int(text.replace("a", "0").replace("b", "1"), 2)


def test_a_random_source_follows_from_its_seed():
    tables = [random_source(2, 2, seed=seed).table for seed in (1, 1, 2)]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: switching(0, 0.5, 0.5), "order is 0"),
        (lambda: switching(11, 0.5, 0.5), "2048 contexts"),
        (lambda: switching(1, 0.0, 0.5), "p is 0.0"),
        (lambda: switching(1, 0.5, 1.1), "q is 1.1"),
        (lambda: random_source(1, 27, seed=0), "symbols is 27"),
        (lambda: random_source(1, 2, concentration=0.0, seed=0), "concentration is 0.0"),
        (lambda: MarkovSource(np.array([[1.0], [1.0]])), "2 to 26 symbols"),
        (lambda: MarkovSource(np.full((3, 2), 0.5)), "3 rows for 2 symbols"),
        (lambda: MarkovSource(np.array([[0.5, 0.5], [0.5, 0.4]])), "row 1"),
        (lambda: MarkovSource(np.array([[1.5, -0.5], [0.5, 0.5]])), "row 0"),
        (lambda: MarkovSource(np.eye(2)), "2 parts that it never leaves"),
    ],
)
def test_what_is_no_source_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_part_that_is_left_for_good_occurs_never():
    source = MarkovSource(np.array([[0.5, 0.5], [0.0, 1.0]]))
    assert source.unigram == pytest.approx([0.0, 1.0])
    assert (source.entropy_rate, source.unigram_entropy) == (0.0, 0.0)


def test_a_letter_of_no_symbol_is_refused():
    with pytest.raises(ValueError, match='"c" at position 1'):
        switching(1, 0.5, 0.5).bits("ac")


@pytest.mark.parametrize(
    ("order", "vocabulary", "highest"), [(1, 60, 1.15), (2, 250, 1.2), (4, 1000, 1.3)]
)
def test_tokens_alone_take_most_of_the_dependency_and_characters_none(order, vocabulary, highest):
    """The theorem in miniature: unigrams over the tokens of BPE, on texts that are held out."""
    from tokenizers import Tokenizer, models, trainers

    source = switching(order, 0.9, 0.9)
    texts = list(source.texts([str(n) for n in range(700)], 400, seed=0))
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False)
    tokenizer.train_from_iterator(texts[:200], trainer)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    counts = np.bincount(np.concatenate(ids[:600]), minlength=vocabulary) + 1
    held_out = np.concatenate(ids[600:])
    bits = -np.log2(counts / counts.sum())[held_out].sum() / (400 * 100)
    assert source.entropy_rate < bits < highest * source.entropy_rate
    assert source.unigram_entropy == 1.0
