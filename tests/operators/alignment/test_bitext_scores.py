"""Scores of sentence pairs: each kind of noise has a number of its own."""

import pyarrow as pa
import pytest

from operators.alignment import learn_words, score_bitext
from operators.alignment.words import PRIORS

GOOD = ("The old mill has stood here since 1874.", "Die alte Mühle steht hier seit 1874.")


def scores(pair, **more):
    found = score_bitext([GOOD] * 5 + [pair], **more)
    return {name: float(values[-1]) for name, values in found.columns().items()}


def test_a_good_pair_is_good_by_every_score():
    assert scores(("It is still grinding corn.", "Sie mahlt noch immer Korn.")) == {
        "length_ratio": pytest.approx(0.03, abs=0.1),
        "letters": pytest.approx(1, abs=0.1),
        "identical": 0,
        "numbers": 1,
        "repeated": 0,
        "coverage": 1,
    }


@pytest.mark.parametrize(
    ("pair", "name", "value"),
    [
        (("Half as long, or less.", "So"), "length_ratio", 1.9),
        (("Abc 123 !!!", "12345 ---- 1"), "letters", 0.0),
        (("The Mill, 1874.", "the mill 1874"), "identical", 1),
        (("In 1874 and 1931.", "Im Jahr 1874."), "numbers", 2 / 3),
        (("In 1,234.5 m", "In 1.234,5 m"), "numbers", 1),
        (("Room 12", "कमरा १२"), "numbers", 1),
        (GOOD, "repeated", 5),
    ],
)
def test_noise_is_told_by_the_score_that_is_for_it(pair, name, value):
    assert scores(pair)[name] == pytest.approx(value, abs=0.15)


def test_the_usual_ratio_of_lengths_is_that_of_the_corpus():
    found = score_bitext([("word " * n, "字" * n) for n in range(5, 30)])
    assert found.length_ratio.max() < 0.15


def test_the_lexicon_tells_a_translation_from_another_sentence():
    words = {"dog": "hund", "cat": "katze", "sleeps": "schläft", "eats": "frisst"}
    rows = [{"source": s, "target": t, "count": 3.0} for s, t in words.items()]
    lexicon = pa.Table.from_pylist(rows, PRIORS)
    found = score_bitext(
        [("Dog sleeps", "Hund schläft"), ("Dog sleeps", "Katze frisst"), ("Dog eats", "Hund xyz"),
         ("Zebra", "Tapir")],
        lexicon=lexicon,
    ).coverage.tolist()  # fmt: skip
    assert found[0] == 1
    assert found[1] == 0
    assert 0 < found[2] < 1
    assert found[3] == 1  # nothing known, nothing said


def test_what_word_alignment_learns_can_be_the_lexicon():
    pairs = [("the dog", "der hund"), ("the cat", "die katze"), ("a dog", "ein hund")] * 5
    learnt = learn_words([(s.split(), t.split()) for s, t in pairs]).priors
    assert score_bitext(pairs, lexicon=learnt).coverage.min() > 0.5


def test_no_pairs_have_no_scores():
    assert all(len(values) == 0 for values in score_bitext([]).columns().values())
