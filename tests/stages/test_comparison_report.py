"""report.compare: it says what the intervals allow to say, and nothing about what is undecided."""

import base64
import re

import numpy as np
import pytest

from stages.report import Compare
from stages.report_metrics import KNOWN
from stages.report_scores import arm_label

DOCUMENTS = [f"doc-{n:02}" for n in range(40)]
SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="session")
def scores(artifact):
    """`scores({arm: shift}, seeds, ...)` -> artifacts of bits per byte, `shift` added to all."""

    def make(arms, seeds=SEEDS, *, documents=DOCUMENTS, noise=0.01, bins=False, made_of=None):
        chance = np.random.default_rng(0)
        base = chance.normal(2.0, 0.3, len(documents))
        made = []
        for arm, shift in arms.items():
            for seed in seeds:
                # Noise by arm, seed and document, and the same for arms of one shift.
                own = np.random.default_rng([seed, round(1e6 * (shift + 1))])
                values = base + shift + noise * own.normal(size=len(documents))
                rows = [
                    {"id": id_, "metric": "bits_per_byte", "value": float(value),
                     "weight": 500.0 + 10 * n, "group": "eng_Latn"}
                    for n, (id_, value) in enumerate(zip(documents, values, strict=True))
                ]  # fmt: skip
                for number in range(12 if bins else 0):
                    rows.append(
                        {"id": f"bin {number}", "metric": "loss_by_frequency",
                         "value": 9.0 - number / 2, "weight": 10.0, "group": f"seen {number}"}
                    )  # fmt: skip
                given = artifact("metrics", rows, cell={"arm": arm, "seed": seed})
                given.provenance = (made_of or {}).get(arm, {})
                made.append(given)
        return made

    return make


@pytest.fixture
def compare(run_stage):
    def compare(given, history=None, **settings):
        inputs = {"scores": given} if history is None else {"scores": given, "history": history}
        settings = {"baseline": {"arm": "baseline"}, "resamples": 400, **settings}
        return run_stage(Compare, inputs, **settings)

    return compare


def history_of(artifact, given, steps=30):
    return [
        artifact(
            "metrics",
            [
                {"id": str(step), "metric": metric, "value": 6 / (1 + step / 10), "weight": 1.0,
                 "group": "step"}
                for step in range(1, steps + 1)
                for metric in ("loss", "weighted_loss")
            ],
            cell=scored.cell,
        )
        for scored in given
    ]  # fmt: skip


def numbers(ran, arm):
    return {row["metric"]: row["value"] for row in ran.rows("comparison") if row["id"] == arm}


def verdicts(ran):
    return {row["id"]: row["group"] for row in ran.rows("comparison")}


def pages(ran):
    return {row["id"]: row["content"] for row in ran.rows("report")}


def sentences_about(ran, arm):
    lines = pages(ran)["report.md"].decode().splitlines()
    return [line for line in lines if line.startswith(f"- {arm}")]


# --- verdicts -------------------------------------------------------------------------------------


def test_identical_arms_differ_by_exactly_zero_and_are_undecided(compare, scores):
    ran = compare(scores({"baseline": 0.0, "twin": 0.0}))
    found = numbers(ran, "twin")
    assert [found[f"difference{end}"] for end in ("", "_low", "_high")] == [0.0, 0.0, 0.0]
    assert verdicts(ran) == {"baseline": "baseline", "twin": "undecided"}
    assert found["bits_per_byte"] == numbers(ran, "baseline")["bits_per_byte"]
    assert "no difference to baseline can be claimed" in sentences_about(ran, "twin")[0]


@pytest.mark.parametrize(("shift", "verdict"), [(-0.05, "better"), (0.05, "worse")])
def test_a_planted_difference_is_found_on_its_side(compare, scores, shift, verdict):
    ran = compare(scores({"baseline": 0.0, "edited": shift}))
    assert verdicts(ran)["edited"] == verdict
    found = numbers(ran, "edited")
    assert found["difference"] == pytest.approx(shift, abs=0.01)
    assert found["difference_low"] <= found["difference"] <= found["difference_high"]
    (sentence,) = sentences_about(ran, "edited")
    assert f"edited is {verdict} than baseline by " in sentence
    assert "95% interval" in sentence


