"""Words, shingles and signatures against the same said in plain Python."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.corpus import content_hashes, shingle_sets, shingle_signatures

ALONE = "一二三ひらカナไทย"
LETTERS = "aAbBéÉßΣσжЖ1٣ᾳ" + ALONE + "𠀀𝐀" + "\u0301"
APART = " \t\n.,;:-—…!?«»“”\u2060\u3000。、😀"
TEXTS = st.text(st.sampled_from(LETTERS + APART), max_size=60)


def plain_words(text):
    """The words of a text, character by character."""
    words, word = [], ""
    for character in text:
        is_letter = unicodedata.category(character)[0] in "LMN"
        if is_letter and (character in ALONE or ord(character) > 0x1FFFF):
            words += [word, character]
            word = ""
        elif is_letter:
            word += character.lower()[0]
        else:
            words.append(word)
            word = ""
    return [word for word in [*words, word] if word]


def plain_shingles(text, n):
    words = plain_words(text)
    n = min(n, len(words))
    return {tuple(words[k : k + n]) for k in range(len(words) - n + 1)} if words else set()


def sets_of(texts, n=5):
    values, ends = shingle_sets(pa.array(texts, pa.string()), shingle=n)
    return [set(part.tolist()) for part in np.split(values, ends[:-1])]


@settings(deadline=None)  # the first call compiles
@given(st.lists(TEXTS, min_size=1, max_size=5), st.integers(1, 6))
def test_two_texts_share_as_many_shingles_as_they_share_runs_of_words(texts, n):
    hashed, plain = sets_of(texts, n), [plain_shingles(text, n) for text in texts]
    assert [len(one) for one in hashed] == [len(one) for one in plain]
    for a, b in zip(hashed, plain, strict=True):
        assert len(a & hashed[0]) == len(b & plain[0])


@settings(deadline=None)  # the first call compiles
@given(st.lists(TEXTS, max_size=5))
def test_a_text_has_the_same_hashes_alone_in_a_chunk_in_a_slice_and_as_large_string(texts):
    column = pa.array(["before", *texts, "after"], pa.string())[1:-1]
    chunked = pa.chunked_array([column[:2], column[2:]], pa.string())
    large = column.cast(pa.large_string())
    for made in (shingle_signatures, content_hashes):
        expected = made(pa.array(texts, pa.string()))
        for other in (made(column), made(chunked), made(large)):
            assert all(np.array_equal(a, b) for a, b in zip(expected, other, strict=True))


def test_a_null_and_a_text_without_words_have_no_shingle_and_an_empty_signature():
    signatures, sizes = shingle_signatures(pa.array([None, "", " ... !", "a"]))
    assert sizes.tolist() == [0, 0, 0, 1]
    assert (signatures[:3] == 0xFFFFFFFF).all()
    assert (signatures[3] != 0xFFFFFFFF).any()
    assert sets_of([None, "", " ... !", "a"])[:3] == [set(), set(), set()]


def test_case_and_punctuation_do_not_count_and_the_order_of_words_does():
    plain, loud, turned = sets_of(
        ["the cat sat on the mat today", "“The CAT”, sat: on the Mat—today!",
         "today mat the on sat cat the"], 3,
    )  # fmt: skip
    assert plain == loud
    assert not plain & turned


@settings(deadline=None)  # the first call compiles
@given(TEXTS)
def test_only_the_amount_of_white_space_may_differ_between_texts_of_equal_content(text):
    spread = "  " + text.replace(" ", " \r\n ") + "\t"
    changed = text + "x"
    low, high = content_hashes(pa.array([text, spread, changed]))
    assert (low[0], high[0]) == (low[1], high[1])
    assert low[0] != low[2]
    assert high[0] != high[2]


def test_white_space_is_not_lost_altogether():
    low, _ = content_hashes(pa.array(["to day", "today", "to  day"]))
    assert low[0] != low[1]
    assert low[0] == low[2]


def test_signatures_are_the_same_on_every_machine_and_with_every_version():
    signatures, _ = shingle_signatures(pa.array(["The quick brown fox jumps over the lazy dog"]))
    assert signatures[0, :4].tolist() == [170735088, 1697478259, 940809839, 1674413417]
    low, high = content_hashes(pa.array(["a b"]))
    assert (int(low[0]), int(high[0])) == (15328600243170313635, 18295208228274787102)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_equal_columns_estimate_the_jaccard_similarity_without_bias(share):
    generator = np.random.default_rng(int(share * 10))
    errors = []
    for _ in range(40):
        common = [f"c{k}" for k in generator.integers(0, 10**9, int(600 * share))]
        own = [[f"{side}{k}" for k in generator.integers(0, 10**9, int(600 * (1 - share)) // 2)]
               for side in "ab"]  # fmt: skip
        texts = pa.array([" ".join(common + one) for one in own])
        signatures, _ = shingle_signatures(texts, shingle=1)
        a, b = sets_of(texts.to_pylist(), 1)
        errors.append(np.mean(signatures[0] == signatures[1]) - len(a & b) / len(a | b))
    # The standard error of one estimate is at most 0.5 / sqrt(128), that of the mean of 40 .007.
    assert abs(np.mean(errors)) < 3.5 * 0.007
    assert np.std(errors) < 0.06


def test_other_seeds_draw_other_hash_functions():
    texts = pa.array(["one two three four five six"])
    first, _ = shingle_signatures(texts, seed=1)
    again, _ = shingle_signatures(texts, seed=1)
    other, _ = shingle_signatures(texts, seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("wrong", [{"permutations": 0}, {"shingle": 0}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        shingle_signatures(pa.array(["a"]), **wrong)
