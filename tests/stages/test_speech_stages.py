"""speech.*: from files to sentences with their sound; what is bad is set aside, the rest goes on."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

soundfile = pytest.importorskip("soundfile", reason="the extra `speech` is not installed")

from pipelines.planner import make_plan  # noqa: E402
from pipelines.spec import read_dag  # noqa: E402
from stages.speech import Align, Recognise, Recordings  # noqa: E402
from stages.speech_report import Report  # noqa: E402

CATALOG = Path(__file__).parents[2] / "pipelines" / "catalog" / "mine-speech.yaml"
SENTENCES = [
    "The old mill stands by the river.",
    "Nobody has ground corn there for years.",
    "In spring the children come to fish.",
    "This sentence was never read by anyone at all.",
]
READ = " ".join(SENTENCES[:3]).replace(".", "").lower().split()


class Metronome:
    """A recogniser that hears one word a beep, the words of a fixed text in turn."""

    def __init__(self, text="one two three", pace=0.5):
        self.words, self.pace = text.split(), pace

    def transcribe(self, samples, rate):
        from operators.speech import TimedWord

        count = round(len(samples) / rate / self.pace)
        return [
            TimedWord(self.words[i % len(self.words)], i * self.pace, i * self.pace + 0.4)
            for i in range(count)
        ]


RECOGNISER = {"recogniser": f"{__name__}:Metronome", "options": {"text": " ".join(READ)}}


def sound(seconds, rate=16000, channels=1):
    chance = np.random.default_rng(3)
    return (chance.standard_normal((round(seconds * rate), channels)) * 0.05).astype(np.float32)


def words_file(words, step=0.5):
    return json.dumps([{"text": w, "start": i * step, "end": i * step + 0.4}
                       for i, w in enumerate(words)])  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three good recordings, each of another rate and form, with their transcripts."""
    forms = {"a.wav": (16000, 1), "b.flac": (8000, 2), "c.wav": (44100, 1)}
    for name, (rate, channels) in forms.items():
        soundfile.write(tmp_path / name, sound(len(READ) * 0.5, rate, channels), rate)
        (tmp_path / name).with_suffix(".txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    return tmp_path


@pytest.fixture
def mine(run_stage, folder):
    """Runs the three stages one after the other -> what each left."""

    def mine(settings=None, **align):
        found = run_stage(Recordings, audio=[str(folder)], text=[str(folder)], language="eng_Latn")
        heard = run_stage(
            Recognise, {"recordings": found["recordings"]}, **(settings or RECOGNISER)
        )
        spoken = run_stage(Align, {"recordings": heard["recordings"]}, sentences="lines", **align)
        return found, heard, spoken

    return mine


def test_what_was_read_is_kept_with_its_times_and_the_rest_dropped_with_reasons(mine, folder):
    found, heard, spoken = mine(padding=0.0)
    assert found["recordings"].rows == heard["recordings"].rows == 3
    rows = spoken.rows("speech")
    assert [row["text"] for row in rows] == SENTENCES[:3] * 3
    assert {row["score"] for row in rows} == {1.0}
    first = rows[0]
    assert (first["start"], first["end"]) == (0.0, pytest.approx(6 * 0.5 + 0.4))
    assert first["id"] == f"{folder}/a.wav#0"
    assert first["source"] == f"{folder}/a.txt"
    dropped = spoken.rows("dropped")
    assert [row["text"] for row in dropped] == [SENTENCES[3]] * 3
    assert {row["reason"] for row in dropped} <= {"not_spoken", "low_score"}
    counts = spoken.context.counts
    assert counts["sentences"] == counts["kept"] + len(dropped) == 12


def test_sentences_in_are_sentences_kept_and_dropped(mine):
    for settings in ({"min_score": 1.0}, {"max_seconds": 2.0}, {"min_density": 24.0}):
        _, _, spoken = mine(**settings)
        ids = [row["id"] for name in ("speech", "dropped") for row in spoken.rows(name)]
        assert len(ids) == len(set(ids)) == 12
        assert all(row["reason"] for row in spoken.rows("dropped"))


def test_cut_sound_is_what_lies_between_the_times_and_opens_as_audio(mine, tmp_path):
    from datasets import Audio, Dataset

    _, _, spoken = mine(cut="flac")
    table = spoken["speech"].table()
    for row in table.to_pylist():
        samples, rate = soundfile.read(io.BytesIO(row["clip"]["bytes"]))
        assert rate == 16000
        assert len(samples) / rate == pytest.approx(row["end"] - row["start"], abs=0.001)
    data = Dataset(pa.Table.from_batches(table.to_batches()))
    cast = data.cast_column("clip", Audio(decode=False))
    assert cast[0]["clip"]["bytes"].startswith(b"fLaC")


def test_bad_recordings_are_set_aside_with_reasons_and_the_rest_goes_on(mine, folder, run_stage):
    (folder / "empty.wav").write_bytes(b"")
    (folder / "binary.mp3").write_bytes(bytes(range(256)) * 50)
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "alone.wav", sound(1), 16000)
    soundfile.write(folder / "latin.wav", sound(1), 16000)
    soundfile.write(folder / "blank.wav", sound(1), 16000)
    soundfile.write(folder / "pdf.wav", sound(1), 16000)
    soundfile.write(folder / "torn.wav", sound(1), 16000)
    for name in ("empty", "binary", "silent", "unheard"):
        (folder / f"{name}.txt").write_text("Some text.", encoding="utf-8")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "blank.txt").write_text(" \n", encoding="utf-8")
    (folder / "pdf.pdf").write_bytes(empty_pdf())
    (folder / "torn.pdf").write_bytes(b"%PDF-1.4 and no more")
    found, heard, spoken = mine()
    reasons = {Path(row["id"]).name: row["reason"] for row in found.rows("dropped")}
    assert reasons["alone.wav"] == "no_transcript"
    assert reasons["unheard.txt"] == "no_recording"
    assert reasons["latin.wav"].startswith("unreadable_transcript: ")
    assert "line 1 is not UTF-8 text" in reasons["latin.wav"]
    assert reasons["blank.wav"].startswith("empty_transcript")
    assert reasons["pdf.wav"].startswith("empty_transcript")
    assert reasons["torn.wav"].startswith("unreadable_transcript: ")
    assert len(reasons) == 6
    unheard = {Path(row["id"]).name: row["reason"] for row in heard.rows("dropped")}
    assert unheard["silent.wav"] == "no_speech"
    assert unheard["empty.wav"] == "unreadable_audio: the file is empty"
    assert unheard["binary.mp3"].startswith("unreadable_audio: is no sound")
    assert len(unheard) == 3
    assert len(spoken.rows("speech")) == 9