def test_a_difference_that_the_noise_swallows_is_undecided(compare, scores):
    ran = compare(scores({"baseline": 0.0, "edited": -0.001}, noise=0.5))
    assert verdicts(ran)["edited"] == "undecided"
    (sentence,) = sentences_about(ran, "edited")
    assert not re.search(r"\b(better|worse)\b", sentence)


def test_sentences_call_an_arm_better_or_worse_only_where_the_table_does(compare, scores):
    shifts = {"baseline": 0.0, "up": 0.05, "down": -0.05, "same": 0.0, "near": 0.0004}
    ran = compare(scores(shifts, noise=0.02))
    found = verdicts(ran)
    assert {"better", "worse", "undecided"} <= set(found.values())
    for arm in ("up", "down", "same", "near"):
        (sentence,) = sentences_about(ran, arm)
        said = re.findall(r"\b(better|worse)\b", sentence)
        assert said == ([] if found[arm] == "undecided" else [found[arm]])
    said = [line for line in pages(ran)["report.md"].decode().splitlines() if line[:2] == "- "]
    limits = [line for line in said if not re.match(r"- (up|down|same|near)\b", line)]
    assert limits
    assert not re.search(r"\b(better|worse)\b", "\n".join(limits))


def test_the_same_scores_and_seed_give_the_same_report_to_the_byte(compare, scores):
    given = scores({"baseline": 0.0, "edited": -0.02})
    assert compare(given, seed=4).rows("report") == compare(given, seed=4).rows("report")


def test_few_seeds_are_told_as_a_limit_with_the_width_they_cost(compare, scores):
    text = pages(compare(scores({"baseline": 0.0, "a": 0.1}, seeds=(1, 2, 3))))[
        "report.md"
    ].decode()
    assert "3 seeds know the spread between trainings badly" in text
    assert "4.3 standard errors" in text
    text = pages(compare(scores({"baseline": 0.0, "a": 0.1})))["report.md"].decode()
    assert "badly" not in text
    assert "correct" not in text
    assert "Measured on 40 held-out documents" in text
    assert "with 5 seeds an arm" in text


def test_one_seed_speaks_of_these_two_models_and_of_no_other_training(compare, scores):
    ran = compare(scores({"baseline": 0.0, "edited": -0.05}, seeds=(1,)))
    assert verdicts(ran)["edited"] == "better"
    assert "on this 1 seed: -0.0" in sentences_about(ran, "edited")[0]
    assert (
        "With 1 seed the intervals speak of other documents only: they compare these two models, "
        "and cannot say what another training would give."
    ) in pages(ran)["report.md"].decode()


def test_the_baseline_alone_makes_a_report(compare, scores):
    ran = compare(scores({"baseline": 0.0}))
    assert numbers(ran, "baseline")["difference"] == 0
    assert "report.html" in pages(ran)


# --- what is wrong is said ------------------------------------------------------------------------


def test_a_missing_seed_names_arm_and_seed(compare, scores):
    given = scores({"baseline": 0.0, "edited": 0.0})[:-1]
    with pytest.raises(
        ValueError, match="arms must share their seeds; missing: edited with seed 5"
    ):
        compare(given)


def test_different_documents_name_the_arm_and_a_document(compare, scores):
    given = scores({"baseline": 0.0}) + scores({"edited": 0.0}, documents=[*DOCUMENTS[1:], "new"])
    with pytest.raises(
        ValueError,
        match=r'edited \(seed 1\) was scored on other documents than baseline.*2 differ.*"doc-00"',
    ):
        compare(given)


def test_documents_of_one_name_and_different_size_are_different_documents(
    compare, scores, artifact
):
    given = scores({"baseline": 0.0, "edited": 0.0})
    rows = given[-1].table().to_pylist()
    rows[7]["weight"] += 1
    given[-1] = artifact("metrics", rows, cell=given[-1].cell)
    with pytest.raises(ValueError, match=r'edited \(seed 5\).*1 differ, such as "doc-07"'):
        compare(given)


