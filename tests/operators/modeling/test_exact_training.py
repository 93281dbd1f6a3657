"""Same bits with one worker or four, and with or without a stop on the way."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from process_group import in_ranks

from operators.modeling import LlamaShape, TrainingRecipe, build_llama
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training
from operators.modeling.training_state import OtherRun, TrainingState

VOCABULARY = 32
SHAPE = LlamaShape(
    hidden_size=16, layers=1, heads=2, kv_heads=2, intermediate_size=24, context_length=12
)
RECIPE = TrainingRecipe(
    steps=6, batch_size=4, learning_rate=1e-2, warmup_steps=2, seed=7, device="cpu",
    reweighting_warmup_steps=1, selection_gamma=0.5,
)  # fmt: skip
DRAWN = np.random.default_rng(0)


def sft_rows(count=10, seed=0):
    """Prompts and answers of different lengths, with stored losses."""
    drawn = np.random.default_rng(seed)
    lengths = drawn.integers(5, 13, count)
    rows = {"tokens": [], "scored": [], "reference_losses": []}
    for length in lengths:
        prompt = int(drawn.integers(1, length - 2))
        rows["tokens"].append(drawn.integers(0, VOCABULARY, length).tolist())
        rows["scored"].append([False] * prompt + [True] * (length - prompt))
        rows["reference_losses"].append(drawn.uniform(2, 5, length).tolist())
    types = {"tokens": pa.int32(), "scored": pa.bool_(), "reference_losses": pa.float32()}
    return TokenRows(pa.table({name: pa.array(rows[name], pa.list_(types[name])) for name in rows}))


ROWS = sft_rows()
WEIGHTINGS = {
    "samples": {},
    "tokens": {"reduction": "tokens"},
    "linupper": {"strategy": "linupper", "temperature": 0.4},
    "quadratic": {"strategy": "quadratic"},
    "extremes": {"strategy": "extremes"},
    "rho1": {"selection": "rho1"},
    "sstoken": {"selection": "sstoken"},
    "focal": {"selection": "focal", "selection_gamma": 2.0},
    "rank": {"selection": "rank"},
}


def fresh_model():
    return build_llama(SHAPE, VOCABULARY, bos_token_id=0, eos_token_id=1, seed=0)


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def trained(recipe, rows=ROWS, stop=None, **settings):
    """Weights, gradients of the last step and losses; with `stop`, gone on with from a file."""
    training = Training(fresh_model(), [rows], recipe, **settings)
    if stop is not None:
        states = []
        training.run(save_every=stop, save=states.append)
        training = Training(fresh_model(), [rows], recipe, **settings)
        training.go_on_from(states[0])
        assert training.step == stop
    training.run()
    parameters = list(training.model.parameters())
    gradients = flat([parameter.grad for parameter in parameters])
    return flat(parameters), gradients, [(r.loss, r.weighted_loss) for r in training.reports]


def same(one, other):
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and one[2] == other[2]


def near(one, other, bound=1e-6):
    return all(
        float((first - second).abs().max()) <= bound
        for first, second in zip(one[:2], other[:2], strict=True)
    ) and np.allclose(one[2], other[2], atol=bound, rtol=0)


@pytest.mark.parametrize("weighting", list(WEIGHTINGS))
def test_four_ranks_of_one_are_four_micro_batches_to_the_bit_and_a_batch_of_four_nearly(weighting):
    whole = replace(RECIPE, **WEIGHTINGS[weighting])
    cut = replace(whole, micro_batch_size=1)
    torch.set_num_threads(1)  # threads do not survive a fork
    one = trained(whole)
    accumulated = trained(cut)
    ranks = in_ranks(4, lambda rank: [np.asarray(x) for x in trained(cut)[:2]])
    # Adam divides by the square root of what may be nearly 0: a step of it may differ by more
    # than the gradients do, so that the first gradients are looked at as well.
    assert near(accumulated, one, 2e-5), weighting
    first_whole, first_cut = (
        trained(replace(recipe, steps=1, warmup_steps=0, reweighting_warmup_steps=0))
        for recipe in (whole, cut)
    )
    assert near(first_whole, first_cut), weighting
    for weights, gradients in ranks:
        assert torch.equal(torch.from_numpy(weights), accumulated[0]), weighting
        assert torch.equal(torch.from_numpy(gradients), accumulated[1]), weighting


def test_two_ranks_with_two_micro_batches_each_are_four_micro_batches_to_the_bit():
    cut = replace(RECIPE, micro_batch_size=1, strategy="linupper")
    torch.set_num_threads(1)
    alone = trained(cut)
    for weights in in_ranks(2, lambda rank: np.asarray(trained(cut)[0])):
        assert torch.equal(torch.from_numpy(weights), alone[0])


@pytest.mark.parametrize("weighting", list(WEIGHTINGS))
@pytest.mark.parametrize("stop", [1, 4])
def test_going_on_from_a_checkpoint_gives_the_losses_and_weights_to_the_bit(weighting, stop):
    recipe = replace(RECIPE, **WEIGHTINGS[weighting])
    assert same(trained(recipe, stop=stop), trained(recipe)), weighting


def test_a_checkpoint_on_disk_is_the_state_in_memory(tmp_path):
    recipe = replace(RECIPE, selection="sstoken")
    rows = TokenRows.of_arrays(DRAWN.integers(0, VOCABULARY, (10, 12)).astype(np.int32))
    whole = Training(fresh_model(), [rows], recipe, validation={"held": rows}, validate_every=2)
    whole.run()
    saved = Training(fresh_model(), [rows], recipe, validation={"held": rows}, validate_every=2)
    saved.run(save_every=3, save=lambda state: state.step == 3 and state.save(tmp_path))
    again = Training(fresh_model(), [rows], recipe, validation={"held": rows}, validate_every=2)
    again.go_on_from(TrainingState.load(tmp_path))
    summary = again.run()
    assert torch.equal(flat(whole.model.parameters()), flat(again.model.parameters()))
    assert [r.loss for r in whole.reports] == [r.loss for r in again.reports]
    assert whole.validation == again.validation
    assert [point.step for point in again.validation] == [0, 2, 4, 6]
    assert summary.resumed == ("went on from step 3 of 6",)


def test_going_on_with_one_worker_after_two_keeps_the_order_of_the_data_and_says_so(tmp_path):
    recipe = replace(RECIPE, micro_batch_size=2)
    torch.set_num_threads(1)
    alone = trained(recipe)

    def begun(rank):
        training = Training(fresh_model(), [ROWS], recipe)

        def save(state):
            if rank == 0 and state.step == 3:
                state.save(tmp_path)

        training.run(save_every=3, save=save)

    in_ranks(2, begun)
    training = Training(fresh_model(), [ROWS], recipe)
    training.go_on_from(TrainingState.load(tmp_path))
    summary = training.run()
    assert torch.equal(flat(training.model.parameters()), alone[0])
    assert "2 workers before, 1 now: the order of the data is the same" in summary.resumed


def test_a_checkpoint_of_another_run_is_refused_and_says_what_differs(tmp_path):
    training = Training(fresh_model(), [ROWS], RECIPE)
    training.run(save_every=6, save=lambda state: state.save(tmp_path))
    state = TrainingState.load(tmp_path)
    other = Training(fresh_model(), [ROWS], replace(RECIPE, learning_rate=2e-2))
    with pytest.raises(OtherRun, match=r"learning_rate is 0\.02 here and 0\.01 there"):
        other.go_on_from(state)
    shorter = Training(fresh_model(), [sft_rows(9)], RECIPE)
    with pytest.raises(OtherRun, match=r"rows of the data is \[9\] here and \[10\] there"):
        shorter.go_on_from(state)


def test_ranks_that_cannot_share_a_step_are_told_what_to_set():
    torch.set_num_threads(1)
    with pytest.raises(ValueError, match="set micro_batch_size smaller"):
        in_ranks(2, lambda rank: trained(RECIPE)[0])
    with pytest.raises(ValueError, match="1, 2, 4, 8"):
        in_ranks(3, lambda rank: trained(replace(RECIPE, batch_size=6, micro_batch_size=1))[0])


def test_sharded_weights_train_as_whole_ones_up_to_rounding(tmp_path):
    recipe = replace(RECIPE, micro_batch_size=2, strategy="linupper")
    torch.set_num_threads(1)
    alone = trained(recipe)

    def sharded(rank):
        training = Training(fresh_model(), [ROWS], replace(recipe, sharded=True))

        def save(state):
            if rank == 0 and state.step == 3:
                state.save(tmp_path)

        training.run(save_every=3, save=save)
        again = Training(fresh_model(), [ROWS], replace(recipe, sharded=True))
        again.go_on_from(TrainingState.load(tmp_path))
        again.run()
        if rank == 0:
            again.state().save(tmp_path)
        else:
            again.state()
        return [(r.loss, r.weighted_loss) for r in again.reports]

    losses = in_ranks(2, sharded)[0]
    assert np.allclose(losses, alone[2], atol=1e-5)
    state = TrainingState.load(tmp_path)
    names = [f"model.{name}" for name, _ in fresh_model().named_parameters()]
    assert float((flat([state.model[n] for n in names]) - alone[0]).abs().max()) < 1e-4


def test_dropout_is_the_same_whoever_draws_it():
    """Four ranks, four micro-batches and a stop in between see the same units dropped."""

    class Dropping(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.inner, self.config = model, model.config
            self.inner.model.embed_tokens = torch.nn.Sequential(
                self.inner.model.embed_tokens, torch.nn.Dropout(0.5)
            )

        def forward(self, **arguments):
            return self.inner(**arguments)

    recipe = replace(RECIPE, micro_batch_size=1)
    torch.set_num_threads(1)

    def run(stop=None):
        training = Training(Dropping(fresh_model()), [ROWS], recipe)
        states = []
        training.run(save_every=2, save=states.append)
        if stop is not None:
            training = Training(Dropping(fresh_model()), [ROWS], recipe)
            training.go_on_from(states[stop])
            training.run()
        return np.asarray(flat(training.model.parameters()))

    alone = run()
    assert np.array_equal(run(stop=0), alone)
    assert all(np.array_equal(ranked, alone) for ranked in in_ranks(4, lambda rank: run()))


@pytest.mark.parametrize("selection", ["rho1", "sstoken"])
def test_a_selection_of_all_tokens_is_plain_training_to_the_bit(selection):
    plain = replace(RECIPE, reduction="tokens")
    assert same(trained(replace(plain, selection=selection, selection_share=1.0)), trained(plain))


def test_a_selection_without_stored_losses_says_what_to_wire():
    rows = TokenRows.of_arrays(np.zeros((4, 12), np.int32))
    with pytest.raises(ValueError, match=r"weighting\.reference_losses"):
        Training(fresh_model(), [rows], replace(RECIPE, selection="rho1"))


# --- what goes wrong on the way -------------------------------------------------------------------


class Breaking(torch.nn.Module):
    """A model whose logits are not finite for one of its passes."""

    def __init__(self, at):
        super().__init__()
        self.inner = fresh_model()
        self.passes, self.at = 0, at

    def forward(self, **arguments):
        self.passes += 1
        found = self.inner(**arguments)
        if self.passes == self.at:
            found.logits = found.logits * math.nan
        return found


def test_a_step_that_is_skipped_changes_no_weight_and_is_told():
    recipe = replace(RECIPE, on_spike="skip")
    training = Training(Breaking(3), [ROWS], recipe)
    weights = []
    summary = training.run(lambda report: weights.append(flat(training.model.parameters())))
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[2], weights[3])
    assert summary.skipped_steps == 1
    assert [report.skipped for report in training.reports] == [False] * 2 + [True] + [False] * 3


def test_rolling_back_goes_on_behind_the_batch_that_broke():
    recipe = replace(RECIPE, on_spike="roll_back", snapshot_every=2)
    training = Training(Breaking(4), [ROWS], recipe)
    summary = training.run()
    assert summary.rolled_back == 1
    assert [report.step for report in training.reports] == [1, 2, 3, 4, 5, 6]
    # Step 3 is made again, and step 4 on the batch behind the broken one: 7 batches for 6 steps.
    assert summary.epochs == 7 * RECIPE.batch_size / len(ROWS)
    assert all(math.isfinite(report.loss) for report in training.reports)


class Poisoned(torch.nn.Module):
    """A model that gives no number for a row with the last token in it."""

    def __init__(self):
        super().__init__()
        self.inner = fresh_model()

    def forward(self, **arguments):
        found = self.inner(**arguments)
        poison = (arguments["input_ids"] == VOCABULARY - 1).any()
        found.logits = found.logits * (math.nan if poison else 1.0)
        return found


def test_a_run_that_rolled_back_after_a_stop_is_the_one_that_was_not_stopped():
    clean = np.random.default_rng(3).integers(0, VOCABULARY - 1, (40, 12)).astype(np.int32)
    recipe = replace(RECIPE, steps=9, on_spike="roll_back", snapshot_every=3)
    # Poison for the sixth batch of the data: after the checkpoint of step 4, which is of step 3.
    clean[Training(fresh_model(), [TokenRows.of_arrays(clean)], recipe)._order.rows(6)[1][0], 2] = (
        VOCABULARY - 1
    )
    rows = TokenRows.of_arrays(clean)
    whole = Training(Poisoned(), [rows], recipe)
    states = []
    assert whole.run(save_every=4, save=states.append).rolled_back == 1
    # Step 4 is made twice, before the spike and after the way back.
    assert [state.step for state in states] == [3, 3, 6]
    for state in states:
        again = Training(Poisoned(), [rows], recipe)
        again.go_on_from(state)
        summary = again.run()
        assert summary.rolled_back == 1
        assert torch.equal(flat(again.model.parameters()), flat(whole.model.parameters()))
        assert [r.loss for r in again.reports] == [r.loss for r in whole.reports]
