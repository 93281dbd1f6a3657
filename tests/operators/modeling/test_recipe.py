"""The learning-rate schedule and the rules of a recipe."""

import math

import pytest

from operators.modeling import TrainingRecipe, learning_rate_at


def test_linear_warm_up_then_cosine_to_the_minimum():
    recipe = TrainingRecipe(
        steps=12, batch_size=1, learning_rate=2.0, warmup_steps=4, min_learning_rate_ratio=0.1
    )
    rates = [learning_rate_at(step, recipe) for step in range(1, 13)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[7] == pytest.approx(2.0 * 0.55)  # half-way down the cosine
    assert rates[-1] == pytest.approx(0.2)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_without_warm_up_the_cosine_starts_below_the_peak():
    recipe = TrainingRecipe(steps=2, batch_size=1, learning_rate=1.0, min_learning_rate_ratio=0.0)
    assert [learning_rate_at(step, recipe) for step in (1, 2)] == pytest.approx([0.5, 0.0])


def test_a_run_that_is_all_warm_up_ends_at_the_peak():
    recipe = TrainingRecipe(steps=3, batch_size=1, learning_rate=3.0, warmup_steps=3)
    assert [learning_rate_at(step, recipe) for step in (1, 2, 3)] == [1.0, 2.0, 3.0]


def test_neutral_settings_are_allowed():
    TrainingRecipe(steps=1, batch_size=1, temperature=math.inf, gradient_clip=math.inf)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"warmup_steps": 11}, "warmup_steps"),
        ({"min_learning_rate_ratio": 1.5}, "min_learning_rate_ratio"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"gradient_clip": 0.0}, "gradient_clip"),
        ({"strategy": "upper"}, "linupper"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"reweighting_warmup_steps": -1}, "reweighting_warmup_steps"),
        ({"seed": -1}, "seed"),
        ({"threads": 0}, "threads"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_an_impossible_recipe_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingRecipe(**{"steps": 10, "batch_size": 2, **change})