def test_an_unknown_baseline_names_the_arms_there_are(compare, scores):
    given = scores({"baseline": 0.0, "edited": 0.0})
    with pytest.raises(
        ValueError,
        match=r"the baseline {'arm': 'basline'} is no arm; the arms are: baseline, edited",
    ):
        compare(given, baseline={"arm": "basline"})
    with pytest.raises(ValueError, match="is 2 arms"):
        compare(given, baseline={"seed": 1})


def test_no_scores_at_all_are_a_clear_error(compare, scores, artifact):
    with pytest.raises(ValueError, match="there are no scores to compare"):
        compare([])
    with pytest.raises(ValueError, match="hold no bits_per_byte"):
        compare([artifact("metrics", [], cell={"arm": "baseline", "seed": 1})])


# --- pages ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reported(run_stage, scores, artifact):
    given = scores({"baseline": 0.0, "edited": -0.05, "a|b": 0.0}, bins=True)
    inputs = {"scores": given, "history": history_of(artifact, given)}
    settings = {"baseline": {"arm": "baseline"}, "title": "A <b>bold</b> title", "resamples": 200}
    return run_stage(Compare, inputs, **settings)


def test_the_report_is_markdown_html_and_its_plots(reported):
    rows = {row["id"]: row for row in reported.rows("report")}
    assert {id_: row["media_type"] for id_, row in rows.items()} == {
        "report.md": "text/markdown",
        "report.html": "text/html",
        "differences.png": "image/png",
        "learning_curves.png": "image/png",
    }
    for name in ("differences", "learning_curves"):
        assert rows[f"{name}.png"]["content"].startswith(b"\x89PNG\r\n\x1a\n")
        assert reported.context.figures[name] == rows[f"{name}.png"]["content"]


def test_without_histories_there_are_no_learning_curves(compare, scores):
    assert list(compare(scores({"baseline": 0.0, "e": 0.1})).context.figures) == ["differences"]


def test_the_html_page_needs_nothing_from_elsewhere(reported):
    html = pages(reported)["report.html"].decode()
    assert not re.search(r"https?:|<script|<link|@import|url\(", html)
    sources = re.findall(r'src(?:set)?="([^"]{0,30})', html)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_phone_is_shown_the_narrow_shape_of_each_figure(reported):
    page = pages(reported)
    html = page["report.html"].decode()
    found = re.findall(
        r'<source media="\(max-width: 40rem\)" srcset="data:image/png;base64,([^"]+)">'
        r'<img alt="([a-z ]+)" src="data:image/png;base64,([^"]+)">',
        html,
    )
    assert [alt for _, alt, _ in found] == ["differences", "learning curves"]
    for narrow, alt, wide in found:
        png = base64.b64decode(wide)
        assert png == page[f"{alt.replace(' ', '_')}.png"]
        assert width(base64.b64decode(narrow)) < 600 < width(png)


def width(png):
    return int.from_bytes(png[16:20], "big")


def test_names_and_titles_are_shown_as_text_not_as_markup(reported):
    html = pages(reported)["report.html"].decode()
    assert "A &lt;b&gt;bold&lt;/b&gt; title" in html
    assert "<b>bold" not in html


def table_after(lines, header):
    start = lines.index(header)
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(re.split(r"(?<!\\)\|", line.strip())[1:-1])
    return [[cell.strip() for cell in row] for row in rows]


def test_the_markdown_has_the_table_with_one_line_an_arm(reported):
    lines = pages(reported)["report.md"].decode().splitlines()
    header = "| arm | bits per byte | difference | interval | corrected | p | verdict |"
    table = table_after(lines, header)
    assert [len(row) for row in table] == [7] * 5
    assert set(table[1]) == {"---"}
    assert table[2][0] == "baseline"
    assert table[2][2:] == ["", "", "", "", "baseline"]
    assert table[3][0] == "edited"
    assert table[3][-1] == "better"
    assert float(table[3][2]) == pytest.approx(-0.05, abs=0.01)
    assert table[4][0] == r"a\|b"


