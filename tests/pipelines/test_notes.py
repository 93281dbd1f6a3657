"""Descriptions and the picture of a run."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lineage import NOTE_LENGTH, Tracker
from pipelines.picture import HEIGHT, WIDTH, Box, draw

SVG = "{http://www.w3.org/2000/svg}"
RECORD = {"a" * 32: "1" * 32, "b" * 32: "2" * 32}


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    made = Tracker("sqlite:///nowhere.db", "p", None)
    made.experiment_id = "7"
    monkeypatch.setattr(made, "_find_maker", RECORD.get)
    return made


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[clean](tokenmill:%s)" % ("a" * 32),
         "[clean](#/experiments/7/runs/%s?workflowType=machine_learning)" % ("1" * 32)),
        ("[model[arm=x,seed=1]](tokenmill:%s)" % ("b" * 32),
         "[model[arm=x,seed=1]](#/experiments/7/runs/%s?workflowType=machine_learning)" % ("2" * 32)),
        ("[sources.txt](tokenmill:%s/sources.txt)" % ("a" * 32),
         "[sources.txt](#/experiments/7/runs/%s/artifacts/sources.txt?workflowType=machine_learning)"
         % ("1" * 32)),
        ("![picture](tokenmill:%s/lineage.svg)" % ("a" * 32),
         "![picture](get-artifact?path=lineage.svg&run_uuid=%s)" % ("1" * 32)),
        ("[clean](tokenmill:%s)" % ("c" * 32),
         "clean (`%s`, which is not in this record)" % ("c" * 32)),
        ("[a page](https://example.org)", "[a page](https://example.org)"),
    ],
)  # fmt: skip
def test_a_link_to_a_run_of_ours_becomes_one_of_mlflow(
    tracker: Tracker, written: str, shown: str
) -> None:
    tags = tracker._tags({"tags": {"mlflow.note.content": f"x {written} y"}})
    assert tags["mlflow.note.content"] == f"x {shown} y"


def test_a_description_is_never_longer_than_mlflow_takes(tracker: Tracker) -> None:
    note = "[clean](tokenmill:%s) " % ("a" * 32) * 500
    assert (
        len(tracker._tags({"tags": {"mlflow.note.content": note}})["mlflow.note.content"])
        == NOTE_LENGTH
    )


def boxes_and_lines(svg: str) -> tuple[dict[str, tuple[float, float]], list[list[float]]]:
    tree = ElementTree.fromstring(svg)
    places = {}
    for group in tree.iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        if title is not None and box is not None:
            places[str(title.text).partition(":")[0]] = (
                float(box.get("x", "")),
                float(box.get("y", "")),
            )
    lines = [
        [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
        for path in tree.iter(f"{SVG}path")
    ]
    return places, lines


@st.composite
def dags(draw_: st.DrawFn) -> list[Box]:
    names = [f"s{number}" for number in range(draw_(st.integers(1, 12)))]
    boxes = []
    for number, name in enumerate(names):
        takes = draw_(st.sets(st.sampled_from(names[:number]), max_size=3)) if number else set()
        boxes.append(Box(name, ["computed"], 3, takes))
    return draw_(st.permutations(boxes))


@given(dags())
def test_each_box_is_below_what_it_takes_from_and_on_no_other(boxes: list[Box]) -> None:
    places, lines = boxes_and_lines(draw(boxes))
    assert set(places) == {box.name for box in boxes}
    for box in boxes:
        for source in box.takes:
            assert places[source][1] + HEIGHT < places[box.name][1]
    corners = sorted(places.values())
    for number, (x, y) in enumerate(corners):
        for other_x, other_y in corners[number + 1 :]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
    # A line for each thing taken, from the lower edge of the one to the upper edge of the other.
    wanted = sorted(
        (
            places[s][0] + WIDTH / 2,
            places[s][1] + HEIGHT,
            places[b.name][0] + WIDTH / 2,
            places[b.name][1],
        )
        for b in boxes
        for s in b.takes
    )
    assert sorted((*line[:2], *line[-2:]) for line in lines) == wanted


def test_cells_of_a_matrix_are_one_box_that_says_the_worst() -> None:
    box = Box("model", ["reused", "failed", "computed", "computed"], None, set())
    assert box.state == "failed"
    assert box.second_line == "1 failed, 2 computed, 1 reused"
    assert "&lt;x&gt;" in draw([Box("<x>", ["computed"])])
