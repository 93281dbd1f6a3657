"""A loss that jumps or is no number stops, skips or rolls back, and says where."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.spikes import SpikeRule, SpikeState, judge_step


def run(rule, losses, state=None, first=1):
    state = state or SpikeState()
    verdicts = []
    for step, loss in enumerate(losses, start=first):
        state, verdict = judge_step(rule, state, step, loss)
        verdicts.append(verdict)
    return state, verdicts


# Median 3, deviations 2 1 0 1 2: MAD 1.
CALM = [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_loss_on_the_threshold_is_accepted_and_one_above_is_a_spike():
    rule = SpikeRule(window=5, deviations=4.0)
    state, _ = run(rule, CALM)
    _, on = judge_step(rule, state, 6, 7.0)
    _, above = judge_step(rule, state, 6, 7.000001)
    assert (on.action, on.reason) == ("go_on", "")
    assert above.action == "stop"
    assert above.reason.startswith("step 6: the loss 7.0000 is above 7.0000 (the last 5 losses")


def test_a_fall_is_no_spike():
    state, _ = run(SpikeRule(window=5, deviations=0.1), CALM)
    assert judge_step(SpikeRule(window=5, deviations=0.1), state, 6, 0.0)[1].action == "go_on"


def test_before_the_window_is_full_only_what_is_no_number_counts():
    rule = SpikeRule(window=5, deviations=0.1)
    state, verdicts = run(rule, [1.0, 100.0, 1.0, 1e9])
    assert {verdict.action for verdict in verdicts} == {"go_on"}
    _, verdict = judge_step(rule, state, 5, math.nan)
    assert (verdict.action, verdict.reason) == ("stop", "step 5: the loss is nan")


@pytest.mark.parametrize("policy", ["stop", "skip", "roll_back"])
@pytest.mark.parametrize(
    ("loss", "norm", "reason"),
    [
        (math.nan, 1.0, "loss is nan"),
        (math.inf, 1.0, "loss is inf"),
        (2.0, math.nan, "norm is nan"),
    ],
)
def test_what_is_no_number_follows_the_policy_and_names_the_step(policy, loss, norm, reason):
    state, verdict = judge_step(SpikeRule(policy=policy), SpikeState(), 41, loss, norm)
    assert verdict.action == policy
    assert "step 41" in verdict.reason
    assert reason in verdict.reason
    assert state.spikes == 1


def test_a_spike_that_is_skipped_does_not_move_the_threshold():
    rule = SpikeRule(policy="skip", window=5, deviations=4.0)
    state, verdicts = run(rule, [*CALM, 50.0, 50.0, 3.0])
    assert [verdict.action for verdict in verdicts[5:]] == ["skip", "skip", "go_on"]
    assert state.losses == (2.0, 3.0, 4.0, 5.0, 3.0)
    assert state.left_out == ()


def test_losses_that_hardly_vary_may_rise_by_the_least_rise():
    rule = SpikeRule(policy="skip", window=4, least_rise=0.5)
    state, _ = run(rule, [1.0] * 4)
    assert judge_step(rule, state, 5, 1.5)[1].action == "go_on"
    assert judge_step(rule, state, 5, 1.6)[1].action == "skip"
    assert judge_step(SpikeRule(window=4), state, 5, 1.0)[1].action == "go_on"
    assert judge_step(SpikeRule(window=4), state, 5, 1.001)[1].action == "stop"


def test_a_roll_back_forgets_the_losses_since_and_remembers_what_to_leave_out():
    rule = SpikeRule(policy="roll_back", window=5, deviations=4.0, batches_left_out=3)
    checkpoint, _ = run(rule, CALM)
    state, verdicts = run(rule, [2.0, 2.0, 99.0], checkpoint, first=6)
    assert verdicts[-1].action == "roll_back"
    back = state.rolled_back(checkpoint)
    assert (back.losses, back.spikes, back.left_out) == (tuple(CALM), 1, (6, 7, 8))


def test_the_batches_before_the_first_step_cannot_be_left_out():
    rule = SpikeRule(policy="roll_back", batches_left_out=5)
    state, _ = judge_step(rule, SpikeState(), 2, math.nan)
    assert state.left_out == (1, 2)


@pytest.mark.parametrize("policy", ["skip", "roll_back"])
def test_too_many_spikes_stop_the_run_whatever_the_policy(policy):
    rule = SpikeRule(policy=policy, limit=3)
    _, verdicts = run(rule, [math.nan] * 3)
    assert [verdict.action for verdict in verdicts] == [policy, policy, "stop"]
    assert "spike 3, and the limit is 3" in verdicts[-1].reason


@given(st.lists(st.floats(0, 50) | st.just(math.nan), max_size=40), st.integers(0, 40))
def test_a_state_that_was_saved_and_read_goes_on_the_same(losses, cut):
    rule = SpikeRule(policy="roll_back", window=4, deviations=3.0, limit=100)
    whole = run(rule, losses)
    state, before = run(rule, losses[:cut])
    state = SpikeState.from_dict(json.loads(json.dumps(state.to_dict())))
    state, after = run(rule, losses[cut:], state, first=len(before) + 1)
    assert (state, before + after) == whole


@given(st.lists(st.floats(0, 50), max_size=30))
def test_with_no_bound_every_finite_loss_is_accepted(losses):
    _, verdicts = run(SpikeRule(window=2, deviations=math.inf), losses)
    assert all(verdict.action == "go_on" for verdict in verdicts)


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "hope"}, {"window": 1}, {"deviations": 0.0}, {"deviations": math.nan},
        {"least_rise": -1.0}, {"batches_left_out": 0}, {"limit": 0},
    ],
)  # fmt: skip
def test_an_impossible_rule_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        SpikeRule(**change)