def test_the_table_of_frequencies_is_in_the_order_of_the_bins(reported):
    lines = pages(reported)["report.md"].decode().splitlines()
    header = r"| training frequency | baseline | edited | a\|b |"
    table = table_after(lines, header)
    assert [row[0] for row in table[2:]] == [f"seen {number}" for number in range(12)]
    assert table[2][1:] == ["9.000"] * 3


def test_an_arm_is_called_by_its_values_off_the_replicate_axis():
    assert arm_label({"arm": "edited", "seed": 1}, "seed") == "edited"
    assert arm_label({"arm": "edited", "size": 2, "seed": 1}, "seed") == "arm=edited, size=2"
    assert arm_label({"seed": 1}, "seed") == "all"


@pytest.mark.parametrize(("seeds", "claimed_of_these"), [(4, True), (5, False)])
def test_with_few_seeds_a_verdict_is_of_these_seeds_and_shows_each(
    compare, artifact, seeds, claimed_of_these
):
    made = [
        artifact(
            "metrics",
            [
                {"id": f"{n}", "metric": "bits_per_byte", "value": 2.0 - shift, "weight": 100.0,
                 "group": "x"}
                for n in range(20)
            ],
            cell={"arm": arm, "seed": seed},
        )
        for arm in ("baseline", "new")
        for seed in range(seeds)
        for shift in [0.0 if arm == "baseline" else 0.1 + seed / 100]
    ]  # fmt: skip
    (said,) = sentences_about(compare(made), "new")
    assert said.startswith("- new is better than baseline by ")
    assert ("on these 4 seeds: -0.1000, -0.1100, -0.1200, -0.1300" in said) == claimed_of_these
    assert ("seeds" in said) == claimed_of_these


# --- many comparisons -----------------------------------------------------------------------------


def test_several_arms_are_corrected_for_and_the_uncorrected_stand_beside(compare, scores):
    ran = compare(scores({"baseline": 0.0, "a": 0.0001, "b": -0.05, "c": 0.0002}), resamples=2000)
    for arm in "abc":
        found = numbers(ran, arm)
        assert found["corrected_low"] < found["difference_low"]
        assert found["corrected_high"] > found["difference_high"]
        assert found["corrected_p"] >= found["p"]
    assert numbers(ran, "b")["verdict"] == 1.0
    assert numbers(ran, "a")["verdict"] == 0.0
    text = pages(ran)["report.md"].decode()
    assert "3 comparisons were made" in text
    assert "corrected for 3 comparisons" in sentences_about(ran, "b")[0]


def test_one_arm_beside_the_baseline_needs_no_correction(compare, scores):
    found = numbers(compare(scores({"baseline": 0.0, "a": 0.01})), "a")
    assert found["corrected_low"] == found["difference_low"]
    assert found["corrected_p"] == found["p"]


def test_few_resamples_for_many_comparisons_are_told(compare, scores):
    given = scores({"baseline": 0.0, "a": 0.1, "b": 0.2})
    said = "resamples are few for 2 comparisons"
    assert said in pages(compare(given, resamples=200))["report.md"].decode()
    assert said not in pages(compare(given, resamples=2000))["report.md"].decode()


def test_few_rows_that_carry_most_of_the_weight_are_told(compare, scores, artifact):
    given = scores({"baseline": 0.0, "a": 0.1})
    said = "weigh as much as 2 alike"
    assert said not in pages(compare(given))["report.md"].decode()
    uneven = [
        artifact(
            "metrics",
            [row | {"weight": 1e6 if row["id"] in DOCUMENTS[:2] else 1.0}
             for row in made.table().to_pylist()],
            cell=made.cell,
        )
        for made in given
    ]  # fmt: skip
    assert said in pages(compare(uneven))["report.md"].decode()


