"""A miner without an encoder: grams of any script, and translations found after some were seen."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alignment import Miner, learn_miner, word_lists, xsim
from operators.alignment.grams import gram_bags, romanized
from operators.alignment.mining import cosines

NOUNS = ["dog:Hund", "house:Haus", "river:Fluss", "tree:Baum", "bread:Brot", "child:Kind",
         "town:Stadt", "book:Buch", "window:Fenster", "garden:Garten"]  # fmt: skip
VERBS = ["sees:sieht", "loves:liebt", "finds:findet", "seeks:sucht", "paints:malt", "knows:kennt"]


def sentence(numbers):
    n, v, m = (
        part.split(":") for part in (NOUNS[numbers[0]], VERBS[numbers[1]], NOUNS[numbers[2]])
    )
    return f"The {n[0]} {v[0]} the {m[0]}.", f"Das {n[1]} {v[1]} das {m[1]}."


@pytest.fixture(scope="module")
def pairs():
    chance = np.random.default_rng(0)
    cells = [(n, v, m) for n in range(10) for v in range(6) for m in range(10) if n != m]
    return [sentence(cells[n]) for n in chance.permutation(len(cells))[:140]]


@pytest.fixture(scope="module")
def miner(pairs):
    return learn_miner(pairs[:80])


def test_sentences_of_known_words_find_their_translations(miner, pairs):
    source, target = zip(*pairs[80:], strict=True)
    # It does not see the order of words: who sees whom is told by chance.
    assert xsim(miner.vectors(source, "source"), miner.vectors(target, "target")) <= 0.1
    found = miner.mine(source, target[::-1], retrieval="intersect")
    assert len(found) > 50
    for pair in found:
        words = [word_lists([source[n]])[0] for n in (pair.source, len(target) - 1 - pair.target)]
        assert sorted(words[0]) == sorted(words[1])


def test_a_miner_from_its_tables_is_the_same_miner(miner, pairs):
    again = Miner(*miner.tables)
    texts = [source for source, _ in pairs]
    for side in ("source", "target"):
        one, other = miner.vectors(texts, side), again.vectors(texts, side)
        assert (one.dense == other.dense).all()
        assert (one.features == other.features).all()
        assert (one.values == other.values).all()


def test_a_vector_does_not_depend_on_those_beside_it(miner, pairs):
    texts = [source for source, _ in pairs]
    whole = miner.vectors(texts, "source")
    alone = miner.vectors(texts[7:8], "source")
    assert whole[7:8].dense == pytest.approx(alone.dense, abs=1e-6)
    assert (whole[7:8].features == alone.features).all()
    assert (whole[7:8].values == alone.values).all()


def test_vectors_have_length_one(miner, pairs):
    vectors = miner.vectors([source for source, _ in pairs], "source")
    sums = (vectors.dense**2).sum(axis=1)
    np.add.at(sums, np.repeat(np.arange(len(vectors)), np.diff(vectors.begins)), vectors.values**2)
    assert sums == pytest.approx(np.ones(len(vectors)), abs=1e-3)


@pytest.mark.parametrize("text", ["", "   ", "!?", "\u200d", "\ud800", "x" * 5000, "\0"])
def test_odd_texts_have_vectors_and_no_partner(miner, text):
    vectors = miner.vectors([text], "source")
    assert np.isfinite(vectors.dense).all()
    assert np.isfinite(vectors.values).all()
    assert miner.similarity([text], ["Das Haus."])[0, 0] < 0.5


def test_without_seeds_names_and_numbers_tell():
    source = ["Peter Miller was born in 1931.", "Krakatoa erupted again.", "Maria sings Verdi."]
    target = ["Мария поёт Верди.", "Питер Миллер родился в 1931 году.", "Кракатоа снова извергся."]
    found = learn_miner([]).mine(source, target)
    assert {(pair.source, pair.target) for pair in found} == {(0, 1), (1, 2), (2, 0)}


def test_it_teaches_itself_words_that_no_seed_has(pairs):
    few, rest = pairs[:12], pairs[12:]
    source, target = zip(*rest, strict=True)
    errors = []
    for rounds in (0, 2):
        taught = learn_miner(few, source=source, target=target, rounds=rounds)
        errors.append(xsim(taught.vectors(source, "source"), taught.vectors(target, "target")))
    assert errors[1] <= errors[0]
    assert taught.tables[0].num_rows > len(few)


def test_no_texts_make_no_vectors(miner):
    assert len(miner.vectors([], "source")) == 0
    assert miner.mine([], ["Das Haus."]) == []


def test_an_unknown_side_is_named(miner):
    with pytest.raises(ValueError, match='must be "source" or "target"'):
        miner.vectors(["x"], "left")


def naive_grams(word, least, most):
    marked = f"<{word}>"
    return {marked[i : i + n] for n in range(least, most + 1) for i in range(len(marked) - n + 1)}


@settings(max_examples=60, deadline=None)
@given(st.text("abcä", min_size=1, max_size=9))
def test_a_word_has_as_many_grams_as_counted_by_hand(word):
    bags = gram_bags([word], least=2, most=4)
    assert len(bags.hashes) == len(naive_grams(word, 2, 4) | {f"word {word}"})
    assert len(set(bags.hashes.tolist())) == len(bags.hashes)


def test_scripts_without_spaces_are_cut_into_letters_and_their_pairs():
    assert word_lists(["東京へ 行く2019年", "Ein Haus, 12!"]) == [
        ["東京", "京へ", "行く", "2019", "年"],
        ["ein", "haus", "12"],
    ]
    assert len(gram_bags(["東京へ"]).hashes) == 6  # three letters, two pairs, one of three


def test_marks_belong_to_their_word():
    assert word_lists(["हिन्दी में"]) == [["हिन्दी", "में"]]


def test_case_and_width_make_no_difference():
    one, other = gram_bags(["Straße ＡＢＣ"]), gram_bags(["STRASSE abc"])
    assert (one.hashes == other.hashes).all()


def test_names_look_alike_when_romanised():
    assert romanized(["Москва", "ラジオ放送"]) == ["moskva", " rajio fangsong"]


FLORES = Path(os.environ.get("TOKENMILL_DATA", "")) / "flores_dev" / "flores200_dev_60.parquet"


@pytest.mark.skipif(not FLORES.is_file(), reason="TOKENMILL_DATA has no flores_dev")
def test_half_of_flores_teaches_it_the_other_half():
    table = pq.read_table(FLORES, columns=["eng_Latn", "rus_Cyrl"])
    english, russian = (table.column(name).to_pylist() for name in table.column_names)
    miner = learn_miner(list(zip(english[:500], russian[:500], strict=True)))
    source, target = miner.vectors(english[500:], "source"), miner.vectors(russian[500:], "target")
    assert xsim(source, target) < 0.10
    assert cosines(source, target).max() <= 1 + 1e-5
