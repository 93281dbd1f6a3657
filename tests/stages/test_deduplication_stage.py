"""Near duplicates and contaminated documents leave a corpus, whatever its shards."""

import os
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages import corpus_deduplication
from stages.corpus_decontamination import Decontaminate
from stages.corpus_deduplication import NearDuplicates

DATA = os.environ.get("TOKENMILL_DATA")


def edited(text, share, seed):
    """A copy of a text, a share of whose words are others."""
    chance = random.Random(seed)
    words = text.split(" ")
    for place in chance.sample(range(len(words)), round(share * len(words))):
        words[place] = f"x{chance.randrange(10**6)}"
    return " ".join(words)


@pytest.fixture(scope="module")
def corpus(prose):
    """Forty texts; of each tenth there is an equal copy, and of each fifth a slightly edited one."""
    texts = {f"t{k:02}": prose(k, 200) for k in range(40)}
    for k in range(0, 40, 10):
        texts[f"z-equal-{k:02}"] = texts[f"t{k:02}"].replace(". ", ".\n\n")
    for k in range(0, 40, 5):
        texts[f"a-near-{k:02}"] = edited(texts[f"t{k:02}"], 0.02, k)
    return texts


def dropped(ran):
    return {row["id"]: (row["reason"], row["duplicate_of"]) for row in ran.rows("dropped")}


@pytest.fixture(scope="module")
def ran_in_three(run_stage, documents, corpus):
    return run_stage(NearDuplicates, {"documents": documents(corpus, shards=3)}, similarity=0.5)


def test_of_each_cluster_the_smallest_id_stays_and_the_others_say_what_they_repeat(
    ran_in_three, corpus
):
    ran = ran_in_three
    equal = {f"z-equal-{k:02}": ("exact_duplicate", f"t{k:02}") for k in range(0, 40, 10)}
    near = {f"t{k:02}": ("near_duplicate", f"a-near-{k:02}") for k in range(0, 40, 5)}
    assert dropped(ran) == equal | near
    assert [row["id"] for row in ran.rows()] == [id_ for id_ in corpus if id_ not in equal | near]
    assert ran.context.metrics["exact_duplicates"] == 4
    assert ran.context.metrics["near_duplicates"] == ran.context.metrics["clusters"] == 8
    assert all(png.startswith(b"\x89PNG") for png in ran.context.figures.values())
    assert set(ran.context.figures) == {"similarity", "clusters"}


def test_rows_that_stay_are_as_they_were_and_lie_in_the_shards_they_came_in(
    run_stage, documents, corpus
):
    given = documents(corpus, shards=4)
    ran = run_stage(NearDuplicates, {"documents": given}, similarity=0.5)
    gone = dropped(ran)
    for before, after in zip(given.shards, ran["documents"].shards, strict=True):
        assert after.to_pylist() == [r for r in before.to_pylist() if r["id"] not in gone]


@pytest.mark.parametrize(("partitions", "few_links"), [(1, 0), (7, 0), (7, 10**6)])
def test_partitions_and_the_way_to_components_change_no_row(
    run_stage, documents, corpus, ran_in_three, partitions, few_links, monkeypatch
):
    given, expected = {"documents": documents(corpus, shards=3)}, ran_in_three
    monkeypatch.setattr(corpus_deduplication, "_FEW_LINKS", few_links)
    ran = run_stage(NearDuplicates, given, similarity=0.5, partitions=partitions)
    for output in ("documents", "dropped"):
        shards = zip(expected[output].shards, ran[output].shards, strict=True)
        assert all(before.equals(after) for before, after in shards)
    assert ran.context.figures == expected.context.figures


@pytest.mark.parametrize("rows", [1, 1000])
def test_shards_and_the_order_of_rows_decide_nothing(
    run_stage, documents, corpus, ran_in_three, rows
):
    expected = dropped(ran_in_three)
    ids = list(corpus)
    random.Random(rows).shuffle(ids)
    mixed = documents({id_: corpus[id_] for id_ in ids}).in_shards_of(rows)
    assert dropped(run_stage(NearDuplicates, {"documents": mixed}, similarity=0.5)) == expected


def test_without_a_similarity_only_equal_documents_are_dropped(run_stage, documents, corpus):
    ran = run_stage(NearDuplicates, {"documents": documents(corpus)}, similarity=None)
    assert {reason for reason, _ in dropped(ran).values()} == {"exact_duplicate"}
    assert ran["dropped"].rows == 4