# --- other metrics, and groups --------------------------------------------------------------------


@pytest.fixture
def answers(artifact):
    """`answers({arm: {group: accuracy}})` -> scores of 40 examples a group and seed."""

    def make(arms, seeds=SEEDS, *, count=40):
        chance = np.random.default_rng(4)
        hard = (np.arange(count) + 0.5) / count
        made = []
        for arm, of_groups in arms.items():
            for seed in seeds:
                rows = [
                    {"id": f"{group}-{n}", "metric": "accuracy",
                     "value": float(hard[n] + chance.normal(0, 0.02) < share), "weight": 1.0,
                     "group": group}
                    for group, share in of_groups.items()
                    for n in range(count)
                ]  # fmt: skip
                made.append(artifact("metrics", rows, cell={"arm": arm, "seed": seed}))
        return made

    return make


def test_of_accuracy_more_is_better(compare, answers):
    given = answers({"baseline": {"sum": 0.4}, "trained": {"sum": 0.8}})
    ran = compare(given, metric="accuracy")
    assert verdicts(ran)["trained"] == "better"
    assert numbers(ran, "trained")["accuracy"] == pytest.approx(0.8, abs=0.1)
    assert "| arm | accuracy | difference |" in pages(ran)["report.md"].decode()
    turned = compare(given, metric="accuracy", better="lower")
    assert verdicts(turned)["trained"] == "worse"


def test_an_unknown_metric_needs_to_be_told_which_way_is_better(compare, scores, artifact):
    given = [
        artifact("metrics", [row | {"metric": "glow"} for row in made.table().to_pylist()],
                 cell=made.cell)
        for made in scores({"baseline": 0.0, "e": -0.1})
    ]  # fmt: skip
    with pytest.raises(ValueError, match='whether less or more of "glow" is better is not known'):
        compare(given, metric="glow")
    assert verdicts(compare(given, metric="glow", better="lower"))["e"] == "better"
    with pytest.raises(ValueError, match="the scores hold no accuracy; they hold: glow"):
        compare(given, metric="accuracy")


def test_groups_are_compared_apart_and_are_one_family(compare, answers):
    given = answers({"baseline": {"sum": 0.4, "count": 0.6}, "new": {"sum": 0.9, "count": 0.6}})
    ran = compare(given, metric="accuracy", group_by="group")
    found = verdicts(ran)
    assert found["new (sum)"] == "better"
    assert found["new (count)"] == "undecided"
    assert "2 comparisons were made (2 groups)" in pages(ran)["report.md"].decode()
    only = compare(given, metric="accuracy", group_by="group", groups=["sum"])
    assert set(verdicts(only)) == {"baseline (sum)", "new (sum)"}
    with pytest.raises(ValueError, match=r'there is no group "product".*there are: sum, count'):
        compare(given, metric="accuracy", group_by="group", groups=["product"])


@pytest.fixture
def binned(artifact):
    """`binned({arm: (rare, frequent)})` -> losses of two frequency bins, noise over seeds."""

    def make(arms, seeds=SEEDS, *, noise=0.02, edges=None):
        chance = np.random.default_rng(5)
        return [
            artifact(
                "metrics",
                [
                    {"id": f"bin {number}", "metric": "loss_by_frequency",
                     "value": loss + common + noise * chance.normal(),
                     "weight": 10.0 * number, "group": (edges or {}).get(arm, f"seen {number}")}
                    for number, loss in enumerate(losses, start=1)
                ],
                cell={"arm": arm, "seed": seed},
            )
            for arm, losses in arms.items()
            for seed in seeds
            for common in [chance.normal()]
        ]  # fmt: skip

    return make


CONTRAST = {"metric": "loss_by_frequency", "group_by": "id", "contrast": ["bin 1", "bin 2"]}


