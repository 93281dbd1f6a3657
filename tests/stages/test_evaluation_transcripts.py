"""evaluation.transcripts and evaluation.translations: rows that pool to the score of the corpus."""

import math

import pyarrow as pa
import pytest

from stages.evaluation_transcripts import Transcripts, Translations

CLIPS = {
    "a": ("The cat sat on mat.", "the bat sat mat now"),
    "b": ("Don't!", "dont"),
    "c": ("…", "hello you"),
    "d": ("Nobody spoke.", None),
    "e": ("我今天去", "我今 天"),
}


@pytest.fixture(scope="module")
def speech(artifact):
    def make(clips=CLIPS, more=None):
        rows = [
            {"id": id_, "audio": "a.flac", "start": 0.0, "end": 1.0, "text": text, "recognised": heard, "language": "eng_Latn",
             "source": "here", "score": 1.0, "cer": 0.0, "speaker": None, "group": None, "edits": []}
            for id_, (text, heard) in clips.items()
        ]  # fmt: skip
        made = artifact("speech", rows)
        for name, values in (more or {}).items():
            type_ = pa.list_(pa.struct([("label", pa.string()), ("phrase", pa.string())]))
            made.shards = [
                shard.append_column(name, pa.array(values, type_)) for shard in made.shards
            ]
        return made

    return make


@pytest.fixture(scope="module")
def transcribe(run_stage, speech):
    pytest.importorskip("jiwer", reason="jiwer is not installed")

    def transcribe(given=None, **settings):
        return run_stage(Transcripts, {"speech": given or speech()}, **settings)

    return transcribe


def of(ran, metric):
    return {row["id"]: row for row in ran.rows() if row["metric"] == metric}


def pooled(rows):
    return math.fsum(r["value"] * r["weight"] for r in rows) / math.fsum(r["weight"] for r in rows)


def test_each_clip_has_its_rate_with_its_words_as_weight(transcribe):
    rows = of(transcribe(), "wer")
    assert {id_: (row["value"], row["weight"]) for id_, row in rows.items()} == {
        "a": (0.6, 5), "b": (0, 1), "d": (1, 2), "e": (0.25, 4),
    }  # fmt: skip


def test_rows_pool_to_the_rate_of_the_corpus_and_not_to_the_mean(transcribe):
    ran = transcribe(given=None, characters=None)
    metrics = ran.context.metrics
    # 3 + 0 + 2 + 1 edits, and 2 words where nobody spoke, over 12 words.
    assert metrics["wer"] == pytest.approx(8 / 12)
    assert pooled(of(ran, "wer").values()) == pytest.approx(6 / 12)
    assert metrics["mean_of_wers"] == pytest.approx((0.6 + 0 + 1 + 0.25) / 4)
    assert metrics["reference_words"] == 12


def test_kinds_of_edits_add_up_to_the_rate(transcribe):
    ran = transcribe()
    for id_, row in of(ran, "wer").items():
        kinds = [of(ran, kind)[id_] for kind in ("substitutions", "deletions", "insertions")]
        assert sum(kind["value"] for kind in kinds) == pytest.approx(row["value"])
        assert {kind["weight"] for kind in kinds} == {row["weight"]}
    metrics = ran.context.metrics
    assert metrics["substitutions"] + metrics["deletions"] + metrics["insertions"] == pytest.approx(
        metrics["wer"]
    )


def test_a_clip_without_a_word_is_counted_and_neither_dropped_nor_divided_by(transcribe):
    ran = transcribe()
    assert ran.context.metrics["empty_references"] == 1
    assert ran.context.metrics["inserted_in_empty"] == 2
    assert {id_: row["value"] for id_, row in of(ran, "inserted_in_empty").items()} == {"c": 2}
    assert all(math.isfinite(row["value"]) for row in ran.rows())


def test_both_sides_are_written_alike_or_not_at_all(transcribe, speech):
    given = speech({"a": ("The CAT, sat", "the cat sat"), "b": ("21 cats", "21 cats")})
    assert transcribe(given).context.metrics["wer"] == 0
    assert transcribe(given, normalise=False).context.metrics["wer"] == pytest.approx(2 / 5)