def empty_pdf():
    from pypdfium2 import PdfDocument

    document, stream = PdfDocument.new(), io.BytesIO()
    document.new_page(100, 100)
    document.save(stream)
    return stream.getvalue()


def pdf_of(lines):
    """A page with some lines, as small as the format allows."""
    shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
    stream = f"BT /F1 12 Tf 50 700 Td {shown}ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + (
        b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
        % (table, len(out))
    )


def test_a_transcript_may_be_a_pdf_whose_lines_divide_words(run_stage, folder):
    for path in folder.glob("*.txt"):
        path.unlink()
    (folder / "a.pdf").write_bytes(pdf_of(["The old mill stands by the ri-", "ver. Nobody has"]))
    found = run_stage(Recordings, audio=[f"{folder}/*.wav"], text=[f"{folder}/*.pdf"])
    assert [row["text"] for row in found.rows("recordings")] == [
        "The old mill stands by the river. Nobody has"
    ]


def test_words_of_a_recogniser_of_ones_own_are_read_from_files(run_stage, folder):
    (folder / "a.json").write_text(words_file(READ), encoding="utf-8")
    (folder / "b.json").write_text("{", encoding="utf-8")
    found = run_stage(Recordings, audio=[str(folder)], text=[str(folder)], words=[str(folder)])
    reasons = {Path(row["id"]).name: row["reason"] for row in found.rows("dropped")}
    assert reasons["b.flac"].startswith("unreadable_words: ")
    assert reasons["c.wav"] == "no_words"
    spoken = run_stage(Align, {"recordings": found["recordings"]}, sentences="lines")
    assert [row["text"] for row in spoken.rows("speech")] == SENTENCES[:3]