def test_a_contrast_tells_whether_one_group_suffers_more_than_the_other(compare, binned):
    ran = compare(binned({"baseline": (5.0, 3.0), "decayed": (5.5, 3.1)}), **CONTRAST)
    found = numbers(ran, "decayed (bin 1 - bin 2)")
    assert found["difference"] == pytest.approx(0.4, abs=0.05)
    assert found["loss_by_frequency"] == pytest.approx(2.4, abs=0.05)
    assert verdicts(ran)["decayed (bin 1 - bin 2)"] == "worse"
    (said,) = sentences_about(ran, "decayed")
    assert "decayed, against baseline, is worse on bin 1 than on bin 2 by 0.4" in said
    same = compare(binned({"baseline": (5.0, 3.0), "shifted": (5.5, 3.5)}), **CONTRAST)
    assert verdicts(same)["shifted (bin 1 - bin 2)"] == "undecided"
    assert "cannot be claimed" in sentences_about(same, "shifted")[0]


def test_few_rows_are_taken_as_they_are_and_intervals_are_of_seeds_only(compare, binned):
    from scipy.stats import ttest_rel

    given = binned({"baseline": (5.0, 3.0), "decayed": (5.5, 3.1)})
    ran = compare(given, metric="loss_by_frequency", group_by="id", groups=["bin 1"])
    ends = [
        [a.table().to_pylist()[0]["value"] for a in given if a.cell["arm"] == arm]
        for arm in ("decayed", "baseline")
    ]
    low, high = ttest_rel(*ends).confidence_interval(0.95)
    found = numbers(ran, "decayed (bin 1)")
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((low, high))
    assert "Student's t over 5 seeds" in pages(ran)["report.md"].decode()


def test_one_seed_on_few_rows_claims_nothing_and_has_no_interval(compare, binned):
    ran = compare(binned({"baseline": (5.0, 3.0), "d": (9.0, 3.1)}, seeds=(1,)), **CONTRAST)
    assert verdicts(ran)["d (bin 1 - bin 2)"] == "undecided"
    assert "corrected_low" not in numbers(ran, "d (bin 1 - bin 2)")
    assert "one seed shows no spread, nothing can be claimed" in sentences_about(ran, "d")[0]


def test_bins_with_other_edges_in_another_arm_are_told(compare, binned):
    edges = {"baseline": "seen 1-3", "edited": "seen 1-4"}
    given = binned({"baseline": (5.0, 3.0), "edited": (5.0, 3.0)}, edges=edges)
    text = pages(compare(given, **CONTRAST))["report.md"].decode()
    assert "- bin 1 is not the same in all arms: seen 1-3, seen 1-4" in text


