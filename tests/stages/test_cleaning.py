"""corpus.clean: every row is kept, or dropped for a reason; the order of rows decides nothing."""

import random

import pytest
from pydantic import ValidationError

from stages.corpus import Clean

RAW = {
    "short": "Too short.",
    "long": "word " * 10 + "another sentence of many other words that goes on and on " * 3,
    "lines": "the very same line of text\n" * 8,
    "numbers": " ".join(str(n) for n in range(100, 140)),
    "ngrams": "spam eggs " * 30,
}


@pytest.fixture
def clean(run_stage):
    def clean(given, **settings):
        return run_stage(Clean, {"documents": given}, **settings)

    return clean


def kept_ids(ran):
    return [row["id"] for row in ran.rows("documents")]


def dropped(ran):
    return {row["id"]: row for row in ran.rows("dropped")}


def test_every_row_is_kept_or_dropped_and_none_is_both(clean, documents, prose):
    good = {f"good-{n}": prose(n) for n in range(5)}
    ran = clean(documents({**RAW, **good, "copy": good["good-3"]}), min_chars=50)
    kept = kept_ids(ran)
    gone = [row["id"] for row in ran.rows("dropped")]
    assert sorted(kept + gone) == sorted([*RAW, *good, "copy"])
    assert len(set(kept + gone)) == len(kept + gone)


def test_each_dropped_row_says_why_and_what_was_measured(clean, documents):
    ran = clean(documents(RAW), min_chars=50, max_chars=200, dedup="none")
    found = {id_: (row["reason"], row["value"]) for id_, row in dropped(ran).items()}
    length = len(RAW["long"].strip())
    assert found["short"] == ("too_short", 10.0)
    assert found["long"] == ("too_long", float(length))
    assert found["numbers"] == ("few_letters", 0.0)
    assert found["ngrams"][0] == "too_long"
    ran = clean(documents(RAW), min_chars=50, dedup="none")
    found = {id_: (row["reason"], row["value"]) for id_, row in dropped(ran).items()}
    assert found["lines"] == ("repeated_lines", 1 - 1 / 8)
    assert found["ngrams"][0] == "repeated_ngrams"
    assert found["ngrams"][1] > 0.2
    assert dropped(ran)["short"]["source"] == "source of short"
    assert dropped(ran)["short"]["text"] == "Too short."


def test_a_rule_set_to_null_drops_nothing(clean, documents):
    off = dict.fromkeys(
        ("min_chars", "max_chars", "max_duplicate_line_fraction", "max_top_ngram_fraction",
         "min_letter_fraction")
    )  # fmt: skip
    ran = clean(documents(RAW), dedup="none", **off)
    assert kept_ids(ran) == list(RAW)
    assert ran.rows("dropped") == []


def test_text_is_normalised_and_all_other_columns_are_kept(clean, documents):
    text = "Cafe\u0301 and more\r\n" + "plain words to make it long enough for this. "
    row = {"text": text, "language": "fra_Latn", "group": "g", "source": "s"}
    (kept,) = clean(documents({"x": row}), min_chars=0).rows("documents")
    assert kept["text"].startswith("Café and more\nplain")
    assert kept["text"] == kept["text"].strip()
    assert (kept["language"], kept["group"], kept["source"]) == ("fra_Latn", "g", "s")


def test_of_exact_duplicates_the_smallest_id_is_kept_whatever_the_order(clean, documents, prose):
    texts = {"b": prose(1), "c": prose(1), "a": prose(1), "z": prose(2)}
    for order in (["b", "c", "a", "z"], ["a", "b", "c", "z"], ["z", "c", "b", "a"]):
        ran = clean(documents({id_: texts[id_] for id_ in order}), dedup="exact")
        assert sorted(kept_ids(ran)) == ["a", "z"]
        assert {id_: row["reason"] for id_, row in dropped(ran).items()} == {
            "b": "exact_duplicate", "c": "exact_duplicate",
        }  # fmt: skip


def test_of_near_duplicates_the_smallest_id_is_kept_whatever_the_order(clean, documents, prose):
    original = prose(7, words=300)
    texts = {"m": original + " One more.", "k": original, "n": "Once, " + original}
    texts["x"] = prose(8)
    found = []
    for seed in range(4):
        order = random.Random(seed).sample(list(texts), len(texts))
        ran = clean(documents({id_: texts[id_] for id_ in order}), dedup="minhash")
        assert sorted(kept_ids(ran)) == ["k", "x"]
        assert kept_ids(ran) == [id_ for id_ in order if id_ in ("k", "x")]
        found.append({id_: (row["reason"], row["value"]) for id_, row in dropped(ran).items()})
    assert all(each == found[0] for each in found)
    assert {reason for reason, _ in found[0].values()} == {"near_duplicate"}
    assert all(0.8 <= value <= 1 for _, value in found[0].values())


def test_duplicates_are_those_of_the_normalised_texts(clean, documents, prose):
    text = prose(3)
    ran = clean(documents({"a": text, "b": text.replace(" ", " ") + "\r\n \r\n"}), dedup="exact")
    assert kept_ids(ran) == ["a"]


def test_a_row_that_a_rule_drops_hides_no_duplicate_of_it(clean, documents, prose):
    # "a" is too long, so it must not stand for "b", which differs in nothing else.
    text = prose(5, words=200)
    ran = clean(documents({"a": text + " tail", "b": text}), max_chars=len(text))
    assert kept_ids(ran) == ["b"]
    assert dropped(ran)["a"]["reason"] == "too_long"


def test_without_deduplication_copies_stay(clean, documents, prose):
    ran = clean(documents({"a": prose(1), "b": prose(1)}), dedup="none")
    assert kept_ids(ran) == ["a", "b"]


def test_no_rows_in_are_no_rows_out_and_no_error(clean, documents):
    ran = clean(documents({}))
    assert ran.rows("documents") == ran.rows("dropped") == []


def test_kept_rows_are_cut_into_shards_of_the_size_asked_for(clean, documents, prose):
    ran = clean(documents({f"{n}": prose(n) for n in range(5)}), shard_rows=2)
    assert [shard.num_rows for shard in ran["documents"].shards] == [2, 2, 1]


def test_a_range_of_lengths_that_holds_nothing_is_refused_with_the_config():
    with pytest.raises(ValidationError, match="must not be below min_chars 300"):
        Clean.Config(min_chars=300, max_chars=200)
