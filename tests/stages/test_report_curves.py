"""report.curves: what the curves of several trainings show, and what of it may be claimed."""

import re

import numpy as np
import pytest
from scipy.stats import ttest_rel

from stages.report_curves import CurvesReport


def curve(artifact, arm, seed, values, *, metric="old_loss", steps=None):
    steps = range(0, 10 * len(values), 10) if steps is None else steps
    rows = [
        {"id": str(step), "metric": metric, "value": float(value), "weight": 1.0, "group": "step"}
        for step, value in zip(steps, values, strict=True)
    ]
    rows.append({"id": "1", "metric": "loss", "value": 9.0, "weight": 1.0, "group": "step"})
    return artifact("metrics", rows, cell={"arm": arm, "seed": seed})


@pytest.fixture
def histories(artifact):
    """`histories({arm: [curve of each seed]})`; steps 0, 10, 20, ..."""

    def make(arms):
        return [
            curve(artifact, arm, seed, values)
            for arm, of_seeds in arms.items()
            for seed, values in enumerate(of_seeds, start=1)
        ]

    return make


@pytest.fixture
def report(run_stage):
    def report(given, **settings):
        settings = {"metrics": ["old_loss"], "baseline": {"arm": "plain"}, "last": 2, **settings}
        return run_stage(CurvesReport, {"history": given}, **settings)

    return report


def numbers(ran, arm, metric="old_loss"):
    return {
        row["metric"].removeprefix(f"{metric}."): row["value"]
        for row in ran.rows("summary")
        if row["id"] == arm and row["metric"].startswith(f"{metric}.")
    }


def verdicts(ran):
    return {row["id"]: row["group"] for row in ran.rows("summary")}


def page(ran):
    return {row["id"]: row["content"] for row in ran.rows("report")}["report.md"].decode()


PLAIN = [[2.0, 3.0, 2.8, 2.6], [2.1, 3.1, 2.8, 2.8], [1.9, 2.9, 2.7, 2.7]]
REPLAYED = [[2.0, 2.6, 2.1, 2.0], [2.1, 2.7, 2.2, 2.2], [1.9, 2.6, 2.1, 2.0]]


def test_first_lowest_highest_last_and_end_are_of_the_mean_over_seeds(report, histories):
    found = numbers(report(histories({"plain": PLAIN})), "plain")
    assert found["first"] == found["lowest"] == pytest.approx(2.0)
    assert found["highest"] == pytest.approx(3.0)
    assert found["last"] == pytest.approx(2.7)
    assert found["end"] == pytest.approx(np.mean([2.7, 2.8, 2.7]))
    assert found["change"] == pytest.approx(found["end"] - 2.0)


def test_differences_and_intervals_are_those_of_the_paired_t_test(report, histories):
    ran = report(histories({"plain": PLAIN, "replay": REPLAYED}))
    ends = [np.mean(np.array(arm)[:, -2:], axis=1) for arm in (REPLAYED, PLAIN)]
    expected = ttest_rel(*ends).confidence_interval(0.95)
    found = numbers(ran, "replay")
    assert found["difference"] == pytest.approx(float(np.mean(ends[0] - ends[1])))
    assert (found["difference_low"], found["difference_high"]) == pytest.approx(tuple(expected))
    since = ttest_rel(ends[0], np.array(REPLAYED)[:, 0]).confidence_interval(0.95)
    assert (found["change_low"], found["change_high"]) == pytest.approx(tuple(since))
    assert not {name for name in numbers(ran, "plain") if name.startswith("difference")}


