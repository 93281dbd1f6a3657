"""speech.judge, and the recording that comes with the project: what was read is kept."""

import json

import pyarrow as pa
import pytest

from stages.audio_files import find_files, read_address
from stages.kinds import SPEECH
from stages.speech import DROPPED_SENTENCE, SENTENCE, Recordings
from stages.speech_judged import Judge
from stages.spoken_samples import spoken_file


@pytest.fixture
def mined(artifact):
    """Sentences of talks: (audio, sentence) that were kept, and that were dropped."""

    def mined(kept, dropped):
        speech = [{"id": f"{audio}#{n}", "audio": audio, "text": "x", "start": 0.0, "end": 1.0,
                   "language": "eng_Latn", "source": "t", "score": 0.9, "cer": 0.1,
                   "recognised": "x", "speaker": None, "group": None, "edits": [], "sentence": n}
                  for audio, n in kept]  # fmt: skip
        rest = [{"id": f"{audio}#{n}", "source": "t", "reason": "low_score", "value": 0.1,
                 "text": "x", "audio": audio, "sentence": n} for audio, n in dropped]  # fmt: skip
        made = {
            "speech": (speech, pa.schema([*SPEECH, *SENTENCE])),
            "dropped": (rest, DROPPED_SENTENCE),
        }
        artifact_type = type(artifact("speech", []))
        return {kind: artifact_type(kind, [pa.Table.from_pylist(rows, schema)])
                for kind, (rows, schema) in made.items()}  # fmt: skip

    return mined


@pytest.fixture
def gold(tmp_path):
    def gold(*lines):
        path = tmp_path / "gold.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return str(path)

    return gold


def test_what_was_read_is_compared_with_what_was_not(run_stage, mined, gold):
    inputs = mined(
        [("far/talk.wav", n) for n in (0, 1, 2)],
        [("far/talk.wav", n) for n in (3, 4, 5, 6, 7)] + [("far/other.wav", 0)],
    )
    said = gold({"recording": "talk", "sentences": 8, "read": [0, 1, 2, 3]},
                {"recording": "unseen", "sentences": 2, "read": [0]})  # fmt: skip
    ran = run_stage(Judge, inputs, gold=said)
    scores = {row["metric"]: row["value"] for row in ran.rows("scores")}
    assert {row["id"] for row in ran.rows("scores")} == {"read"}
    assert (scores["kept_of_read"], scores["kept_of_unread"], scores["difference"]) == (
        0.75,
        0,
        0.75,
    )
    assert 0 < scores["difference_low"] < 0.75 < scores["difference_high"] < 1
    report = {row["id"]: row["content"] for row in ran.rows("report")}
    assert "| read | 4 | 3 |" in report["report.md"].decode()
    assert report["kept.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "lines",
    [[], [{"recording": "talk", "sentences": 2, "read": [0, 1]}]],
    ids=["gold_names_none", "all_was_read"],
)
def test_where_there_is_nothing_to_compare_there_are_no_scores(run_stage, mined, gold, lines):
    ran = run_stage(Judge, mined([("talk.wav", 0)], [("talk.wav", 1)]), gold=gold(*lines))
    assert ran.rows("scores") == []
    assert "Nothing was judged" in ran.rows("report")[0]["content"].decode()


def test_what_is_said_of_a_sample_is_not_said_of_a_recording_with_its_name(run_stage, mined):
    ran = run_stage(
        Judge, mined([("far/stories.wav", 0)], [("far/stories.wav", 1)]), gold="sample://speech"
    )
    assert ran.rows("scores") == []


def test_outputs_without_rows_are_judged_too(run_stage, mined, gold):
    said = gold({"recording": "talk", "sentences": 2, "read": [1]})
    ran = run_stage(Judge, mined([], [("talk.wav", 0), ("talk.wav", 1)]), gold=said)
    scores = {row["metric"]: row["value"] for row in ran.rows("scores")}
    assert scores["difference"] == 0
    assert run_stage(Judge, mined([], []), gold=said).rows("scores") == []


def test_gold_that_counts_otherwise_or_says_nothing_names_its_line(
    run_stage, mined, gold, artifact
):
    inputs = mined([("talk.wav", 0)], [("talk.wav", 1)])
    with pytest.raises(ValueError, match=r'"talk" has 3 sentences, but speech\.align found 2'):
        run_stage(Judge, inputs, gold=gold({"recording": "talk", "sentences": 3, "read": []}))
    with pytest.raises(ValueError, match=r"gold.jsonl:2: does not say what was read"):
        run_stage(Judge, inputs, gold=gold({"recording": "a", "sentences": 1, "read": [0]},
                                           {"recording": "talk", "sentences": 2, "read": [2]}))  # fmt: skip
    plain = artifact(
        "dropped", [{"id": "a", "source": "b", "reason": "c", "value": None, "text": "d"}]
    )
    with pytest.raises(ValueError, match=r"wire the output `dropped` of speech\.align"):
        run_stage(Judge, {**inputs, "dropped": plain}, gold=gold())


def test_the_sample_is_a_recording_with_its_transcript_at_an_address_of_its_own(run_stage):
    ran = run_stage(Recordings, audio=["sample://speech"], text=["sample://speech/stories.txt"])
    (row,) = ran.rows("recordings")
    assert row["id"] == row["audio"] == "sample://speech/stories.ogg"
    assert row["text"].startswith("A honeybee")
    assert row["audio_hash"]
    assert ran.rows("dropped") == []
    assert read_address(row["audio"]) == spoken_file(row["audio"]).read_bytes()


def test_gold_of_the_sample_counts_its_sentences_as_they_are_found():
    from operators.alignment import split_sentences

    text = read_address("sample://speech/stories.txt").decode()
    line = json.loads(read_address("sample://speech/gold.jsonl"))
    sentences = split_sentences(text, "eng_Latn")
    assert len(sentences) == line["sentences"]
    assert sentences[line["read"][9]].startswith("The lighthouse")
    assert len(line["read"]) == 18


def test_a_sample_that_is_not_there_is_named():
    with pytest.raises(ValueError, match='no spoken sample "spech"; there is: speech'):
        find_files(["sample://spech"], (".ogg",), "sound")
    with pytest.raises(FileNotFoundError, match=r'"sample://speech/x\.ogg" is no sample of sound'):
        find_files(["sample://speech/x.ogg"], (".ogg",), "sound")
    with pytest.raises(
        FileNotFoundError, match='no "sample://speech/x"; there is: sample://speech'
    ):
        read_address("sample://speech/x")
