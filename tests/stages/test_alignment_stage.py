"""alignment.sentences: bitext from versions of one document, measured where gold is given."""

import json

import pytest

from stages.alignment import Sentences
from stages.corpus import Documents


@pytest.fixture(scope="module")
def parallel(run_stage):
    return run_stage(Documents, sources=["sample://parallel"])["documents"]


@pytest.fixture(scope="module")
def aligned(run_stage, parallel):
    settings = {"sentences": "lines", "gold": "sample://parallel"}
    return run_stage(Sentences, {"documents": parallel}, **settings)


@pytest.fixture
def align(run_stage, documents):
    def align(texts, **settings):
        return run_stage(Sentences, {"documents": documents(texts)}, **settings)

    return align


def version(language, text, group="g"):
    return {"language": language, "text": text, "group": group}


def test_precision_recall_and_f1_are_measured_by_language_and_over_all(aligned):
    scores = {(row["id"], row["metric"]): row for row in aligned.rows("scores")}
    languages = {row["target_language"] for row in aligned.rows("bitext")}
    assert {id_ for id_, _ in scores} == {*languages, "all"}
    for language in (*languages, "all"):
        value = {name: scores[language, f"strict_{name}"]["value"]
                 for name in ("precision", "recall", "f1")}  # fmt: skip
        harmonic = 2 / (1 / value["precision"] + 1 / value["recall"])
        assert value["f1"] == pytest.approx(harmonic)
        assert scores[language, "lax_f1"]["value"] >= value["f1"]
        assert 0.5 < value["f1"] <= 1
    assert aligned.context.metrics["strict_f1"] == scores["all", "strict_f1"]["value"]
    beads = sum(scores[language, "strict_f1"]["weight"] for language in languages)
    assert scores["all", "strict_f1"]["weight"] == beads


def test_gold_as_alignment_scores_one(run_stage, parallel, tmp_path):
    # The beads found, given as gold: nothing can be missed and nothing can be wrong.
    ran = run_stage(Sentences, {"documents": parallel}, sentences="lines")
    sizes = {(r["group"], r["language"]): len(r["text"].split("\n"))
             for r in parallel.table().to_pylist()}  # fmt: skip
    gold = {}
    for row in ran.rows("bitext"):
        beads = gold.setdefault((row["group"], row["target_language"]), [])
        beads.append([row["source_sentences"], row["target_sentences"]])
    path = tmp_path / "gold.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for (group, language), beads in gold.items():
            for side, tongue in enumerate(("eng_Latn", language)):
                taken = {index for bead in beads for index in bead[side]}
                rest = sorted(set(range(sizes[group, tongue])) - taken)
                beads += [[[index], []] if side == 0 else [[], [index]] for index in rest]
            line = {"group": group, "source_language": "eng_Latn",
                    "target_language": language, "beads": beads}  # fmt: skip
            file.write(json.dumps(line) + "\n")
    scored = run_stage(Sentences, {"documents": parallel}, sentences="lines", gold=str(path))
    assert {row["value"] for row in scored.rows("scores")} == {1.0}


def test_every_bead_of_the_bitext_says_what_stands_in_its_sentences(aligned, parallel):
    texts = {(r["group"], r["language"]): r["text"].split("\n")
             for r in parallel.table().to_pylist()}  # fmt: skip
    rows = aligned.rows("bitext")
    assert rows
    for row in rows:
        for side in ("source", "target"):
            language = row[f"{side}_language"]
            glue = "" if language.endswith("Hans") else " "
            sentences = texts[row["group"], language]
            wanted = glue.join(sentences[index] for index in row[f"{side}_sentences"])
            assert row[f"{side}_text"] == wanted
        assert row["edits"] == []


def test_no_bead_has_an_empty_side_and_those_left_out_are_counted(aligned, parallel):
    rows = aligned.rows("bitext")
    assert all(row["source_sentences"] and row["target_sentences"] for row in rows)
    assert all(row["source_text"] and row["target_text"] for row in rows)
    metrics = aligned.context.metrics
    assert metrics["beads"] == len(rows)
    versions = {row["language"] for row in parallel.table().to_pylist()}
    groups = {row["group"] for row in parallel.table().to_pylist()}
    assert metrics["document_pairs"] == len(groups) * (len(versions) - 1)
    assert metrics["one_sided_beads"] >= 0


def test_a_figure_shows_the_longest_alignment(aligned, align):
    assert aligned.context.figures["alignment"].startswith(b"\x89PNG")
    alone = align({"e": version("eng_Latn", "One.")})
    assert alone.context.figures == {}


def test_words_align_even_short_texts_about_as_well_as_lengths(run_stage, parallel, aligned):
    # Nine sentences teach hardly any word.
    settings = {"sentences": "lines", "gold": "sample://parallel", "method": "lexical"}
    by_words = run_stage(Sentences, {"documents": parallel}, **settings)
    assert by_words.context.metrics["strict_f1"] > 0.93
    assert by_words.context.metrics["lax_f1"] > 0.99