def test_recordings_that_nobody_recognised_are_an_error_that_says_what_to_wire(run_stage, folder):
    found = run_stage(Recordings, audio=[str(folder)], text=[str(folder)])
    with pytest.raises(ValueError, match="are not recognised yet: wire the output"):
        run_stage(Align, {"recordings": found["recordings"]})


def test_one_shard_and_many_give_the_same_rows(run_stage, folder):
    found = run_stage(Recordings, audio=[str(folder)], text=[str(folder)])["recordings"]
    assert len(found.shards) == 3
    tables = []
    for rows in (1, 3):
        heard = run_stage(Recognise, {"recordings": found.in_shards_of(rows)}, **RECOGNISER)
        spoken = run_stage(Align, {"recordings": heard["recordings"]}, sentences="lines")
        tables.append(spoken["speech"].table())
    assert tables[0].equals(tables[1])


def test_the_key_holds_sound_text_and_the_files_that_options_name(folder):
    stage = Recordings(Recordings.Config(audio=[str(folder)], text=[str(folder)]))
    before = dict(stage.sources())
    assert len(before) == 6
    soundfile.write(folder / "a.wav", sound(2), 16000)
    after = dict(stage.sources())
    assert {name for name in after if after[name] != before[name]} == {f"{folder}/a.wav"}
    grammar = folder / "digits.gram"
    grammar.write_text("one", encoding="utf-8")
    recognise = Recognise(Recognise.Config(options={"jsgf": str(grammar), "beam": 1e-40}))
    assert list(recognise.sources()) == [str(grammar)]