def test_a_verdict_is_given_only_where_the_interval_leaves_out_zero(report, histories):
    higher = [[value + 1 for value in values] for values in PLAIN]
    wobbling = [[2, 3, 2.0, 2.0], [2, 3, 3.2, 3.2], [2, 3, 2.7, 2.9]]
    ran = report(
        histories({"plain": PLAIN, "replay": REPLAYED, "up": higher, "unsure": wobbling,
                   "twin": PLAIN})
    )  # fmt: skip
    assert verdicts(ran) == {"plain": "baseline", "replay": "lower", "up": "higher",
                             "unsure": "undecided", "twin": "undecided"}  # fmt: skip
    twin = numbers(ran, "twin")
    assert [twin[f"difference{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]
    for arm, claimed in (("replay", "lower than plain"), ("up", "higher than plain")):
        (said,) = [line for line in page(ran).splitlines() if line.startswith(f"- {arm}")]
        assert claimed in said
    for arm in ("unsure", "twin"):
        (said,) = [line for line in page(ran).splitlines() if line.startswith(f"- {arm}")]
        assert "no difference to plain can be claimed" in said


def test_coming_back_is_told_with_the_peak_before_it(report, histories):
    text = page(report(histories({"plain": PLAIN, "replay": REPLAYED})))
    (plain,) = [line for line in text.splitlines() if line.startswith("- plain")]
    assert plain == (
        "- plain ends 36.7% higher than it began after a peak of +50.0% at step 10, of which 27% "
        "is undone."
    )


def test_what_is_undone_is_a_share_of_the_rise_and_without_a_rise_nothing(report, histories):
    back = [[2.0, 3.0, 2.0, 2.0], [2.0, 3.0, 2.0, 2.0]]
    half = [[2.0, 3.0, 2.5, 2.5], [2.0, 3.0, 2.5, 2.5]]
    falling = [[2.0, 1.5, 1.2, 1.0], [2.0, 1.4, 1.2, 1.0]]
    ran = report(histories({"plain": back, "half": half, "falling": falling}))
    assert [numbers(ran, arm)["recovered"] for arm in ("plain", "half")] == [1.0, 0.5]
    assert "recovered" not in numbers(ran, "falling")
    assert "peak" not in next(x for x in page(ran).splitlines() if x.startswith("- falling"))


def test_one_seed_has_no_interval_and_claims_nothing(report, histories):
    ran = report(histories({"plain": PLAIN[:1], "replay": REPLAYED[:1]}))
    assert verdicts(ran)["replay"] == "undecided"
    found = numbers(ran, "replay")
    assert found["difference"] == pytest.approx(-0.65)
    assert not {"difference_low", "change_low"} & found.keys()
    assert "One seed an arm has no spread: nothing can be claimed." in page(ran)


def test_more_last_points_than_there_are_is_the_mean_of_all(report, histories):
    found = numbers(report(histories({"plain": PLAIN}), last=99), "plain")
    assert found["end"] == pytest.approx(np.mean(PLAIN))


def test_arms_may_be_measured_at_different_steps(report, histories):
    short = [values[:2] for values in REPLAYED]
    ran = report(histories({"plain": PLAIN, "short": short}), last=1)
    assert numbers(ran, "short")["difference"] == pytest.approx(
        np.mean(np.array(short)[:, 1] - np.array(PLAIN)[:, 3])
    )


def test_steps_are_in_order_of_their_numbers(report, artifact):
    given = [curve(artifact, "plain", 1, [3.0, 1.0, 2.0], steps=[9, 100, 10])]
    found = numbers(report(given, last=1), "plain")
    assert (found["first"], found["last"]) == (3.0, 1.0)


def test_the_report_is_markdown_and_one_figure_of_all_metrics(report, histories):
    given = histories({"plain": PLAIN, "a|b": REPLAYED})
    ran = report(given, metrics=["old_loss", "loss"], title="Old and new", level="first")
    rows = {row["id"]: row for row in ran.rows("report")}
    assert {id_: row["media_type"] for id_, row in rows.items()} == {
        "report.md": "text/markdown",
        "curves.png": "image/png",
    }
    assert ran.context.figures == {"curves": rows["curves.png"]["content"]}
    assert rows["curves.png"]["content"].startswith(b"\x89PNG\r\n\x1a\n")
    lines = page(ran).splitlines()
    assert lines[0] == "## Old and new"
    assert [line for line in lines if line.startswith("###")] == ["### old_loss", "### loss"]
    tables = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {12}
    assert sum(line.startswith(r"| a\|b |") for line in tables) == 2
    assert "2 comparisons were made, without a correction for many." in page(ran)
    assert ran.context.metrics["a_b.old_loss"] == pytest.approx(numbers(ran, "a|b")["end"])


def test_the_same_histories_give_the_same_report_to_the_byte(report, histories):
    given = histories({"plain": PLAIN, "replay": REPLAYED})
    assert report(given).rows("report") == report(given).rows("report")


# --- steps to where the baseline ends -------------------------------------------------------------


def falling(speed, points=30):
    return [4.0 - 3.0 * (1 - np.exp(-speed * n / 10)) for n in range(points)]


def test_an_arm_that_learns_twice_as_fast_is_there_in_half_the_steps(report, histories):
    given = histories(
        {"plain": [falling(s) for s in (1.0, 1.1, 0.9)],
         "fast": [falling(s) for s in (2.0, 2.0, 2.0)]}
    )  # fmt: skip
    ran = report(given, last=1, steps_to=True)
    found = numbers(ran, "fast")
    assert found["steps_to"] == pytest.approx(150, abs=10)
    assert found["steps_ratio"] == pytest.approx(0.5, abs=0.03)
    assert found["steps_ratio_low"] < found["steps_ratio"] < found["steps_ratio_high"] < 1
    assert found["steps_to_share"] == 1.0
    rows = {row["metric"]: row["group"] for row in ran.rows("summary") if row["id"] == "fast"}
    assert rows["old_loss.steps_ratio"] == "fewer"
    assert rows["old_loss.difference"] == "lower"
    assert "fast is where plain ends after" in page(ran)
    assert ": fewer steps." in page(ran)
    assert "steps_to" not in numbers(ran, "plain")


def test_the_ratio_is_paired_by_seed_and_its_interval_is_of_logarithms(report, histories):
    arms = {"plain": [1.0, 1.1, 0.9], "fast": [1.6, 1.3, 1.5]}
    given = histories({arm: [falling(s) for s in speeds] for arm, speeds in arms.items()})
    found = numbers(report(given, last=1, steps_to=True), "fast")
    curves = {arm: np.array([falling(s) for s in speeds]) for arm, speeds in arms.items()}
    first = [
        int(np.argmax(c <= b[-1])) for c, b in zip(curves["fast"], curves["plain"], strict=True)
    ]
    expected = ttest_rel(np.log(np.array(first) * 10), np.log([290.0] * 3))
    low, high = np.exp(expected.confidence_interval(0.95))
    assert found["steps_ratio_low"] == pytest.approx(low)
    assert found["steps_ratio_high"] == pytest.approx(high)


def test_the_baseline_s_own_steps_are_found_by_the_same_rule(report, histories):
    # It is at its end after 20 steps already, and so is its twin: the ratio is 1, not 2/3.
    flat = [[4.0, 3.0, 2.0, 2.0], [4.0, 3.0, 2.0, 2.0]]
    found = numbers(report(histories({"plain": flat, "twin": flat}), last=1, steps_to=True), "twin")
    assert (found["steps_to"], found["steps_ratio"]) == (20.0, 1.0)


def test_an_arm_that_is_never_there_has_no_number_of_steps(report, histories):
    given = histories({"plain": [[4.0, 3.0, 2.0]] * 2, "slow": [[4.0, 3.5, 3.0], [4.0, 2.0, 1.0]]})
    ran = report(given, last=1, steps_to=True)
    found = numbers(ran, "slow")
    assert found["steps_to_share"] == 0.5
    assert "steps_ratio" not in found
    assert "with 1 of 2 seeds: no number of steps can be given" in page(ran)


def test_a_metric_that_rises_is_reached_from_below(report, histories):
    given = histories({"plain": [[0.1, 0.2, 0.3]] * 2, "fast": [[0.1, 0.3, 0.4]] * 2})
    assert numbers(report(given, last=1, steps_to=True), "fast")["steps_to"] == 10.0


def test_noise_of_single_points_is_averaged_before_a_curve_is_there(report, histories):
    # One lucky point at step 10 is not where the baseline ends.
    given = histories({"plain": [[4.0, 3.0, 2.0, 2.0]] * 2, "lucky": [[4.0, 1.9, 3.0, 1.0]] * 2})
    assert numbers(report(given, last=2, steps_to=True), "lucky")["steps_to"] == 30.0


def test_without_the_setting_nothing_is_told_of_steps(report, histories):
    found = numbers(report(histories({"plain": PLAIN, "replay": REPLAYED})), "replay")
    assert not [name for name in found if name.startswith("steps")]


def test_a_metric_that_a_history_lacks_is_named_with_those_it_has(report, histories, artifact):
    given = histories({"plain": PLAIN[:1]})
    given.append(curve(artifact, "other", 1, [1.0], metric="new_loss"))
    with pytest.raises(
        ValueError,
        match=r'of other \(seed 1\) has no metric "old_loss"; it has: loss, new_loss',
    ):
        report(given)


def test_a_missing_seed_names_arm_and_seed(report, histories):
    with pytest.raises(ValueError, match="arms must share their seeds; replay lacks seed 3"):
        report(histories({"plain": PLAIN, "replay": REPLAYED[:2]}))


def test_repetitions_measured_at_other_steps_are_a_clear_error(report, histories):
    with pytest.raises(ValueError, match="old_loss of plain was measured at other steps"):
        report(histories({"plain": [PLAIN[0], PLAIN[1][:3]]}))


def test_an_unknown_baseline_names_the_arms_there_are(report, histories):
    with pytest.raises(ValueError, match="is no arm; the arms are: plain, replay"):
        report(histories({"plain": PLAIN, "replay": REPLAYED}), baseline={"arm": "pain"})


def test_no_history_at_all_is_a_clear_error(report):
    with pytest.raises(ValueError, match="there are no histories to draw"):
        report([])
