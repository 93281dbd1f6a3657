"""Training: bit-reproducible on a CPU, neutral settings to the bit, honest reports."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from operators.modeling import (
    LlamaShape,
    TrainingRecipe,
    batch_rows,
    build_llama,
    learning_rate_at,
    sample_losses,
    token_losses,
    train,
)

VOCABULARY = 32
SHAPE = LlamaShape(
    hidden_size=16, layers=1, heads=2, kv_heads=2, intermediate_size=24, context_length=12
)
RECIPE = TrainingRecipe(
    steps=5, batch_size=4, learning_rate=1e-2, warmup_steps=2, seed=7, device="cpu"
)
SEQUENCES = np.random.default_rng(0).integers(0, VOCABULARY, (10, 12)).astype(np.int32)


def fresh_model(seed=0):
    return build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=seed)


def run(recipe=RECIPE, scored=None, model=None):
    """Weights after training, the reports and the summary."""
    model = fresh_model() if model is None else model
    reports = []
    summary = train(model, SEQUENCES, scored, recipe, on_step=reports.append)
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return weights, reports, summary


def test_two_runs_give_the_same_weights_to_the_bit_whatever_the_global_random_state():
    torch.manual_seed(1)
    first, reports, _ = run()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, again, _ = run()
    assert torch.equal(first, second)
    assert [report.loss for report in reports] == [report.loss for report in again]
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_seeded_by_the_recipe():
    def dropped(seed):
        model = fresh_model()
        model.model.embed_tokens = torch.nn.Sequential(
            model.model.embed_tokens, torch.nn.Dropout(0.5)
        )
        return run(replace(RECIPE, seed=seed), model=model)[0]

    torch.manual_seed(1)
    first = dropped(7)
    torch.manual_seed(2)
    assert torch.equal(dropped(7), first)
    assert not torch.equal(dropped(8), first)


def test_int64_sequences_train_as_int32_ones():
    model = fresh_model()
    train(model, SEQUENCES.astype(np.int64), None, RECIPE)
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert torch.equal(weights, run()[0])


@pytest.mark.parametrize("strategy", ["linupper", "quadratic", "extremes"])
def test_reweighting_at_infinite_temperature_is_plain_training_to_the_bit(strategy):
    plain, _, _ = run()
    neutral, _, _ = run(replace(RECIPE, strategy=strategy, temperature=math.inf))
    weighted, _, _ = run(replace(RECIPE, strategy=strategy, temperature=0.4))
    assert torch.equal(neutral, plain)
    assert not torch.equal(weighted, plain)


def test_reweighting_starts_after_its_warm_up():
    plain, _, _ = run()
    recipe = replace(RECIPE, strategy="linupper", temperature=0.4)
    never, _, _ = run(replace(recipe, reweighting_warmup_steps=5))
    _, reports, _ = run(replace(recipe, reweighting_warmup_steps=3))
    assert torch.equal(never, plain)
    sizes = [report.effective_sample_size for report in reports]
    assert sizes[:3] == [4.0, 4.0, 4.0]
    assert all(size < 4.0 for size in sizes[3:])
    assert [report.loss == report.weighted_loss for report in reports] == [True] * 3 + [False] * 2


def test_seed_and_order_matter():
    assert not torch.equal(run()[0], run(replace(RECIPE, seed=8))[0])


def test_the_first_report_is_the_plain_loss_of_the_untrained_model_on_the_first_batch():
    _, reports, summary = run(replace(RECIPE, strategy="linupper", temperature=0.1))
    (rows,) = batch_rows(len(SEQUENCES), RECIPE.batch_size, 1, RECIPE.seed)
    ids = torch.from_numpy(SEQUENCES[rows].astype(np.int64))
    with torch.no_grad():
        losses = token_losses(fresh_model()(input_ids=ids).logits, ids)
    plain = float(sample_losses(losses, torch.ones_like(ids, dtype=torch.bool)).mean())
    assert reports[0].loss == pytest.approx(plain, rel=1e-6)
    assert reports[0].weighted_loss > reports[0].loss  # linupper leans to the high losses
    assert (summary.first_loss, summary.final_loss) == (reports[0].loss, reports[-1].loss)


def test_reports_count_steps_tokens_and_rates():
    _, reports, summary = run()
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    assert [report.tokens_seen for report in reports] == [44, 88, 132, 176, 220]
    assert [r.learning_rate for r in reports] == [learning_rate_at(k, RECIPE) for k in range(1, 6)]
    assert all(report.gradient_norm > 0 and report.tokens_per_second > 0 for report in reports)
    assert (summary.steps, summary.tokens_seen, summary.epochs) == (5, 220, 2.0)
    assert summary.smallest_effective_sample_size == 4.0
    assert summary.device == "cpu"


def test_the_model_learns_a_pattern_that_can_be_learnt():
    model = fresh_model()
    cycle = (np.arange(12) + np.arange(10)[:, None]) % 10
    recipe = replace(RECIPE, steps=60, learning_rate=3e-2, strategy="linupper")
    summary = train(model, cycle, None, recipe)
    assert summary.first_loss == pytest.approx(math.log(VOCABULARY), abs=0.2)
    assert summary.final_loss < 0.5


def test_tokens_that_are_not_scored_do_not_train():
    """Change the ids after the last scored token: nothing moves."""
    scored = np.ones(SEQUENCES.shape, dtype=bool)
    scored[:, 8:] = False
    first, reports, _ = run(scored=scored)
    changed = SEQUENCES.copy()
    changed[:, 8:] = 3
    model = fresh_model()
    train(model, changed, scored, RECIPE)
    second = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert torch.equal(first, second)
    assert reports[0].tokens_seen == 4 * 7


def test_norms_are_not_decayed_and_matrices_are():
    """With gradients of zero only the decay moves a weight."""

    class Silent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = torch.nn.Parameter(torch.ones(3, 3))
            self.norm = torch.nn.Parameter(torch.ones(3))

        def forward(self, input_ids, use_cache):
            nothing = 0.0 * (self.matrix.sum() + self.norm.sum())
            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, VOCABULARY) + nothing)

    model = Silent()
    train(model, SEQUENCES, None, replace(RECIPE, steps=1, warmup_steps=1, weight_decay=0.5))
    assert torch.equal(model.norm, torch.ones(3))
    assert torch.allclose(model.matrix, torch.full((3, 3), 1 - 1e-2 * 0.5))


def test_the_gradient_norm_is_reported_before_clipping():
    clipped = run(replace(RECIPE, gradient_clip=1e-3))[1]
    free = run(replace(RECIPE, gradient_clip=math.inf))[1]
    assert clipped[0].gradient_norm == free[0].gradient_norm > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_and_the_thread_count_come_back(training):
    model = fresh_model().train(training)
    before = torch.get_num_threads()
    during = []
    other = 1 if before > 1 else 2
    train(
        model,
        SEQUENCES,
        None,
        replace(RECIPE, steps=1, warmup_steps=0, threads=other),
        on_step=lambda report: during.append((torch.get_num_threads(), model.training)),
    )
    assert during == [(other, True)]
    assert torch.get_num_threads() == before
    assert model.training is training


def test_bfloat16_autocast_trains_float32_weights():
    weights, reports, _ = run(replace(RECIPE, precision="bfloat16"))
    assert weights.dtype == torch.float32
    assert reports[0].loss == pytest.approx(run()[1][0].loss, abs=0.05)


def test_a_loss_that_is_not_finite_names_its_step_and_spares_the_weights():
    model = fresh_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    before = torch.get_num_threads()
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan"):
        train(model, SEQUENCES, None, RECIPE)
    assert torch.get_num_threads() == before


def test_a_divergence_names_the_step_it_came_in():
    class Diverging(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(VOCABULARY))
            self.calls = 0

        def forward(self, input_ids, use_cache):
            self.calls += 1
            broken = math.nan if self.calls == 3 else 0.0
            return SimpleNamespace(logits=self.scale.expand(*input_ids.shape, -1) + broken)

    model = Diverging()
    with pytest.raises(FloatingPointError, match="step 3"):
        train(model, SEQUENCES, None, RECIPE)
    assert bool(model.scale.isfinite().all())


def test_a_gradient_that_is_not_finite_names_its_step():
    class Cliff(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = torch.nn.Parameter(torch.zeros(VOCABULARY))

        def forward(self, input_ids, use_cache):
            logits = self.offset.abs().sqrt()  # the slope at 0 is infinite
            return SimpleNamespace(logits=logits.expand(*input_ids.shape, -1))

    with pytest.raises(FloatingPointError, match="step 1: the gradient norm"):
        train(Cliff(), SEQUENCES, None, RECIPE)


@pytest.mark.parametrize(
    ("sequences", "scored", "message"),
    [
        (SEQUENCES[0], None, "integers"),
        (SEQUENCES.astype(np.float32), None, "integers"),
        (SEQUENCES[:0], None, "at least one row"),
        (SEQUENCES[:, :1], None, "at least two tokens"),
        (SEQUENCES + VOCABULARY, None, "vocabulary of 32"),
        (SEQUENCES - VOCABULARY, None, "token ids"),
        (SEQUENCES, np.ones((10, 11), dtype=bool), "scored must be boolean"),
        (SEQUENCES, np.ones((10, 12), dtype=np.int8), "scored must be boolean"),
        (SEQUENCES, np.arange(120).reshape(10, 12) != 13, None),
        (SEQUENCES, np.eye(10, 12, dtype=bool), "row 0 has no scored token"),
    ],
)
def test_data_that_does_not_fit_is_named(sequences, scored, message):
    if message is None:
        train(fresh_model(), sequences, scored, RECIPE)
        return
    with pytest.raises(ValueError, match=message):
        train(fresh_model(), sequences, scored, RECIPE)