def test_other_sound_at_the_same_address_makes_another_row(run_stage, folder):
    rows = run_stage(Recordings, audio=[f"{folder}/a.wav"], text=[str(folder)]).rows("recordings")
    soundfile.write(folder / "a.wav", sound(2), 16000)
    again = run_stage(Recordings, audio=[f"{folder}/a.wav"], text=[str(folder)])
    assert rows[0]["audio_hash"] != again.rows("recordings")[0]["audio_hash"]
    soundfile.write(folder / "a.wav", sound(3), 16000)
    with pytest.raises(ValueError, match=r"a\.wav has changed since it was listed"):
        run_stage(Recognise, {"recordings": again["recordings"]}, **RECOGNISER)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audio": ["nowhere/*.wav"]}, '"nowhere/\\*.wav" matches no file of sound'),
        ({"audio": [" "]}, "a URL is empty"),
        ({"audio": ["{folder}/*"]}, "is no file of sound; endings are .wav"),
        ({"audio": ["{folder}/a.wav", "{folder}/sub/a.wav"]}, 'are both the sound of "a"'),
    ],
)
def test_what_cannot_be_listed_is_a_clear_error(run_stage, folder, settings, message):
    (folder / "sub").mkdir()
    soundfile.write(folder / "sub" / "a.wav", sound(1), 16000)
    audio = [url.format(folder=folder) for url in settings["audio"]]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_stage(Recordings, audio=audio, text=[f"{folder}/*.txt"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whisper", 'there is no recogniser "whisper"; there is pocketsphinx'),
        ("no_such_module:X", 'the recogniser "no_such_module:X" cannot be loaded'),
        ("io:BytesIO", "has no method transcribe"),
    ],
)
def test_a_recogniser_that_there_is_not_is_a_clear_error(name, message):
    with pytest.raises(ValueError, match=message):
        Recognise(Recognise.Config(recogniser=name)).prepare({})


def test_the_report_counts_reasons_and_draws_both_figures(run_stage, mine):
    _, heard, spoken = mine()
    inputs = {"speech": spoken["speech"], "dropped": spoken["dropped"]}
    ran = run_stage(Report, {**inputs, "recordings": heard["recordings"]})
    content = {row["id"]: row["content"] for row in ran.rows("report")}
    assert set(content) == {"report.md", "scores.png", "timeline.png"}
    assert "9 of 12 sentences were kept" in content["report.md"].decode()
    assert set(ran.context.figures) == {"scores.png", "timeline.png"}
    assert all(png.startswith(b"\x89PNG") for png in ran.context.figures.values())
    again = run_stage(Report, {**inputs, "recordings": heard["recordings"]})
    assert again.rows("report") == ran.rows("report")
    with pytest.raises(ValueError, match='there is no recording "x"; there is: '):
        run_stage(Report, inputs, recording="x")


def test_a_report_on_nothing_says_no_data(run_stage, artifact):
    ran = run_stage(Report, {kind: artifact(kind, []) for kind in ("speech", "dropped")})
    assert "0 of 0 sentences" in ran.rows("report")[0]["content"].decode()


def test_the_catalog_takes_the_sample_where_no_recordings_are_named(monkeypatch):
    for name in ("SPEECH_AUDIO", "SPEECH_TEXT", "SPEECH_GOLD"):
        monkeypatch.delenv(name, raising=False)
    (recordings, *_) = make_plan(read_dag(CATALOG)).stages
    assert recordings.config.audio == recordings.config.text == ["sample://speech"]


def test_the_catalog_plans(monkeypatch, folder):
    monkeypatch.setenv("SPEECH_AUDIO", f"{folder}/*.wav")
    monkeypatch.setenv("SPEECH_TEXT", f"{folder}/*.txt")
    plan = make_plan(read_dag(CATALOG))
    assert [stage.word for stage in plan.stages] == [
        "speech.recordings", "speech.recognise", "speech.align", "speech.report",
        "speech.judge",
    ]  # fmt: skip


# --- with the embedded recogniser and real speech -------------------------------------------------


@pytest.fixture(scope="module")
def librivox():
    pytest.importorskip("pocketsphinx", reason="the extra `speech` is not installed")
    root = os.environ.get("TOKENMILL_DATA")
    if not root:
        pytest.skip("TOKENMILL_DATA is unset")
    return Path(root, "speech", "librivox")


def test_real_speech_is_found_where_it_is_and_heard_the_same_whatever_came_before(
    run_stage, librivox
):
    from operators.speech import find_recogniser, open_audio, recognise

    name = "sense_and_sensibility_01_austen_64kb-0880"
    found = run_stage(
        Recordings, audio=[f"{librivox}/{name}.wav"], text=[f"{librivox}/{name}.txt"]
    )["recordings"]
    heard = run_stage(Recognise, {"recordings": found})
    (recording,) = heard.rows("recordings")
    recogniser = find_recogniser("pocketsphinx")
    recogniser.transcribe(sound(1)[:, 0], 16000)
    again = recognise(open_audio(Path(recording["audio"]).read_bytes()), recogniser)
    assert [vars(word) for word in again] == recording["words"]
    settings = {"min_score": 0.6, "boundary_words": 1, "padding": 0.0}
    (row,) = run_stage(Align, {"recordings": heard["recordings"]}, **settings).rows("speech")
    gold = json.loads((librivox / f"{name}.json").read_text("utf-8"))
    words = [word for word in gold["w"] if word["t"] != "<sil>"]
    assert row["start"] == pytest.approx(words[0]["b"], abs=0.05)
    assert row["end"] == pytest.approx(words[-1]["b"] + words[-1]["d"], abs=0.05)
