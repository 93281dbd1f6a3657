"""correction.*: from M2 files and bitext to code-switched sentences, and their statistics."""

import pytest

from operators.correction import Edit, apply_edits
from stages.correction import Phrases, Read
from stages.correction_statistics import Statistics
from stages.correction_switching import CodeSwitch

SAMPLE = "sample://learner-english"
M2 = """S I likes bread .
A 1 2|||R:VERB:SVA|||like|||REQUIRED|||-NONE-|||0
A 2 2|||M:DET|||the|||REQUIRED|||-NONE-|||1

S All is well .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0
"""


@pytest.fixture(scope="module")
def learners(run_stage):
    return run_stage(Read, sources=[SAMPLE], shard_rows=20)["sentences"]


@pytest.fixture(scope="module")
def phrases(run_stage):
    return run_stage(Phrases, into="zho_Hans", glossary=SAMPLE)["phrases"]


@pytest.fixture(scope="module")
def mixed(run_stage, learners, phrases):
    return run_stage(CodeSwitch, {"sentences": learners, "phrases": phrases})


def made(row, text, errors):
    """The tokens of `text` with the errors of a row."""
    edits = [Edit(e["start"], e["end"], tuple(e["text"].split())) for e in errors]
    return " ".join(apply_edits(text.split(), edits))


def test_a_sentence_is_read_as_written_and_as_corrected(run_stage, tmp_path):
    (tmp_path / "x.m2").write_text(M2)
    rows = run_stage(Read, sources=[str(tmp_path / "x.m2")]).rows()
    assert [(row["source_text"], row["target_text"]) for row in rows] == [
        ("I likes bread .", "I like bread ."), ("All is well .", "All is well .")]  # fmt: skip
    assert rows[0]["errors"] == [{"start": 1, "end": 2, "type": "R:VERB:SVA", "text": "likes"}]
    rows = run_stage(Read, sources=[str(tmp_path / "*.m2")], annotator=None).rows()
    assert [row["id"].split("#")[1] for row in rows] == ["1@0", "1@1", "2@0"]
    assert rows[1]["target_text"] == "I likes the bread ."


def test_an_inverted_file_holds_the_corrections(run_stage, tmp_path):
    (tmp_path / "x.m2").write_text(M2.replace("likes", "like").replace("|||like|||", "|||likes|||"))
    (row, _) = run_stage(Read, sources=[str(tmp_path / "x.m2")], inverted=True).rows()
    assert (row["source_text"], row["target_text"]) == ("I likes bread .", "I like bread .")


def test_errors_lead_back_to_what_the_learner_wrote(learners):
    for row in learners.table().to_pylist():
        assert made(row, row["target_text"], row["errors"]) == row["source_text"]
    assert learners.rows == 64


def test_a_mistake_in_a_file_is_told_with_its_line(run_stage, tmp_path):
    (tmp_path / "x.m2").write_text("S a b\nA 0 9|||R|||x|||REQUIRED|||-NONE-|||0\n")
    with pytest.raises(ValueError, match=r"x\.m2:2: .*outside"):
        run_stage(Read, sources=[str(tmp_path / "x.m2")])
    (tmp_path / "y.m2").write_bytes(b"S a b\nS \xff\n")
    with pytest.raises(ValueError, match=r"y\.m2:2: is not UTF-8"):
        run_stage(Read, sources=[str(tmp_path / "y.m2")])
    with pytest.raises(FileNotFoundError, match="matches no file"):
        run_stage(Read, sources=[str(tmp_path / "z.m2")])


def bitext(artifact, pairs, languages=("eng_Latn", "deu_Latn")):
    return artifact("bitext", [
        {"id": str(k), "group": None, "source_language": languages[0],
         "target_language": languages[1], "source_text": source, "target_text": target,
         "source_sentences": [], "target_sentences": [], "score": None, "edits": []}
        for k, (source, target) in enumerate(pairs)])  # fmt: skip


PAIRS = [("the house", "das Haus"), ("the old house", "das alte Haus"), ("the man", "der Mann"),
         ("an old man", "ein alter Mann"), ("a house", "ein Haus")] * 3  # fmt: skip


def test_phrases_are_learnt_from_bitext_in_either_direction(run_stage, artifact):
    rows = run_stage(Phrases, {"bitext": bitext(artifact, PAIRS)}, into="deu_Latn").rows()
    found = {(row["source_text"], row["target_text"]): row for row in rows}
    assert found["house", "Haus"]["count"] == 9
    assert ("the old house", "das alte Haus") in found
    turned = bitext(artifact, [(b, a) for a, b in PAIRS], ("deu_Latn", "eng_Latn"))
    assert (
        run_stage(Phrases, {"bitext": turned}, into="deu_Latn").rows()[0].keys() == rows[0].keys()
    )
    shares = {}
    for row in rows:
        shares[row["source_text"]] = shares.get(row["source_text"], 0) + row["score"]
    assert all(share == pytest.approx(1) for share in shares.values())
    with pytest.raises(ValueError, match="no pair of eng_Latn and zho_Hans"):
        run_stage(Phrases, {"bitext": turned}, into="zho_Hans")
    with pytest.raises(ValueError, match="nothing to learn from"):
        run_stage(Phrases, {}, into="deu_Latn")


