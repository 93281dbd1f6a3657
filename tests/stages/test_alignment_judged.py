"""alignment.judge: right is what gold has; scores and filters are asked whether they know it."""

import json

import pytest

from stages.alignment import Sentences
from stages.alignment_judged import Judge
from stages.corpus import Documents

GERMAN, GREEK = "deu_Latn", "ell_Grek"


@pytest.fixture(scope="module")
def parallel(run_stage):
    return run_stage(Documents, sources=["sample://parallel"])["documents"]


@pytest.fixture
def judge(run_stage, artifact, documents, tmp_path):
    """Judge rows (id, score, source sentences, target sentences) of one pair of languages."""

    def judge(rows, kept=None, beads=None, **settings):
        gold = tmp_path / "gold.jsonl"
        line = {"group": "g", "source_language": "eng_Latn", "target_language": GERMAN,
                "beads": [[[n], [n]] for n in range(10)] if beads is None else beads}  # fmt: skip
        gold.write_text(json.dumps(line) + "\n", encoding="utf-8")
        texts = {f"{group}.{language}": {"language": language, "text": "x", "group": group}
                 for group in "gh" for language in ("eng_Latn", GERMAN)}  # fmt: skip
        table = [
            {"id": id_, "group": None, "source_language": "eng_Latn", "target_language": GERMAN,
             "source_text": "x", "target_text": "y", "source_sentences": source,
             "target_sentences": target, "score": score, "edits": []}
            for id_, score, source, target in rows
        ]  # fmt: skip
        inputs = {"bitext": artifact("bitext", table), "documents": documents(texts)}
        if kept is not None:
            inputs["kept"] = artifact("bitext", [row for row in table if row["id"] in kept])
        ran = run_stage(Judge, inputs, gold=str(gold), **settings)
        return {(row["id"], row["metric"]): row["value"] for row in ran.rows("scores")}

    return judge


def bead(number, score=0.0, target=None, document="g"):
    target = number if target is None else target
    return f"g.eng_Latn:{number}|{document}.{GERMAN}:{target}", score, [number], [target]


def test_what_it_says_of_the_alignment_is_what_the_alignment_says_of_itself(run_stage, parallel):
    settings = {"sentences": "lines", "gold": "sample://parallel"}
    aligned = run_stage(Sentences, {"documents": parallel}, **settings)
    inputs = {"bitext": aligned["bitext"], "documents": parallel}
    ran = run_stage(Judge, inputs, gold="sample://parallel")
    scores = {(row["id"], row["metric"]): row for row in ran.rows("scores")}
    # Recall by gold and precision by beads of both sides count the same beads as found.
    own = {(row["id"], row["metric"]): row for row in aligned.rows("scores")}
    for language in (GERMAN, GREEK, "all"):
        by_judge, by_gold = scores[language, "precision"], own[language, "strict_recall"]
        # Of gold's beads some have one side only, and are not recalled: a whole number is left.
        two_sided = by_judge["value"] * by_judge["weight"] / by_gold["value"]
        assert two_sided == pytest.approx(round(two_sided), abs=1e-6)
        assert 0.95 * by_gold["weight"] < two_sided <= by_gold["weight"]
    best = scores["best", "precision"]["value"]
    assert (
        best
        > scores["all", "precision"]["value"]
        > scores["best", "precision_of_the_rest"]["value"]
    )
    report = {row["id"]: row["content"] for row in ran.rows("report")}
    assert set(report) == {"report.md", "differences.png"}
    assert "best 80 % by score" in report["report.md"].decode()
    assert report["differences.png"].startswith(b"\x89PNG")


def test_a_bead_is_right_if_gold_has_it_and_its_documents_are_versions(judge):
    scores = judge([bead(0), bead(1), bead(2, target=3), bead(4, document="h")])
    assert scores["all", "precision"] == scores[GERMAN, "precision"] == 0.5


def test_the_best_are_those_with_the_lowest_or_the_highest_scores(judge):
    rows = [bead(n, score=n, target=n if n < 8 else n - 1) for n in range(10)]
    costs = judge(rows)
    assert (costs["best", "precision"], costs["best", "precision_of_the_rest"]) == (1, 0)
    assert costs["best", "difference_low"] > 0
    margins = judge(rows, better="higher", best_share=0.2)
    assert (margins["best", "precision"], margins["best", "precision_of_the_rest"]) == (0, 1)
    assert margins["best", "difference_high"] < 0


def test_what_was_kept_is_compared_with_what_was_dropped(judge):
    rows = [bead(0), bead(1), bead(2, target=5), bead(3, target=6)]
    scores = judge(rows, kept={rows[0][0], rows[1][0], rows[2][0]})
    assert scores["kept", "precision"] == pytest.approx(2 / 3)
    assert scores["kept", "precision_of_the_rest"] == 0
    assert scores["kept", "difference"] == pytest.approx(2 / 3)
    assert scores["kept", "difference_low"] < 0 < scores["kept", "difference_high"]


def test_a_filter_that_drops_nothing_has_no_difference(judge):
    rows = [bead(n) for n in range(5)]
    scores = judge(rows, kept={row[0] for row in rows})
    assert scores["kept", "precision"] == 1
    assert ("kept", "difference") not in scores
    assert ("best", "difference") in scores


def test_rows_of_other_documents_are_an_error_and_so_is_gold_of_others(judge):
    with pytest.raises(ValueError, match=r'a row "x.eng_Latn:0\|g.deu_Latn:0", whose documents'):
        judge([("x.eng_Latn:0|g.deu_Latn:0", 0.0, [0], [0])])
    with pytest.raises(ValueError, match="has no beads for any of these documents"):
        judge([])
