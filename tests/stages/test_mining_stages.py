"""From documents in several languages to filtered bitext: pairing, mining, words, scores."""

import json

import pytest

from stages.alignment import Sentences
from stages.alignment_mining import Documents, Mine
from stages.alignment_scores import SCORES, Filter, Score
from stages.alignment_words import Words
from stages.corpus import Documents as Read

TWO = {"target_languages": ["deu_Latn"]}


@pytest.fixture(scope="module")
def parallel(run_stage):
    return run_stage(Read, sources=["sample://parallel"])["documents"]


@pytest.fixture(scope="module")
def aligned(run_stage, parallel):
    return run_stage(Sentences, {"documents": parallel}, sentences="lines", **TWO)["bitext"]


@pytest.fixture(scope="module")
def grouped(run_stage, parallel):
    return run_stage(Documents, {"documents": parallel}, groups="measure", **TWO)


def test_versions_are_found_by_their_content_and_measured(grouped, parallel):
    assert grouped.context.metrics["precision"] >= 0.8
    assert grouped.context.metrics["recall"] >= 0.8
    before = {row["id"]: row for row in parallel.table().to_pylist()}
    for row in grouped.rows():
        assert {**row, "group": None} == {**before[row["id"]], "group": None}
    german = {r["group"] for r in grouped.rows() if r["language"] == "deu_Latn" and r["group"]}
    english = {r["group"] for r in grouped.rows() if r["language"] == "eng_Latn" and r["group"]}
    assert german == english
    assert {r["group"] for r in grouped.rows() if r["language"] == "rus_Cyrl"} == {None}


def test_the_order_of_shards_and_documents_beside_do_not_count(run_stage, parallel, grouped):
    again = run_stage(Documents, {"documents": parallel.in_shards_of(5)}, groups="measure", **TWO)
    assert again.rows() == grouped.rows()
    assert again.rows("scores") == grouped.rows("scores")


def test_groups_there_are_stand_and_names_come_before_content(run_stage, documents):
    given = documents(
        {
            "a": {"text": "One.", "source": "en/a.txt", "group": "old"},
            "b": {"text": "Zwei.", "source": "de/a.txt", "language": "deu_Latn", "group": "old"},
            "c": {"text": "Three.", "source": "en/c.txt"},
            "d": {"text": "Ganz anders.", "source": "de/c.txt", "language": "deu_Latn"},
            "e": {"text": "Nichts davon.", "source": "de/e.txt", "language": "deu_Latn"},
        }
    )
    ran = run_stage(Documents, {"documents": given}, by=["name"])
    assert [row["group"] for row in ran.rows()] == ["old", "old", "c", "c", None]
    assert ran.context.metrics["pairs_by_name"] == 1
    assert ran.context.metrics["documents_without_a_version"] == 1


def test_mined_sentences_are_translations_and_say_where_they_stand(run_stage, parallel, aligned):
    given = {"documents": parallel, "seeds": aligned}
    ran = run_stage(Mine, given, sentences="lines", threshold=1.2, **TWO)
    rows = ran.rows()
    lines = {r["id"]: r["text"].split("\n") for r in parallel.table().to_pylist()}
    assert len(rows) > 40
    assert sum(row["group"] is not None for row in rows) / len(rows) > 0.9
    for row in rows:
        for place, side in zip(row["id"].split("|"), ("source", "target"), strict=True):
            document, number = place.split(":")
            assert row[f"{side}_sentences"] == [int(number)]
            assert lines[document][int(number)] == row[f"{side}_text"]
    assert len({row["source_text"] for row in rows}) == len({r["target_text"] for r in rows})
    assert min(row["score"] for row in rows) > 1.2
    assert ran.context.metrics["pairs"] == len(rows)


def test_what_is_aligned_already_is_left_out(run_stage, parallel, aligned):
    given = {"documents": parallel, "aligned": aligned}
    ran = run_stage(Mine, given, sentences="lines", threshold=0, **TWO)
    taken = {(row["group"], n) for row in aligned.table().to_pylist()
             for n in row["target_sentences"]}  # fmt: skip
    groups = {row["id"]: row["group"] for row in parallel.table().to_pylist()}
    for row in ran.rows():
        document = row["id"].split("|")[1].split(":")[0]
        assert (groups[document], row["target_sentences"][0]) not in taken


