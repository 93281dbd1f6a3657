"""editing.diagnose: arms told apart by what was done to them, and measured alike."""

import numpy as np
import pytest

from stages.editing import Resample
from stages.editing_diagnostics import Diagnose
from stages.editing_diagnostics_report import Page
from stages.editing_generation import Generate

RUN = {"device": "cpu", "batch_size": 8}
NAMES = ["human", "edited"]


@pytest.fixture(scope="module")
def edited(run_stage, tokens, trained):
    inputs = {"tokens": tokens, "model": trained["model"]}
    return run_stage(Resample, inputs, threshold=0.2, temperature=2.0, seed=5, **RUN)


@pytest.fixture(scope="module")
def diagnosed(run_stage, tokens, edited, trained):
    inputs = {"tokens": [tokens, edited["tokens"]], "model": trained["model"]}
    return run_stage(Diagnose, inputs, names=NAMES, **RUN)


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes seconds, and is looked at once."""
    monkeypatch.setattr(Page, "figures", lambda page: {})


def measures(ran):
    return {(row["id"], row["metric"]): row["value"] for row in ran.rows("measures")}


def test_what_was_edited_is_told_and_is_less_probable(diagnosed, edited, tokens):
    found = measures(diagnosed)
    counts = [len(row["edits"]) for row in edited.rows()]
    assert found["edited", "edits_per_row"] == pytest.approx(np.mean(counts))
    assert found["edited", "edited_share"] == pytest.approx(np.mean(counts) / 16)
    assert found["human", "edited_rows_share"] == 0
    assert found["edited", "rows"] == found["human", "rows"] == tokens.rows
    # A context mismatch would make it more than twice as perplexing as an honest draw does here.
    assert found["human", "perplexity_median"] < found["edited", "perplexity_median"]
    assert found["edited", "bigram_entropy"] > found["human", "bigram_entropy"]


def test_deciles_hold_all_tokens(diagnosed):
    found = measures(diagnosed)
    for arm in NAMES:
        shares = [found[arm, f"probability_decile_{decile}"] for decile in range(10)]
        assert sum(shares) == pytest.approx(1)


def test_the_baseline_has_no_weight_towards_itself_and_other_arms_less(diagnosed):
    found = measures(diagnosed)
    assert found["human", "dsir_log_weight_per_ngram"] == 0
    assert found["edited", "dsir_log_weight_per_ngram"] < 0


def test_every_row_has_its_measures(diagnosed, tokens):
    rows = diagnosed.rows("rows")
    for arm in NAMES:
        for metric in ("perplexity", "dsir_log_weight", "edited_share"):
            told = [row["id"] for row in rows if (row["group"], row["metric"]) == (arm, metric)]
            assert told == tokens.table().column("id").to_pylist()


def test_the_report_has_tables_and_plots(diagnosed):
    files = {row["id"]: row["content"] for row in diagnosed.rows("report")}
    page = files.pop("report.md").decode()
    assert "| measure | human | edited |" in page
    assert "| 0.9 to 1.0 |" in page
    assert page.count("\n| 40 |") == 1
    assert set(files) == {f"{name}.png" for name in diagnosed.context.figures} == {
        "perplexities.png", "probabilities.png", "unigram_buckets.png", "bigram_buckets.png"
    }  # fmt: skip
    assert all(png.startswith(b"\x89PNG") for png in files.values())


@pytest.mark.usefixtures("no_figures")
def test_measures_do_not_depend_on_the_division_into_shards(
    run_stage, tokens, edited, trained, diagnosed
):
    inputs = {"tokens": [tokens.in_shards_of(3), edited["tokens"]], "model": trained["model"]}
    ran = run_stage(Diagnose, inputs, names=NAMES, **RUN)
    assert ran.rows("measures") == diagnosed.rows("measures")


@pytest.mark.usefixtures("no_figures")
def test_arms_may_be_text_and_need_no_model(run_stage, sayings, trained):
    made = run_stage(Generate, {"model": trained["model"], "documents": sayings}, seed=1,
                     prompt_tokens=2, max_tokens=10, **RUN)  # fmt: skip
    arms = [sayings.of_cell(arm="human"), made["documents"].of_cell(arm="model")]
    found = measures(run_stage(Diagnose, {"documents": arms}, **RUN))
    assert found["arm=human", "edited_rows_share"] == 0
    assert found["arm=model", "edited_rows_share"] == 1
    assert ("arm=human", "perplexity_median") not in found
    scored = measures(run_stage(Diagnose, {"documents": arms, "model": trained["model"]}, **RUN))
    assert scored["arm=human", "perplexity_median"] > 1


@pytest.mark.usefixtures("no_figures")
def test_fewer_rows_are_chosen_by_their_ids_alone(run_stage, tokens):
    few = run_stage(Diagnose, {"tokens": [tokens]}, rows=7, **RUN)
    rows = sorted(tokens.table().to_pylist(), key=lambda row: row["id"][::-1])
    shuffled = type(tokens)(tokens.kind, [tokens.table().from_pylist(rows, tokens.table().schema)])
    again = run_stage(Diagnose, {"tokens": [shuffled]}, rows=7, **RUN)
    chosen = [{row["id"] for row in ran.rows("rows")} for ran in (few, again)]
    assert len(chosen[0]) == 7
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": ["a"]}, "1 names were given for 2 arms"),
        ({"names": ["a", "a"]}, "different names"),
        ({"baseline": 2}, "there are 2"),
    ],
)
def test_arms_that_cannot_be_meant_are_named(run_stage, tokens, settings, message):
    with pytest.raises(ValueError, match=message):
        run_stage(Diagnose, {"tokens": [tokens, tokens]}, **settings, **RUN)


def test_arms_are_of_one_kind_and_have_rows(run_stage, tokens, sayings, artifact):
    with pytest.raises(ValueError, match="either as tokens or as documents"):
        run_stage(Diagnose, {"tokens": [tokens], "documents": [sayings]}, **RUN)
    with pytest.raises(ValueError, match="either as tokens or as documents"):
        run_stage(Diagnose, {}, **RUN)
    with pytest.raises(ValueError, match='no rows in "arm 0"'):
        run_stage(Diagnose, {"tokens": [artifact("tokens", [])]}, **RUN)
