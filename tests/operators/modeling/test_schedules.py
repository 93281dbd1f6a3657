"""Learning rates by step: the numbers of the sources, and the ends of all phases."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.modeling.recipe import TrainingRecipe, learning_rate_at
from operators.modeling.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Infinite,
    Rewarmed,
    WarmupStableDecay,
)


def test_the_cosine_has_the_rates_of_the_oracle():
    schedule = Cosine(steps=1000, warmup_steps=10, peak=3e-4, end_ratio=0.1)
    rates = [schedule.at(step) for step in (5, 10, 505, 1000)]
    assert rates == pytest.approx([1.5e-4, 3e-4, 1.65e-4, 3e-5], rel=1e-12)


def test_the_infinite_schedule_has_the_rates_of_the_oracle():
    schedule = Infinite(
        steps=200, warmup_steps=10, cooldown_steps=100, anneal_steps=40, peak=3e-4,
        constant_ratio=0.55, end_ratio=0.1,
    )  # fmt: skip
    steps = (5, 10, 60, 110, 135, 160, 180, 200)
    expected = [1.5e-4, 3e-4, 2.325e-4, 1.65e-4, 1.65e-4, 1.65e-4, 0.7036e-4, 0.3e-4]
    assert [schedule.at(step) for step in steps] == pytest.approx(expected, rel=1e-4)
    assert schedule.at(110) == schedule.at(160) == 3e-4 * 0.55
    assert schedule.at(200) == 3e-4 * 0.1


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 300),
    peak=st.floats(1e-6, 1.0),
    floor=st.floats(0, 1),
)
def test_the_cosine_is_that_of_the_recipe_to_the_bit(steps, warmup, peak, floor):
    warmup = min(warmup, steps)
    recipe = TrainingRecipe(
        steps=steps, batch_size=1, learning_rate=peak, warmup_steps=warmup,
        min_learning_rate_ratio=floor,
    )  # fmt: skip
    schedule = Cosine(steps=steps, warmup_steps=warmup, peak=peak, end_ratio=floor)
    again = Rewarmed(steps=steps, warmup_steps=warmup, peak=peak, end_ratio=floor)
    for step in range(1, steps + 1):
        assert schedule.at(step) == learning_rate_at(step, recipe) == again.at(step)


@given(
    decay=st.sampled_from(["linear", "sqrt", "cosine"]),
    phases=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20)),
    end_ratio=st.floats(0, 1),
)
def test_wsd_rises_stays_and_falls_to_its_end(decay, phases, end_ratio):
    warmup, stable, falling = phases
    schedule = WarmupStableDecay(
        steps=sum(phases), warmup_steps=warmup, decay_steps=falling, peak=0.3,
        end_ratio=end_ratio, decay=decay,
    )  # fmt: skip
    rates = [schedule.at(step) for step in range(1, schedule.steps + 1)]
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup : warmup + stable] == [0.3] * stable
    assert rates[warmup + stable :] == sorted(rates[warmup + stable :], reverse=True)
    assert rates[-1] == schedule.end == 0.3 * end_ratio


@pytest.mark.parametrize(
    ("decay", "quarter", "half"),
    [("linear", 0.75, 0.5), ("sqrt", 0.5, 1 - math.sqrt(0.5)), ("cosine", 0.853553, 0.5)],
)
def test_the_three_shapes_of_the_decay_differ_on_the_way(decay, quarter, half):
    schedule = WarmupStableDecay(steps=104, decay_steps=100, peak=1.0, decay=decay)
    assert schedule.at(4) == 1.0
    assert [schedule.at(29), schedule.at(54)] == pytest.approx([quarter, half], rel=1e-6)


def test_re_warming_starts_where_the_run_before_ended():
    before = Cosine(steps=100, warmup_steps=10, peak=3e-4, end_ratio=0.1)
    after = Rewarmed(steps=100, warmup_steps=10, peak=3e-4, start_ratio=0.1, end_ratio=0.1)
    first, second = after.at(1), after.at(2)
    assert before.end < first < second < after.at(10) == 3e-4
    assert first - before.end == pytest.approx(second - first)
    assert after.end == before.end


def test_a_constant_rate_may_have_a_warm_up():
    schedule = Constant(steps=5, warmup_steps=2, peak=0.5)
    assert [schedule.at(step) for step in range(1, 6)] == [0.25, 0.5, 0.5, 0.5, 0.5]


def test_from_the_constant_phase_a_run_goes_on_without_re_warming():
    first = Infinite(steps=50, warmup_steps=5, cooldown_steps=20, anneal_steps=0, peak=1.0)
    second = Infinite(steps=50, cooldown_steps=0, anneal_steps=10, peak=1.0)
    assert first.at(25) == first.end == second.at(1) == second.at(40) == 0.55
    assert second.end == 0.1


def test_phases_that_fill_the_run_exactly_are_allowed_and_one_step_more_is_not():
    Infinite(steps=30, warmup_steps=10, cooldown_steps=10, anneal_steps=10, peak=1.0)
    with pytest.raises(ValueError, match=r"anneal_steps 11 is longer than the run of 30 steps"):
        Infinite(steps=30, warmup_steps=10, cooldown_steps=10, anneal_steps=11, peak=1.0)
    with pytest.raises(ValueError, match="decay_steps 6"):
        WarmupStableDecay(steps=10, warmup_steps=5, decay_steps=6, peak=1.0)
    with pytest.raises(ValueError, match="warmup_steps 11"):
        Cosine(steps=10, warmup_steps=11, peak=1.0)


def test_a_run_that_is_all_warm_up_ends_at_the_peak():
    for schedule in (Cosine(steps=3, warmup_steps=3, peak=3.0), Constant(steps=3, peak=3.0)):
        assert schedule.end == 3.0


@pytest.mark.parametrize("step", [0, -1, 11])
def test_a_step_outside_the_run_is_an_error_not_a_rate(step):
    with pytest.raises(ValueError, match="schedule of 10 steps"):
        Cosine(steps=10, peak=1.0).at(step)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cosine(steps=0, peak=1.0), "steps"),
        (lambda: Cosine(steps=1, peak=0.0), "peak"),
        (lambda: Cosine(steps=1, peak=math.nan), "peak"),
        (lambda: Cosine(steps=1, peak=1.0, warmup_steps=-1), "warmup_steps"),
        (lambda: Cosine(steps=1, peak=1.0, end_ratio=1.5), "end_ratio"),
        (lambda: Rewarmed(steps=1, peak=1.0, start_ratio=-0.1), "start_ratio"),
        (lambda: WarmupStableDecay(steps=1, peak=1.0, decay_steps=1, decay="cubic"), "linear"),
        (
            lambda: Infinite(steps=1, peak=1.0, cooldown_steps=0, anneal_steps=0, end_ratio=0.0),
            "never reaches 0",
        ),
    ],
)
def test_an_impossible_schedule_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_every_schedule_has_a_name():
    assert sorted(SCHEDULES) == ["constant", "cosine", "infinite", "rewarmed", "wsd"]
