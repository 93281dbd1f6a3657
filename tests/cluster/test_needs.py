"""What a task asks for, against what nodes offer."""

import pytest

from cluster.needs import Needs, Node, selects, unmet

SMALL = Node("a", {"CPU": 2, "memory": 4e9}, {"market-type": "spot"})
GPU = Node("b", {"CPU": 8, "GPU": 2, "memory": 64e9, "licence": 1}, {"market-type": "on-demand"})


@pytest.mark.parametrize(
    ("selector", "label", "is_chosen"),
    [
        ("spot", "spot", True),
        ("spot", "on-demand", False),
        ("spot", None, False),
        ("!spot", "spot", False),
        ("!spot", "on-demand", True),
        ("!spot", None, True),
        ("in(a, b)", "b", True),
        ("in(a,b)", "c", False),
        ("in(a)", None, False),
        ("!in(a, b)", "b", False),
        ("!in(a, b)", "c", True),
        ("!in(a, b)", None, True),
        ("a b", "a b", False),
    ],
)
def test_a_selector_chooses(selector: str, label: str | None, is_chosen: bool) -> None:
    assert selects(selector, label) is is_chosen


@pytest.mark.parametrize(
    "needs",
    [
        Needs(),
        Needs(cpus=8),
        Needs(gpus=2),
        Needs(gpus="auto"),
        Needs(memory=4 * 10**9),
        Needs(custom={"licence": 1}),
        Needs(labels={"market-type": "spot"}),
        Needs(cpus=2, labels={"market-type": "!on-demand"}),
    ],
)
def test_what_one_node_has_is_met(needs: Needs) -> None:
    assert unmet(needs, [SMALL, GPU]) is None


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(cpus=9), "9 CPU"),
        (Needs(gpus=3), "3 GPU"),
        (Needs(custom={"licence": 2}), "2 licence"),
        (Needs(custom={"license": 1}), "1 license"),
        (Needs(labels={"zone": "x"}), "the label zone: x"),
        (Needs(cpus=4, labels={"market-type": "spot"}), "4 CPU, the label market-type: spot"),
    ],
)
def test_what_no_single_node_has_is_told_with_what_they_have(needs: Needs, said: str) -> None:
    why = unmet(needs, [SMALL, GPU])
    assert why is not None
    assert said in why
    assert "2 CPU, 0 GPU, 4e+09 memory, market-type: spot" in why
    assert "8 CPU, 2 GPU, 6.4e+10 memory, 1 licence, market-type: on-demand" in why


def test_a_cluster_without_nodes_meets_nothing() -> None:
    assert "none is alive" in str(unmet(Needs(), []))
