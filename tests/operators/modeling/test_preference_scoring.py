"""CHES and critical tokens of whole sets of pairs: as by hand, whatever the batches and padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.preference_recipe import PreferencePairs
from operators.modeling.preference_scoring import critical_probabilities, pair_displacements

SHAPE = LlamaShape(
    hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=16
)
CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def models():
    return [build_llama(SHAPE, 12, bos_token_id=0, eos_token_id=0, seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def pairs():
    ids = np.random.default_rng(0).integers(1, 12, (2, 5, 8))
    return PreferencePairs(
        chosen=ids[0],
        rejected=ids[1],
        prompt_lengths=np.array([1, 2, 3, 2, 4]),
        chosen_lengths=np.array([3, 8, 5, 4, 8]),
        rejected_lengths=np.array([8, 4, 6, 3, 5]),
    )


@pytest.mark.parametrize("normalised", [False, True])
def test_ches_sums_the_states_that_predict_each_response(models, pairs, normalised):
    found = pair_displacements(models[0], pairs, length_normalised=normalised, **CPU)
    for row, score in enumerate(found):
        sums = []
        for side in ("chosen", "rejected"):
            end = getattr(pairs, f"{side}_lengths")[row]
            ids = torch.from_numpy(getattr(pairs, side)[row : row + 1, :end])
            with torch.no_grad():
                outputs = models[0](input_ids=ids, output_hidden_states=True)
            states = outputs.hidden_states[-1][0, pairs.prompt_lengths[row] - 1 : end - 1]
            sums.append(states.mean(0) if normalised else states.sum(0))
        expected = float(sums[0] @ sums[1] - sums[0] @ sums[0])
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_critical_probabilities_are_of_the_contrast_of_both_models(models, pairs):
    found = critical_probabilities(*models, pairs, beta=1.0, **CPU)
    ids = torch.from_numpy(pairs.rejected)
    with torch.no_grad():
        positive, negative = (model(input_ids=ids).logits for model in models)
    expected = (2 * positive - negative).softmax(-1)[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    np.testing.assert_allclose(found[:, 1:], expected, rtol=1e-5)
    assert found.dtype == np.float32
    assert (found[:, 0] == 0).all()
    alone = critical_probabilities(*models, pairs, beta=0.0, **CPU)
    assert np.abs(alone - found).max() > 1e-4


def test_batches_and_padding_change_nothing(models, pairs):
    places = np.arange(8)
    padded = replace(
        pairs, chosen=np.where(places < pairs.chosen_lengths[:, None], pairs.chosen, 0)
    )
    scores = pair_displacements(models[0], pairs, **CPU)
    for other in (
        pair_displacements(models[0], pairs, batch_size=2, **CPU),
        pair_displacements(models[0], padded, **CPU),
    ):
        np.testing.assert_allclose(other, scores, rtol=1e-5)
    np.testing.assert_allclose(
        critical_probabilities(*models, pairs, batch_size=2, **CPU),
        critical_probabilities(*models, pairs, **CPU),
        rtol=1e-5,
    )


def test_the_models_are_left_in_the_mode_that_they_were_in(models, pairs):
    models[0].train()
    critical_probabilities(*models, pairs, **CPU)
    pair_displacements(models[0], pairs, **CPU)
    assert models[0].training
    models[0].eval()