def test_ids_are_unique_and_sentences_come_once_and_in_order(aligned):
    rows = aligned.rows("bitext")
    assert len({row["id"] for row in rows}) == len(rows)
    for side in ("source", "target"):
        by_pair = {}
        for row in rows:
            pair = by_pair.setdefault((row["group"], row["target_language"]), [])
            pair += row[f"{side}_sentences"]
        assert all(found == sorted(set(found)) for found in by_pair.values())


def test_a_sentence_that_nobody_translated_is_left_out_and_counted(align):
    # By length no bead takes three sentences, so one of them must stay alone.
    english = "The mill is old.\nIt stands by the river.\nIt grinds corn."
    ran = align(
        {
            "e": version("eng_Latn", english),
            "d": version("deu_Latn", "Die alte Mühle steht am Fluss."),
        },
        sentences="lines",
        method="length",
    )
    (row,) = ran.rows("bitext")
    assert len(row["source_sentences"]) == 2
    assert row["target_sentences"] == [0]
    assert ran.context.metrics["one_sided_beads"] == 1


def test_blank_lines_are_no_sentences(align):
    ran = align(
        {
            "e": version("eng_Latn", "One sentence here.\n\nAnother one there.\n"),
            "d": version("deu_Latn", "Ein Satz ist hier.\r\nEin anderer dort.\r\n\r\n"),
        },
        sentences="lines",
    )
    assert [(row["source_text"], row["target_text"]) for row in ran.rows("bitext")] == [
        ("One sentence here.", "Ein Satz ist hier."),
        ("Another one there.", "Ein anderer dort."),
    ]


def test_sentences_of_a_merged_bead_are_joined_as_their_script_writes_them(align):
    english = "The old mill by the river still grinds the corn of the village every single day."
    sides = {"jpn_Jpan": ["古い水車は今も川辺で村の穀物を", "毎日ひいている。"],
             "tha_Thai": ["โรงสีเก่าริมแม่น้ำยังคงบดข้าวโพด", "ของหมู่บ้านทุกวัน"]}  # fmt: skip
    for language, sentences in sides.items():
        ran = align(
            {"e": version("eng_Latn", english), "t": version(language, "\n".join(sentences))},
            sentences="lines",
        )
        (row,) = ran.rows("bitext")
        assert row["target_text"] == ("" if language == "jpn_Jpan" else " ").join(sentences)


def test_only_the_languages_asked_for_are_aligned(run_stage, parallel):
    ran = run_stage(
        Sentences, {"documents": parallel}, sentences="lines", target_languages=["deu_Latn"]
    )
    assert {row["target_language"] for row in ran.rows("bitext")} == {"deu_Latn"}
    assert ran.rows("scores") == []


def test_documents_without_groups_are_a_clear_error(align):
    with pytest.raises(ValueError, match="no document in eng_Latn belongs to a group; set group"):
        align({"a": "One text.", "b": {"text": "Ein Text.", "language": "deu_Latn"}})


def test_a_source_language_that_nobody_writes_is_a_clear_error(align):
    texts = {"a": version("eng_Latn", "One."), "b": version("deu_Latn", "Eins.")}
    with pytest.raises(ValueError, match="no document in fra_Latn belongs to a group"):
        align(texts, source_language="fra_Latn")


def test_two_documents_of_a_group_in_one_language_are_an_error_that_names_them(align):
    texts = {"a": version("eng_Latn", "One."), "b": version("eng_Latn", "Two.")}
    with pytest.raises(ValueError, match='"a" and "b" are both the eng_Latn version of the group'):
        align(texts)


def test_gold_for_other_documents_is_a_clear_error(align):
    texts = {"a": version("eng_Latn", "One."), "b": version("deu_Latn", "Eins.")}
    with pytest.raises(ValueError, match="sample://parallel has no beads for any of these"):
        align(texts, gold="sample://parallel")


def test_a_bad_line_of_gold_names_file_and_line(align, tmp_path):
    path = tmp_path / "gold.jsonl"
    good = {"group": "g", "source_language": "eng_Latn", "target_language": "deu_Latn",
            "beads": [[[0], [0]]]}  # fmt: skip
    path.write_text(json.dumps(good) + "\n\n" + '{"group": "g"}\n', encoding="utf-8")
    texts = {"a": version("eng_Latn", "One."), "b": version("deu_Latn", "Eins.")}
    with pytest.raises(ValueError, match=r"gold\.jsonl:3: is no line of beads"):
        align(texts, gold=str(path))


def test_the_key_holds_the_content_of_the_gold(tmp_path):
    assert Sentences(Sentences.Config()).sources() == {}
    path = tmp_path / "gold.jsonl"
    path.write_text("{}", encoding="utf-8")
    stage = Sentences(Sentences.Config(gold=str(path)))
    before = dict(stage.sources())
    path.write_text("{} ", encoding="utf-8")
    assert list(before) == [str(path)]
    assert stage.sources() != before