def test_a_pair_exactly_on_the_threshold_is_near(run_stage, documents):
    # Words of their own, shingles of one: 6 shared of 8.
    texts = {"a": "one two three four five six seven", "b": "one two three four five six eight"}
    ran = run_stage(NearDuplicates, {"documents": documents(texts)}, similarity=0.75, shingle=1,
                    recall=0.999)  # fmt: skip
    assert [(row["id"], row["value"]) for row in ran.rows("dropped")] == [("b", 0.75)]
    ran = run_stage(NearDuplicates, {"documents": documents(texts)}, similarity=0.76, shingle=1)
    assert ran.rows("dropped") == []


def test_empty_texts_are_equal_to_each_other_and_an_empty_corpus_stays_empty(run_stage, documents):
    ran = run_stage(NearDuplicates, {"documents": documents({"b": "", "a": " \n", "c": "!"})})
    assert dropped(ran) == {"b": ("exact_duplicate", "a")}
    ran = run_stage(NearDuplicates, {"documents": documents({})})
    assert ran["documents"].rows == ran["dropped"].rows == 0


def test_a_text_shorter_than_a_shingle_is_near_to_one_of_the_same_words(run_stage, documents):
    texts = {"a": "Chapter One", "b": "CHAPTER ONE.", "c": "Chapter Two", "d": "chapter"}
    ran = run_stage(NearDuplicates, {"documents": documents(texts)})
    assert dropped(ran) == {"b": ("near_duplicate", "a")}


def test_chinese_texts_are_compared_by_their_characters(run_stage, documents):
    chance = random.Random(5)
    made = "".join(chr(chance.randrange(0x4E00, 0x9F00)) for _ in range(300))
    texts = {"a": made, "b": made[:150] + "。新" + made[151:], "c": made[::-1]}
    ran = run_stage(NearDuplicates, {"documents": documents(texts)})
    assert dropped(ran) == {"b": ("near_duplicate", "a")}


@pytest.mark.skipif(DATA is None, reason="TOKENMILL_DATA is not set")
def test_edited_chapters_are_found_and_different_ones_are_kept(run_stage, documents):
    books = pq.read_table(Path(DATA, "books", "standardebooks_10.parquet")).slice(0, 60)
    texts = {
        f"{k:03}": text for k, text in enumerate(books["text"].to_pylist()) if len(text) > 2000
    }
    copies = {f"{id_}-copy": edited(text, 0.02, id_) for id_, text in texts.items()}
    ran = run_stage(
        NearDuplicates, {"documents": documents(texts | copies, shards=4)}, similarity=0.5
    )
    assert dropped(ran) == {id_: ("near_duplicate", id_[:3]) for id_ in copies}


def test_more_recall_than_the_permutations_can_give_is_a_mistake_of_the_dag():
    with pytest.raises(ValueError, match="32 permutations cannot find"):
        NearDuplicates.Config(similarity=0.2, recall=0.999, permutations=32)


# -- contamination ---------------------------------------------------------------------------------


def test_a_document_with_thirteen_words_of_an_evaluation_text_is_dropped_with_its_share(
    run_stage, documents, prose
):
    held = {"q1": prose(1, 60), "q0": prose(2, 60)}
    words = held["q1"].split()
    texts = {
        "clean": prose(3, 80),
        "quotes": f"{prose(4, 26)} {' '.join(words[5:18]).upper()} {prose(5, 13)}",
        "nearly": f"{prose(4, 26)} {' '.join(words[5:17])}",
    }
    ran = run_stage(Decontaminate, {"documents": documents(texts), "heldout": documents(held)})
    (gone,) = ran.rows("dropped")
    assert (gone["id"], gone["reason"], gone["found_in"]) == ("quotes", "contaminated", "q1")
    assert gone["value"] == pytest.approx(13 / 52)
    assert [row["id"] for row in ran.rows()] == ["clean", "nearly"]
    ran = run_stage(
        Decontaminate,
        {"documents": documents(texts), "heldout": documents(held)},
        max_share=13 / 52,
    )
    assert ran.rows("dropped") == [], "exactly the allowed share stays"


def test_an_evaluation_set_itself_is_found_whole(run_stage, documents, corpus):
    ran = run_stage(
        Decontaminate, {"documents": documents(corpus, shards=3), "heldout": documents(corpus)}
    )
    assert ran["documents"].rows == 0
    assert {row["value"] for row in ran.rows("dropped")} == {1.0}


def test_an_evaluation_set_of_texts_too_short_to_look_for_is_an_error_that_says_so(
    run_stage, documents
):
    with pytest.raises(ValueError, match="none of the 2 evaluation texts has 8 words"):
        run_stage(
            Decontaminate,
            {"documents": documents({"a": "b"}), "heldout": documents({"x": "yes", "y": "no"})},
        )
