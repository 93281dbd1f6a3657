"""report.compare: it says what the intervals allow to say, and nothing about what is undecided."""

import re

import numpy as np
import pytest

from stages.report import Compare, arm_label

DOCUMENTS = [f"doc-{n:02}" for n in range(40)]


@pytest.fixture(scope="session")
def scores(artifact):
    """`scores({arm: shift}, seeds, ...)` -> artifacts of bits per byte, `shift` added to all."""

    def make(arms, seeds=(1, 2), *, documents=DOCUMENTS, noise=0.01, bins=False):
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
                made.append(artifact("metrics", rows, cell={"arm": arm, "seed": seed}))
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
    assert verdicts(ran) == {"baseline": "undecided", "twin": "undecided"}
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
    ran = compare(scores(shifts, noise=0.05))
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


def test_few_seeds_and_many_arms_are_told_as_limits(compare, scores):
    text = pages(compare(scores({"baseline": 0.0, "a": 0.1, "b": 0.2})))["report.md"].decode()
    assert "With 2 seeds the spread between trainings is underestimated" in text
    assert "2 arms were compared with one baseline, without a correction" in text
    many = compare(scores({"baseline": 0.0, "a": 0.1}, seeds=(1, 2, 3, 4, 5)))
    text = pages(many)["report.md"].decode()
    assert "underestimated" not in text
    assert "correction" not in text
    assert "Measured on 40 held-out documents" in text


def test_the_baseline_alone_makes_a_report(compare, scores):
    ran = compare(scores({"baseline": 0.0}))
    assert numbers(ran, "baseline")["difference"] == 0
    assert "report.html" in pages(ran)


# --- what is wrong is said ------------------------------------------------------------------------


def test_a_missing_seed_names_arm_and_seed(compare, scores):
    given = scores({"baseline": 0.0, "edited": 0.0})[:-1]
    with pytest.raises(
        ValueError, match="arms must share their seeds; missing: edited with seed 2"
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
    with pytest.raises(ValueError, match=r'edited \(seed 2\).*1 differ, such as "doc-07"'):
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
    sources = re.findall(r'src="([^"]{0,30})', html)
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)


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
    table = table_after(lines, "| arm | bits per byte | difference | interval | verdict |")
    assert [len(row) for row in table] == [5] * 5
    assert set(table[1]) == {"---"}
    assert table[2][0] == "baseline"
    assert table[2][2:] == ["", "", "baseline"]
    assert table[3][0] == "edited"
    assert table[3][4] == "better"
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


@pytest.mark.parametrize(("seeds", "claimed_of_these"), [(2, True), (5, False)])
def test_with_few_seeds_a_verdict_is_of_these_seeds_and_shows_each(
    seeds: int, claimed_of_these: bool
) -> None:
    from operators.evaluation import paired_bootstrap
    from stages.report import Scores, sentences

    sizes = np.full(20, 100.0)
    base = np.full((seeds, 20), 200.0)
    nats = np.stack([base, base - np.arange(1, seeds + 1)[:, None]])
    scores = Scores(["plain", "new"], [str(s) for s in range(seeds)], ["d"] * 20, nats, sizes)
    compared = paired_bootstrap(nats, sizes, baseline=0, resamples=200, seed=0)
    said = sentences(scores, compared, 0, 0.95, "seed")[0]
    assert said.startswith("new is better than plain by")
    assert ("on these 2 seeds: -0.0144, -0.0289" in said) == claimed_of_these
    assert ("seeds" in said) == claimed_of_these