def test_numbers_are_spelled_on_both_sides(transcribe, speech):
    pytest.importorskip("num2words", reason="the extra `speech` is not installed")
    given = speech({"a": ("21 cats", "twenty one cats")})
    assert transcribe(given).context.metrics["wer"] > 0
    assert transcribe(given, numbers="en").context.metrics["wer"] == 0


def test_scripts_without_spaces_are_compared_by_letter(transcribe, speech):
    given = speech({"a": ("我今天去", "我今 天")})
    assert transcribe(given).context.metrics["wer"] == 0.25
    assert transcribe(given, normalise=False).context.metrics["wer"] == 0.25
    assert transcribe(given, characters=False).context.metrics["wer"] == 2.0


def test_characters_have_a_rate_of_their_own(transcribe, speech):
    ran = transcribe(speech({"a": ("abcd", "abxd"), "b": ("ab", "ab")}))
    assert ran.context.metrics["cer"] == pytest.approx(1 / 6)
    assert {id_: (row["value"], row["weight"]) for id_, row in of(ran, "cer").items()} == {
        "a": (0.25, 4),
        "b": (0, 2),
    }


ENTITIES = {
    "gold": [[("PLACE", "Paris"), ("DATE", "Monday")], [], None],
    "found": [[("GPE", "pari"), ("DATE", "monday")], [("GPE", "Rome")], []],
}


def test_named_entities_have_the_oracle_s_scores_and_rows_that_pool(transcribe, speech):
    clips = {
        "a": ("to Paris on Monday", "to pari on monday"),
        "b": ("x", "x Rome"),
        "c": ("y", "y"),
    }
    listed = {
        name: [None if each is None else [{"label": label, "phrase": p} for label, p in each] for each in side]
        for name, side in ENTITIES.items()
    }  # fmt: skip
    settings = {
        "entities": "gold",
        "recognised_entities": "found",
        "combined_labels": {"GPE": "PLACE"},
    }
    ran = transcribe(speech(clips, listed), **settings)
    assert of(ran, "entity_f1")["a"]["value"] == 0.5
    assert of(ran, "label_f1")["a"]["value"] == 1.0
    metrics = ran.context.metrics
    assert metrics["entity_f1"] == pytest.approx(2 / 5)
    assert metrics["label_f1"] == pytest.approx(4 / 5)
    assert metrics["entity_f1_macro"] == pytest.approx(0.5)
    assert (metrics["entity_f1.DATE"], metrics["entity_f1.PLACE"]) == (1, 0)
    for metric in ("entity_f1", "label_f1"):
        assert pooled(of(ran, metric).values()) == pytest.approx(metrics[metric])
        assert of(ran, metric).keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("clips", "settings", "message"),
    [
        ({}, {}, "no clip"),
        ({"a": ("…", "x")}, {}, "none of the references has a word"),
        (CLIPS, {"hypothesis": "whisper"}, 'no column "whisper"'),
        (CLIPS, {"entities": "text"}, "set both"),
    ],
)
def test_what_cannot_be_compared_is_a_clear_error(transcribe, speech, clips, settings, message):
    with pytest.raises(ValueError, match=message):
        transcribe(speech(clips), **settings)


SENTENCES = {
    "a": (
        "fra_Latn",
        "eng_Latn",
        "The old mill stands by the river.",
        "The old mill stands at the river.",
    ),
    "b": (
        "fra_Latn",
        "eng_Latn",
        "In spring the children come to fish.",
        "The children come to fish in spring.",
    ),
    "c": ("fra_Latn", "zho_Hans", "我今天去学校上课。", "我今天去学校。"),
    "d": ("fra_Latn", "eng_Latn", "It rains.", ""),
}