@pytest.mark.parametrize(
    "settings",
    [
        {"contrast": ["a", "b"]},
        {"groups": ["a"]},
        {"group_by": "id", "contrast": ["a"]},
        {"group_by": "id", "contrast": ["a", "a"]},
        {"group_by": "id", "contrast": ["a", "b"], "groups": ["a"]},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValueError, match=r"group_by|two different groups"):
        Compare.Config(baseline={"arm": "a"}, **settings)


# --- what differs, and what warns -----------------------------------------------------------------


def made_of(weighting, tokenizer="t1", **more):
    told = {"kind": "tokenizer", "digest": tokenizer * 8, "stage": "tokenizer"}
    own = {"kind": "model", "digest": f"own {weighting}", "stage": "model"}
    return {
        "model": {
            "config": {"weighting": [weighting], "seed": [1]},
            "input": {"tokenizer": [told]},
        },
        "scores": {"input": {"model": [own]}},
        **more,
    }


EDITING = {"edited": {"uses": {"": ["editing.resample"]}, "code": {"": ["c0de" * 8]},
                      "config": {"threshold": [0.8], "seed": [3]}}}  # fmt: skip


def test_what_differs_between_the_arms_is_a_table_by_stage(compare, scores):
    given = scores(
        {"baseline": 0.0, "edited": 0.1, "both": 0.1},
        made_of={
            "baseline": made_of("uniform"),
            "edited": made_of("uniform", **EDITING),
            "both": made_of("linupper", **EDITING),
        },
    )
    lines = pages(compare(given))["report.md"].decode().splitlines()
    table = table_after(lines, "| what differs | baseline | edited | both |")
    assert table[2:] == [
        ["model: weighting", "uniform", "uniform", "linupper"],
        ["edited: stage type", "-", "editing.resample", "editing.resample"],
    ]


def test_what_differs_between_seeds_alone_is_not_told(compare, scores):
    given = scores({"baseline": 0.0, "edited": 0.1})
    for artifact in given:
        artifact.provenance = {"model": {"config": {"seed": [artifact.cell["seed"]]}}}
    assert "what differs" not in pages(compare(given))["report.md"].decode()


def test_other_tokenizers_are_warned_of_and_bytes_still_compare(compare, scores):
    made = {"baseline": made_of("uniform"), "other": made_of("uniform", tokenizer="t2")}
    ran = compare(scores({"baseline": 0.0, "other": -0.1}, made_of=made))
    assert "The arms have different tokenizers" in pages(ran)["report.md"].decode()
    assert verdicts(ran)["other"] == "better"


def test_with_other_tokenizers_nothing_is_claimed_of_losses_by_token(compare, binned):
    given = binned({"baseline": (5.0, 3.0), "other": (2.0, 3.0)})
    for artifact in given:
        artifact.provenance = made_of("uniform", tokenizer=artifact.cell["arm"])
    ran = compare(given, **CONTRAST)
    assert verdicts(ran)["other (bin 1 - bin 2)"] == "undecided"
    (said,) = sentences_about(ran, "other")
    assert "nothing can be claimed, the arms have different tokenizers" in said


def spent(artifact, given, tokens):
    return [
        artifact(
            "metrics",
            [
                {"id": str(step), "metric": metric, "value": value, "weight": 1.0, "group": "step"}
                for step in (1, 2, 10)
                for metric, value in (
                    ("tokens_seen", tokens[scored.cell["arm"]] * step / 10),
                    ("loss", 5.0 - step / 10),
                )
            ],
            cell=scored.cell,
        )
        for scored in given
    ]


def test_other_numbers_of_tokens_are_warned_of_and_drawn_against_quality(compare, scores, artifact):
    given = scores({"baseline": 0.0, "longer": -0.1})
    ran = compare(given, spent(artifact, given, {"baseline": 1e6, "longer": 2e6}))
    text = pages(ran)["report.md"].decode()
    assert "different numbers of tokens in training (baseline 1,000,000, longer 2,000,000)" in text
    assert "pareto" in ran.context.figures
    same = compare(given, spent(artifact, given, {"baseline": 1e6, "longer": 1e6}))
    assert "different numbers" not in pages(same)["report.md"].decode()
    assert "pareto" not in same.context.figures


def dropped(artifact, arm, found_in):
    rows = [
        {"id": f"train-{n}", "source": "s", "reason": "contaminated", "value": 0.5, "text": "t"}
        for n in range(len(found_in))
    ]
    return artifact("dropped", rows, cell={"arm": arm} if arm else {})


def test_contaminated_training_data_are_warned_of(compare, scores, artifact, run_stage):
    given = scores({"baseline": 0.0, "mined": -0.1})
    settings = {"baseline": {"arm": "baseline"}, "resamples": 200}

    def text(*contamination):
        inputs = {"scores": given, "contamination": list(contamination)}
        return pages(run_stage(Compare, inputs, **settings))["report.md"].decode()

    differing = text(dropped(artifact, "baseline", []), dropped(artifact, "mined", "abc"))
    assert "repeat evaluation texts: baseline 0, mined 3." in differing
    assert "The arms differ in it" in differing
    common = text(dropped(artifact, None, "ab"))
    assert "repeat evaluation texts: baseline 2, mined 2." in common
    assert "The arms differ in it" not in common
    assert "repeat" not in text(dropped(artifact, None, []))


def test_every_known_metric_has_a_direction():
    assert {measure.better for measure in KNOWN.values()} == {"lower", "higher"}
    assert KNOWN["loss_by_frequency"].by_token
    assert not KNOWN["bits_per_byte"].by_token
