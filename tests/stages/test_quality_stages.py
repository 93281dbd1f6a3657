"""Measure once, select by thresholds: every row is accounted for, and moving one measures nothing."""

import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.planner import make_plan
from pipelines.resolve import Resolver
from pipelines.spec import read_dag
from pipelines.store import Store
from stages.corpus_language import Language, Sentences
from stages.corpus_quality import Lines, Measure, Select
from stages.corpus_report import Report


@pytest.fixture
def corpus(documents, prose):
    return documents(
        {
            "good": "The end of it. " + prose(1, words=200) + " And that is to be with the rest.",
            "short": "The end of it.",
            "loop": "the same words of it and that. " * 60,
            "german": {"text": prose(2), "language": "deu_Latn"},
        },
        shards=2,
    )


@pytest.fixture
def measured(run_stage, corpus):
    return run_stage(Measure, {"documents": corpus})["signals"]


def select(run_stage, corpus, *signals, **settings):
    return run_stage(Select, {"documents": corpus, "signals": list(signals)}, **settings)


def reasons(ran):
    return {row["id"]: row["reason"] for row in ran.rows("dropped")}


def test_every_row_is_kept_or_dropped_with_reason_value_and_threshold(run_stage, corpus, measured):
    ran = select(run_stage, corpus, measured, presets=["gopher"], languages=["eng_Latn"])
    assert [row["id"] for row in ran.rows("documents")] == ["good"]
    assert reasons(ran) == {
        "short": "content_words_too_low",
        "loop": "top_2_gram_fraction_too_high",
        "german": "language_not_wanted",
    } or reasons(ran)["loop"].endswith("_too_high")
    short = next(row for row in ran.rows("dropped") if row["id"] == "short")
    assert (short["value"], short["threshold"]) == (4, 50)
    assert short["text"] == "The end of it."


def test_without_rules_all_rows_pass_as_they_were(run_stage, corpus):
    ran = run_stage(Select, {"documents": corpus})
    assert ran.rows("documents") == corpus.table().to_pylist()
    assert ran.rows("dropped") == []


def test_a_language_may_be_asked_for_without_its_script(run_stage, corpus):
    ran = run_stage(Select, {"documents": corpus}, languages=["deu"])
    assert [row["id"] for row in ran.rows("documents")] == ["german"]


def test_signals_in_other_shards_and_another_order_give_the_same(run_stage, corpus, measured):
    expected = select(run_stage, corpus, measured, presets=["gopher", "c4", "fineweb"])
    table = measured.table()
    turned = table.take(pa.array(range(table.num_rows))[::-1])
    for rows in (1, 3):
        shuffled = type(measured)(measured.kind, [turned]).in_shards_of(rows)
        ran = select(run_stage, corpus, shuffled, presets=["gopher", "c4", "fineweb"])
        assert ran.rows("documents") == expected.rows("documents")
        assert ran.rows("dropped") == expected.rows("dropped")


def test_measuring_in_any_shards_gives_the_same_rows(run_stage, corpus, measured):
    for rows in (1, 2, 4):
        ran = run_stage(Measure, {"documents": corpus.in_shards_of(rows)})
        assert ran.rows() == measured.table().to_pylist()


def test_a_document_that_was_not_measured_is_an_error_that_names_it(run_stage, corpus, documents):
    other = run_stage(Measure, {"documents": documents({"other": "text"})})["signals"]
    with pytest.raises(ValueError, match='nothing was measured of the document "good"'):
        select(run_stage, corpus, other, minimum={"words": 1})


def test_a_rule_on_no_signal_names_those_there_are(run_stage, corpus, measured):
    with pytest.raises(
        ValueError, match=r'no signal is called "wrods".*there are characters, words'
    ):
        select(run_stage, corpus, measured, minimum={"wrods": 1})
    with pytest.raises(ValueError, match="none: connect the input signals"):
        run_stage(Select, {"documents": corpus}, presets=["c4"])


def test_an_empty_list_of_languages_is_refused_with_the_config():
    with pytest.raises(ValidationError, match="keeps no document"):
        Select.Config(languages=[])


def keys(folder, threshold, short_line=30):
    """Key of each stage, where the ones before it gave the same results as ever."""
    (folder / "dag.yaml").write_text(
        f"""
pipeline: p
stages:
  raw: {{uses: corpus.documents, with: {{sources: ["{folder}/*.txt"]}}}}
  signals: {{uses: corpus.measure, needs: {{documents: raw}}, with: {{short_line: {short_line}}}}}
  selected:
    uses: corpus.select
    needs: {{documents: raw, signals: signals}}
    with: {{presets: [gopher], minimum: {{words: {threshold}}}}}
"""
    )
    plan = make_plan(read_dag(folder / "dag.yaml"))
    resolver = Resolver(plan, Store(str(folder / "store")))
    statuses = {
        stage.name: SimpleNamespace(
            planned=stage,
            outputs={name: SimpleNamespace(digest=f"{stage.name}.{name}")
                     for name in stage.stage_class.outputs},
        )
        for stage in plan.stages
    }  # fmt: skip
    return {stage.name: resolver.parts(stage, statuses).key for stage in plan.stages}


