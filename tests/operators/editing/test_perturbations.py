"""Spelling noise: only words change, by their ids alone, and the edit rate is what it says."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operators.editing.perturbations import (
    PERTURBATIONS,
    PROTECTED,
    edit_distance,
    perturb_texts,
)

TEXT = (
    "The quick brown fox jumps over the lazy dog, and 12 others watched it at 9:45 o'clock. "
    "See https://example.org/a/b?c=d or write to someone@example.org about `np.mean(x)`, "
    "snake_case, camelCase, HTTP2 and f(x).\n```python\nfor word in words:\n    print(word)\n```\n"
    "Быстрая коричневая лиса прыгает; Η γρήγορη αλεπού; हिन्दी शब्द; résumé cafe\u0301.\r\n\t👩‍👩‍👧 \0 "
)
UNTOUCHED = [
    "12", "9:45", "https://example.org/a/b?c=d", "someone@example.org", "`np.mean(x)`",
    "snake_case", "camelCase", "HTTP2", "f(x)",
    "```python\nfor word in words:\n    print(word)\n```",
]  # fmt: skip
FUZZ = [
    "",
    " ",
    "\0",
    "a",
    "ab",
    "\r\n\t ",
    "👩‍👩‍👧❤️",
    "e\u0301\u0302",
    "שלום\u200f.",
    "1234",
    "\ud800a",
]


def perturb(texts, kind, rate, seed=0, **options):
    ids = [f"example {number}" for number in range(len(texts))]
    return perturb_texts(texts, ids, kind=kind, rate=rate, seed=seed, **options)


def words(text):
    return re.findall(r"[^\W\d_]+", text)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_rate_0_changes_nothing(kind):
    done = perturb([TEXT, *FUZZ], kind, 0.0)
    assert done.texts == [TEXT, *FUZZ]
    assert done.edit_rate == 0
    assert not done.drawn.any()
    assert not done.distances.any()
    # The fewest are eligible for swap and permute: 20 words have four characters or more.
    assert done.eligible[0] >= 20
    assert kind not in ("swap", "permute") or done.eligible[0] == 20


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_digits_urls_and_code_are_never_touched(kind):
    (text,) = perturb([TEXT], kind, 1.0).texts
    assert text != TEXT
    for untouched in UNTOUCHED:
        assert untouched in text


@pytest.mark.parametrize("kind", PERTURBATIONS)
@given(text=st.text(max_size=40) | st.sampled_from(FUZZ), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_what_is_no_letter_stays_where_it_was(kind, text, seed):
    done = perturb([text], kind, 1.0, seed)
    assert rest(done.texts[0]) == rest(text)


def rest(text):
    """What stands between words, in order."""
    import regex

    return regex.sub(r"[\p{L}\p{M}]+", "", text)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_a_result_depends_on_the_id_and_the_seed_and_not_on_the_others(kind):
    texts, ids = [TEXT, TEXT[10:], TEXT[20:]], ["a", "b", "c"]
    done = perturb_texts(texts, ids, kind=kind, rate=0.5, seed=1)
    turned = perturb_texts(texts[::-1], ids[::-1], kind=kind, rate=0.5, seed=1)
    assert turned.texts == done.texts[::-1]
    alone = perturb_texts(texts[1:2], ids[1:2], kind=kind, rate=0.5, seed=1)
    assert alone.texts == done.texts[1:2]
    if kind != "upper":
        other = perturb_texts(texts, ["x", "y", "z"], kind=kind, rate=0.5, seed=1)
        reseeded = perturb_texts(texts, ids, kind=kind, rate=0.5, seed=2)
        assert done.texts != other.texts
        assert done.texts != reseeded.texts


@pytest.mark.parametrize("kind", ["swap", "neighbour", "case", "permute", "upper"])
def test_a_higher_rate_perturbs_the_same_words_alike_and_more(kind):
    before = words(TEXT)
    few, many = (words(perturb([TEXT], kind, rate).texts[0]) for rate in (0.2, 0.6))
    assert len(few) == len(many) == len(before)
    for clean, little, much in zip(before, few, many, strict=True):
        assert little in (clean, much)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_the_share_drawn_is_the_rate(kind):
    done = perturb([TEXT] * 300, kind, 0.1)
    share = done.drawn.sum() / done.eligible.sum()
    assert share == pytest.approx(0.1, abs=0.02)
    assert (done.changed <= done.drawn).all()


# --- each kind ------------------------------------------------------------------------------------


def test_swap_exchanges_two_adjacent_inner_characters():
    texts = [f"{word} abc" for word in ["abcd", "abcdefg"] * 20]
    done = perturb(texts, "swap", 1.0)
    assert set(done.texts[::2]) == {"acbd abc"}
    assert {text[:-4] for text in done.texts[1::2]} == {
        "acbdefg", "abdcefg", "abcedfg", "abcdfeg"
    }  # fmt: skip
    assert set(done.eligible.tolist()) == {1}
    assert set(done.distances.tolist()) == {2}


def test_swapping_equal_letters_is_drawn_and_changes_nothing():
    done = perturb(["abba"], "swap", 1.0)
    assert (done.drawn.tolist(), done.changed.tolist(), done.edit_rate) == ([1], [0], 0.0)


def test_delete_takes_one_character_and_never_a_whole_word():
    done = perturb(["abc a"] * 30, "delete", 1.0)
    assert set(done.texts) == {"bc a", "ac a", "ab a"}
    assert done.eligible.tolist() == [1] * 30
    assert done.edit_rate == 1 / 5


def test_insert_and_neighbour_use_keys_beside_the_letter_in_its_case():
    inserted = set(perturb(["P"] * 60, "insert", 1.0).texts)
    assert inserted == {"PL", "PO"}
    replaced = set(perturb(["p"] * 60, "neighbour", 1.0).texts)
    assert replaced == {"l", "o"}
    assert perturb(["кот"], "neighbour", 1.0).eligible.tolist() == [0]


def test_keys_are_neighbours_of_each_other():
    for letter in "abcdefghijklmnopqrstuvwxyz":
        for key in set(perturb([letter] * 60, "neighbour", 1.0).texts):
            assert letter in set(perturb([key] * 60, "neighbour", 1.0).texts)


def test_case_flips_one_letter():
    assert set(perturb(["ab1 Ωβ"] * 40, "case", 1.0).texts) == {"ab1 ωβ", "ab1 ΩΒ"}
    assert perturb(["漢字 हिन्दी"], "case", 1.0).eligible.tolist() == [0]


def test_permute_keeps_the_ends_and_the_letters():
    done = perturb(["permutation works abc"] * 50, "permute", 1.0)
    assert len(set(done.texts)) > 40
    for text in done.texts:
        for before, after in zip(["permutation", "works", "abc"], text.split(), strict=True):
            assert (before[0], before[-1]) == (after[0], after[-1])
            assert sorted(before) == sorted(after)
        assert text.endswith(" abc")


def test_upper_is_all_capitals_at_rate_1():
    done = perturb(["straße, ok 2x NASA `code`"], "upper", 1.0)
    assert done.texts == ["STRASSE, OK 2x NASA `code`"]
    assert done.eligible.tolist() == [2]


def test_replaced_characters_become_other_letters_of_the_text():
    done = perturb(["abcdefghij 123"] * 50, "replace_characters", 0.3)
    for text, drawn, distance in zip(done.texts, done.drawn, done.distances, strict=True):
        assert len(text) == 14
        assert text.endswith(" 123")
        assert set(text[:10]) <= set("abcdefghij")
        assert sum(a != b for a, b in zip(text, "abcdefghij 123", strict=True)) == drawn
        assert distance <= drawn
    assert (done.changed == done.drawn).all()
    assert perturb(["aaaa"], "replace_characters", 1.0).texts == ["aaaa"]


def test_deleted_characters_are_gone():
    done = perturb(["abcdefghij"] * 100, "delete_characters", 0.1)
    assert [10 - len(text) for text in done.texts] == done.drawn.tolist()
    assert done.distances.tolist() == done.drawn.tolist()
    assert perturb(["abc 12"], "delete_characters", 1.0).texts == [" 12"]


def test_another_pattern_protects_something_else():
    assert perturb(["keep drop 12"], "upper", 1.0, protected="keep").texts == ["keep DROP 12"]
    assert perturb(["`code` a1"], "upper", 1.0, protected="").texts == ["`CODE` A1"]


def test_long_runs_without_a_space_take_no_time():
    texts = ["a" * 50_000, "漢" * 50_000, "-" * 50_000, "." * 50_000, "a/" * 25_000, "a.b" * 20_000]
    assert perturb(texts, "case", 0.0).texts == texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "shout"}, "kind is 'shout'"), ({"rate": 1.1}, "rate is 1.1"),
        ({"rate": -0.1}, "rate is -0.1"), ({"rate": np.nan}, "rate is nan"),
        ({"protected": "("}, "is no regex"), ({"ids": ["a"]}, "2 texts need"),
        ({"ids": ["a", "a"]}, "1 different"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        perturb_texts(["a", "b"], **({"ids": ["a", "b"], "kind": "swap", "rate": 0.1} | options))


# --- distance -------------------------------------------------------------------------------------


def levenshtein(before, after):
    """The textbook's table."""
    row = list(range(len(after) + 1))
    for i, left in enumerate(before, start=1):
        corner, row[0] = row[0], i
        for j, right in enumerate(after, start=1):
            corner, row[j] = row[j], min(corner + (left != right), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@pytest.mark.parametrize(
    ("before", "after", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("", "", 0),
     ("a" * 200, "b" * 200, 200), ("😀a", "a", 1), ("x" * 99 + "ab" * 60, "ab" * 60, 99)],
)  # fmt: skip
def test_distances_of_known_pairs(before, after, distance):
    assert edit_distance(before, after) == distance


@given(st.text("abc", max_size=40), st.text("abc", max_size=40))
@example("ab" * 20, "ba" * 20)
def test_distances_are_those_of_the_table(before, after):
    assert edit_distance(before, after) == levenshtein(before, after)


def test_edit_rates_are_distances_over_lengths():
    done = perturb([TEXT, "", "abcd"], "delete_characters", 0.3)
    for before, after, distance in zip([TEXT, "", "abcd"], done.texts, done.distances, strict=True):
        assert distance == levenshtein(before, after)
    assert done.lengths.tolist() == [len(TEXT), 0, 4]
    assert done.edit_rates[0] == done.distances[0] / len(TEXT)
    assert done.edit_rates[1] == 0
    assert done.edit_rate == done.distances.sum() / (len(TEXT) + 4)


def test_the_pattern_of_what_is_protected_is_exported_for_extension():
    extended = f"{PROTECTED}|keep"
    assert perturb(["keep drop `code`"], "upper", 1.0, protected=extended).texts == [
        "keep DROP `code`"
    ]