def test_a_glossary_holds_whatever_the_bitext_says(run_stage, artifact, tmp_path):
    (tmp_path / "g.tsv").write_text("house\tBude\n\nold man\talter Herr\n")
    given = {"into": "deu_Latn", "glossary": str(tmp_path / "g.tsv")}
    rows = run_stage(Phrases, {"bitext": bitext(artifact, PAIRS)}, **given).rows()
    assert [row["target_text"] for row in rows if row["source_text"] == "house"] == ["Bude"]
    assert [row["target_text"] for row in rows if row["source_text"] == "man"] == ["Mann"]
    (tmp_path / "g.tsv").write_text("house\tBude\nold man\n")
    with pytest.raises(ValueError, match=r"g\.tsv:2: is no line of a glossary"):
        run_stage(Phrases, {}, **given)


def test_every_sentence_is_switched_or_dropped_with_its_reason(mixed, learners):
    kept, dropped = mixed.rows("bitext"), mixed.rows("dropped")
    before = {row["id"]: row for row in learners.table().to_pylist()}
    assert sorted(row["id"] for row in kept + dropped) == sorted(before)
    assert {row["reason"] for row in dropped} <= {"no_span", "no_translation"}
    assert len(kept) > 40
    assert mixed.context.metrics["changed_share"] == len(kept) / 64


def test_the_errors_of_a_switched_sentence_are_those_outside_of_the_span(mixed, learners):
    before = {row["id"]: row for row in learners.table().to_pylist()}
    for row in mixed.rows("bitext"):
        assert made(row, row["target_text"], row["errors"]) == row["source_text"]
        words = row["target_text"].split()
        for switch in row["switches"]:
            assert " ".join(words[switch["start"] : switch["end"]]) == switch["translation"]
            # Both sides have the translation, and it is not what it was.
            assert switch["translation"] in row["source_text"]
            assert switch["text"] in before[row["id"]]["target_text"]
        back = list(words)
        for switch in reversed(row["switches"]):
            back[switch["start"] : switch["end"]] = switch["text"].split()
        assert " ".join(back) == before[row["id"]]["target_text"]
        assert "Um" not in {error["type"] for error in row["errors"]}


def test_the_same_rows_in_other_shards_are_switched_alike(run_stage, learners, phrases, mixed):
    other = run_stage(CodeSwitch, {"sentences": learners.in_shards_of(7), "phrases": phrases})
    assert other.rows("bitext") == mixed.rows("bitext")
    seed = run_stage(CodeSwitch, {"sentences": learners, "phrases": phrases}, seed=1,
                     method="rand-phrase")  # fmt: skip
    zero = run_stage(CodeSwitch, {"sentences": learners, "phrases": phrases}, method="rand-phrase")
    assert seed.rows("bitext") != zero.rows("bitext")


def test_with_a_ratio_of_nothing_nothing_is_switched(run_stage, learners, phrases):
    ran = run_stage(CodeSwitch, {"sentences": learners, "phrases": phrases}, ratio=0.0)
    assert ran.rows("bitext") == []
    assert {row["reason"] for row in ran.rows("dropped")} == {"no_span"}
    with pytest.raises(ValueError, match="no code-switched sentence"):
        run_stage(Statistics, {"bitext": ran["bitext"]})


def test_parses_say_what_is_a_phrase_and_a_noun(run_stage, learners, phrases, tmp_path):
    (tmp_path / "trees").write_text(
        "(S (NP (PRP She)) (VP (VBZ shares) (NP (DT the) (NN kitchen)) (PP (IN with) (NP (CD two)"
        " (NNS students)))) (. .))\n"
    )
    given = {"sentences": learners, "phrases": phrases}
    ran = run_stage(CodeSwitch, given, method="noun-token", parses=str(tmp_path / "trees"))
    (row,) = ran.rows("bitext")
    assert row["switches"][0]["text"] in ("kitchen", "students")
    assert {row["reason"] for row in ran.rows("dropped")} == {"no_parse"}
    with pytest.raises(ValueError, match="noun-token needs"):
        run_stage(CodeSwitch, given, method="noun-token")
    (tmp_path / "trees").write_text("(S (NP x)\n")
    with pytest.raises(ValueError, match="trees:1: is no bracketed parse"):
        run_stage(CodeSwitch, given, parses=str(tmp_path / "trees"))


def test_the_mix_is_counted_beside_that_of_learners(run_stage, mixed):
    ran = run_stage(Statistics, {"bitext": mixed["bitext"]}, learners="jpn")
    rows = ran.rows()
    each = {(row["id"], row["metric"]): row["value"] for row in rows}
    for row in mixed.rows("bitext"):
        words = len(row["target_text"].split())
        foreign = sum(s["end"] - s["start"] for s in row["switches"])
        assert each[row["id"], "l2_ratio"] == pytest.approx(foreign / words)
        assert 1 <= each[row["id"], "switch_points"] <= 2
    assert each["all", "target_mean"] == pytest.approx(0.265)
    shares = [row["value"] for row in rows if row["metric"] == "l2_ratio"]
    assert each["all", "l2_ratio_mean"] == pytest.approx(sum(shares) / len(shares))
    assert ran.context.figures["l2_ratio"].startswith(b"\x89PNG")


def test_what_does_not_come_from_the_stage_before_is_told(run_stage, artifact, phrases):
    plain = bitext(artifact, PAIRS)
    with pytest.raises(ValueError, match=r"correction\.read"):
        run_stage(CodeSwitch, {"sentences": plain, "phrases": phrases})
    with pytest.raises(ValueError, match=r"correction\.code_switch"):
        run_stage(Statistics, {"bitext": plain})