def test_moving_a_threshold_changes_the_key_of_select_and_not_of_measure(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    first, moved = keys(tmp_path, 10), keys(tmp_path, 20)
    assert {name for name in first if first[name] != moved[name]} == {"selected"}
    remeasured = keys(tmp_path, 10, short_line=31)
    assert {name for name in first if first[name] != remeasured[name]} == {"signals"}


# --- lines, languages, sentences, report ----------------------------------------------------------


def test_lines_go_and_a_document_without_any_left_is_dropped(run_stage, documents):
    given = documents({"page": "Home\nThe mill grinds well.\nMenu", "menu": "Home\nMenu",
                       "whole": "It is all here."})  # fmt: skip
    ran = run_stage(Lines, {"documents": given})
    assert [(r["id"], r["text"], r["edits"]) for r in ran.rows("documents")] == [
        ("page", "The mill grinds well.", ["c4_lines"]),
        ("whole", "It is all here.", []),
    ]
    assert reasons(ran) == {"menu": "no_line_left"}
    assert ran.rows("dropped")[0]["text"] == "Home\nMenu"
    assert ran.context.counts["lines_no_end"] == 4


SPOKEN = {
    "eng_Latn": "The mill by the river grinds slowly and well, and all the village knows it.",
    "deu_Latn": "Die Mühle am Fluss mahlt langsam und gut, und das ganze Dorf weiß es.",
    "rus_Cyrl": "Мельница у реки мелет медленно и хорошо, и вся деревня это знает.",
    "jpn_Jpan": "川沿いの水車小屋はゆっくりとよく粉を挽き、村中の人がそれを知っています。",
    "zho_Hans": "河边的磨坊慢慢地磨着，整个村子的人都知道这件事，大家都很高兴。",
    "zho_Hant": "河邊的磨坊慢慢地磨著，整個村子的人都知道這件事，大家都很高興。",
    "arb_Arab": "الطاحونة بجانب النهر تطحن ببطء وجيدا، وكل القرية تعرف ذلك.",
    "tha_Thai": "โรงสีริมแม่น้ำบดข้าวอย่างช้าๆ และดี และทั้งหมู่บ้านก็รู้เรื่องนี้",
}


def test_languages_and_scripts_are_written_as_flores_does(run_stage, documents):
    given = documents({name: {"text": text, "language": "und"} for name, text in SPOKEN.items()})
    ran = run_stage(Language, {"documents": given})
    assert {row["id"]: row["language"] for row in ran.rows("documents")} == {n: n for n in SPOKEN}
    assert all(0 < row["language_score"] <= 1 for row in ran.rows("scores"))
    assert [row["id"] for row in ran.rows("scores")] == list(SPOKEN)


def test_a_language_that_the_source_gave_can_stay(run_stage, documents):
    text = SPOKEN["deu_Latn"]
    given = documents(
        {"a": {"text": text, "language": "nds_Latn"}, "b": {"text": text, "language": None}}
    )
    ran = run_stage(Language, {"documents": given}, replace="unknown")
    assert [row["language"] for row in ran.rows("documents")] == ["nds_Latn", "deu_Latn"]
    assert [row["language"] for row in ran.rows("scores")] == ["deu_Latn", "deu_Latn"]


def test_a_text_without_letters_or_with_a_low_score_is_in_no_known_language(run_stage, documents):
    given = documents({"numbers": "12 + 30 = 42", "empty": "", "words": SPOKEN["eng_Latn"]})
    ran = run_stage(Language, {"documents": given}, min_score=1.0)
    assert [row["language"] for row in ran.rows("documents")][:2] == ["und_Zyyy", "und_Zyyy"]
    score = ran.rows("scores")[2]["language_score"]
    assert ran.rows("documents")[2]["language"] == ("eng_Latn" if score == 1 else "und_Latn")


def test_sentences_say_where_they_come_from(run_stage, documents):
    given = documents({"book": "One is here. Two is here!\nThree is here.", "empty": "\n"})
    ran = run_stage(Sentences, {"documents": given}, min_chars=5)
    assert [(r["id"], r["group"], r["text"], r["source"]) for r in ran.rows()] == [
        ("book#s1", "book", "One is here.", "source of book"),
        ("book#s2", "book", "Two is here!", "source of book"),
        ("book#s3", "book", "Three is here.", "source of book"),
    ]


def test_a_report_counts_every_reason_and_draws_what_is_asked_for(run_stage, corpus, measured):
    ran = select(run_stage, corpus, measured, presets=["gopher"], languages=["eng"])
    inputs = {"documents": ran["documents"], "dropped": [ran["dropped"]], "signals": [measured]}
    report = run_stage(Report, inputs, signals=["words"])
    files = {row["id"]: row["content"] for row in report.rows()}
    assert files.keys() == {"report.md", "dropped.png", "languages.png", "words.png"}
    assert "| language_not_wanted | 1 | 25.00% |" in files["report.md"].decode()
    assert report.context.figures.keys() == files.keys() - {"report.md"}
    assert report.context.metrics["dropped"] == 3
    drawn = run_stage(Report, inputs).rows()
    assert "content_words.png" in {row["id"] for row in drawn}
    with pytest.raises(ValueError, match='no signal is called "wrods"'):
        run_stage(Report, inputs, signals=["wrods"])


@pytest.mark.skipif("TOKENMILL_DATA" not in os.environ, reason="TOKENMILL_DATA is unset")
def test_most_of_sixty_languages_are_found_by_a_sentence():
    import pyarrow.parquet as pq

    from operators.corpus.language_identification import identify_languages

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    table = pq.read_table(path).slice(0, 15)
    right = [
        found.language == name
        for name in table.column_names
        for found in identify_languages(table.column(name).to_pylist())
    ]
    assert sum(right) / len(right) >= 0.94