def bitext_of(artifact, rows, place):
    return artifact(
        "bitext",
        [
            {"id": id_, "group": None, "source_language": row[0], "target_language": row[1], "source_text": row[2][:3], "target_text": row[place],
             "source_sentences": [], "target_sentences": [], "score": 1.0, "edits": []}
            for id_, row in rows.items()
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def translate(run_stage, artifact):
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")

    def translate(references=SENTENCES, hypotheses=SENTENCES, **settings):
        inputs = {"references": bitext_of(artifact, references, 2)}
        if hypotheses is not None:
            inputs["hypotheses"] = bitext_of(artifact, hypotheses, 3)
        return run_stage(Translations, inputs, **settings)

    return translate


def test_each_pair_of_languages_has_the_scores_of_sacrebleu_with_signature(translate):
    import sacrebleu

    ran = translate()
    english = [row for row in SENTENCES.values() if row[1] == "eng_Latn"]
    expected = sacrebleu.corpus_bleu(
        [row[3] for row in english], [[row[2] for row in english]]
    ).score
    row = of(ran, "corpus_bleu")["fra_Latn-eng_Latn"]
    assert (row["value"], row["weight"]) == (expected, 3)
    assert "tok:13a" in row["group"]
    assert "tok:zh" in of(ran, "corpus_bleu")["fra_Latn-zho_Hans"]["group"]
    assert ran.context.metrics["bleu.fra_Latn-eng_Latn"] == expected
    assert of(ran, "corpus_chrf").keys() == of(ran, "corpus_bleu").keys()
    assert ran.context.metrics["empty_hypotheses"] == 1


def test_statistics_in_the_rows_give_the_bleu_of_any_sentences(translate):
    from operators.evaluation.translation_scores import STATISTICS, bleu_of

    ran = translate()
    members = [id_ for id_, row in SENTENCES.items() if row[1] == "eng_Latn"]
    table = [[of(ran, f"bleu_{name}")[id_]["value"] for name in STATISTICS] for id_ in members]
    assert bleu_of(table) == pytest.approx(of(ran, "corpus_bleu")["fra_Latn-eng_Latn"]["value"])


def test_translations_are_joined_by_id_and_not_by_order(translate):
    backwards = dict(reversed(SENTENCES.items()))
    assert translate(hypotheses=backwards).rows() == translate().rows()


def test_translations_of_other_ids_are_joined_by_what_was_translated(translate):
    renamed = {f"{id_} of the system": row for id_, row in SENTENCES.items()}
    with pytest.raises(ValueError, match="must have the same id: 8 are on one side only"):
        translate(hypotheses=renamed)
    assert translate(hypotheses=renamed, join="source_text").rows() == translate().rows()
    twice = {"a": SENTENCES["a"], "b": (*SENTENCES["a"][:3], "Other.")}
    by_order = translate(twice, {"x": twice["a"], "y": twice["b"]}, join="source_text")
    assert of(by_order, "chrf")["b"]["value"] < of(by_order, "chrf")["a"]["value"]


def test_translations_may_be_a_column_of_the_references(run_stage, translate, artifact):
    given = bitext_of(artifact, SENTENCES, 2)
    column = pa.array([row[3] for row in SENTENCES.values()])
    given.shards = [shard.append_column("hypothesis", column) for shard in given.shards]
    assert run_stage(Translations, {"references": given}).rows() == translate().rows()


def test_a_script_without_spaces_is_divided_by_characters(translate):
    thai = {"a": ("eng_Latn", "tha_Thai", "ฉันไปโรงเรียน", "ฉันไปโรงเรียน")}
    assert "tok:char" in of(translate(thai, thai), "corpus_bleu")["eng_Latn-tha_Thai"]["group"]
    assert (
        "tok:intl"
        in of(translate(thai, thai, tokenize="intl"), "corpus_bleu")["eng_Latn-tha_Thai"]["group"]
    )


def test_other_rows_no_rows_and_no_translations_are_clear_errors(translate):
    fewer = {id_: SENTENCES[id_] for id_ in ("a", "b")}
    with pytest.raises(ValueError, match='2 are on one side only, such as "c"'):
        translate(hypotheses=fewer)
    with pytest.raises(ValueError, match="there is no translation"):
        translate({}, {})
    with pytest.raises(ValueError, match='references have no column "hypothesis"'):
        translate(hypotheses=None)