def test_a_source_language_that_nobody_writes_is_a_clear_error(run_stage, parallel):
    for stage in (Documents, Mine):
        with pytest.raises(ValueError, match="no document is in fra_Latn; there are: deu_Latn"):
            run_stage(stage, {"documents": parallel}, source_language="fra_Latn")


@pytest.fixture(scope="module")
def linked(run_stage, aligned):
    return run_stage(Words, {"bitext": aligned})


def test_links_point_at_words_and_the_lexicon_holds_them(linked, aligned):
    assert [r["id"] for r in linked.rows()] == [r["id"] for r in aligned.table().to_pylist()]
    for row in linked.rows():
        assert row["links"]
        assert {link["source"] for link in row["links"]} <= set(range(len(row["source_words"])))
        assert {link["target"] for link in row["links"]} <= set(range(len(row["target_words"])))
    entries = {(r["source"], r["target"]): r["count"] for r in linked.rows("lexicon")}
    assert entries["and", "und"] > 3
    assert len({row["id"] for row in linked.rows("lexicon")}) == len(entries)


def test_a_lexicon_given_helps_a_corpus_of_one_pair(run_stage, linked, artifact, aligned):
    row = {**aligned.table().to_pylist()[0], "source_text": "and the bread",
           "target_text": "das Brot und"}  # fmt: skip
    one = artifact("bitext", [row])
    ran = run_stage(Words, {"bitext": one, "lexicon": linked["lexicon"]})
    assert {"source": 0, "target": 2} in ran.rows()[0]["links"]


def test_gold_links_are_measured(run_stage, aligned, tmp_path):
    path = tmp_path / "gold.jsonl"
    lines = [{"src_words": ["the", "lamp"], "tgt_words": ["die", "Lampe"],
              "alignment": [[0, 0], [1, 1]]}] * 3  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    ran = run_stage(Words, {"bitext": aligned}, gold=str(path))
    assert ran.context.metrics["aer"] == pytest.approx(0, abs=0.35)
    assert {row["metric"] for row in ran.rows("scores")} == {"aer", "precision", "recall"}
    assert len(ran.rows()) == aligned.rows
    path.write_text('\n{"src_words": ["a"], "tgt_words": ["b"], "alignment": [[0, 1]]}\n')
    with pytest.raises(ValueError, match=r"gold\.jsonl:2: links word 0 to word 1"):
        run_stage(Words, {"bitext": aligned}, gold=str(path))


def test_scores_are_columns_and_thresholds_move_without_them(run_stage, linked):
    scored = run_stage(Score, {"bitext": linked["bitext"], "lexicon": linked["lexicon"]})
    rows = scored.rows()
    assert all(name in rows[0] for name in (*SCORES, "links"))
    loose = run_stage(Filter, {"bitext": scored["bitext"]}, max_length_ratio=None)
    tight = run_stage(Filter, {"bitext": scored["bitext"]}, min_coverage=0.7)
    assert tight["bitext"].rows < loose["bitext"].rows
    for ran in (loose, tight):
        kept, dropped = ran.rows(), ran.rows("dropped")
        assert sorted(r["id"] for r in [*kept, *dropped]) == sorted(r["id"] for r in rows)
    assert "coverage" in {row["reason"] for row in tight.rows("dropped")}
    assert all(row["value"] < 0.7 for row in tight.rows("dropped") if row["reason"] == "coverage")


def test_a_score_on_the_threshold_is_kept(run_stage, artifact, aligned):
    plain = dict.fromkeys(SCORES, 0.0) | {"letters": 0.5, "numbers": 0.5, "length_ratio": 1.0}
    table = run_stage(Score, {"bitext": aligned})["bitext"].table().slice(0, 1)
    for name, value in plain.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, [[value]])
    given = artifact("bitext", [])
    given.shards = [table]
    assert run_stage(Filter, {"bitext": given})["bitext"].rows == 1
    found = run_stage(Filter, {"bitext": given}, min_letters=0.51).rows("dropped")
    assert [(row["reason"], row["value"]) for row in found] == [("letters", 0.5)]


def test_bitext_without_scores_is_told_which_stage_is_missing(run_stage, aligned):
    with pytest.raises(ValueError, match=r"no column length_ratio.*alignment\.score"):
        run_stage(Filter, {"bitext": aligned})
