"""Token selection: published numbers, the neutral share, ties, counts, scope, bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.weighting.token_selection import (
    SCOPES,
    excess_losses,
    gamma_at,
    kept_count,
    prompt_positions,
    retrospective_excess_losses,
    select_tokens,
    sstoken_scores,
    within_response,
)


def row(*values):
    return torch.tensor([values])


def everywhere(scores):
    return torch.ones_like(scores, dtype=torch.bool)


@st.composite
def batches(draw, distinct=False):
    """Scores (few values: ties are common, unless distinct) and a mask."""
    b, t = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (b, t), generator=generator).float()
    if distinct:
        scores = torch.randperm(b * t, generator=generator).view(b, t).float()
    return scores, torch.rand(b, t, generator=generator) < draw(st.sampled_from([0.3, 0.8, 1.0]))


shares = st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.6, 0.7, 0.999])


def test_rho_1_keeps_the_two_tokens_that_exceed_the_reference_most():
    losses, reference = row(2.0, 1.0, 3.0, 0.5, 4.0), row(1.5, 1.2, 1.0, 0.4, 3.9)
    excess = excess_losses(losses, reference)
    assert excess[0].tolist() == pytest.approx([0.5, -0.2, 2.0, 0.1, 0.1], abs=1e-6)
    kept = select_tokens(excess, everywhere(excess), 0.4)
    assert kept[0].tolist() == [True, False, True, False, False]
    assert float(losses[kept].mean()) == 2.5


def test_sstoken_keeps_tokens_0_1_and_3():
    excess, attention = row(0.2, 1.0, -0.2, 0.6), row(0.9, 0.1, 0.3, 0.5)
    scored = everywhere(excess)
    normalised = within_response(excess, scored)
    assert normalised[0].tolist() == pytest.approx([1 / 3, 1.0, 0.0, 2 / 3], abs=1e-6)
    scores = sstoken_scores(excess, attention, scored, gamma=0.5)
    assert scores[0].tolist() == pytest.approx([0.6167, 0.55, 0.15, 0.5833], abs=5e-5)
    kept = select_tokens(scores, scored, 0.6, scope="sample")
    assert kept[0].tolist() == [True, True, False, True]


def test_rho_wants_the_tokens_that_are_worse_and_sstoken_those_that_became_better():
    losses, other = row(1.0, 2.0), row(2.0, 1.0)
    assert excess_losses(losses, other)[0].tolist() == [-1.0, 1.0]
    assert retrospective_excess_losses(losses, other)[0].tolist() == [1.0, -1.0]


@pytest.mark.parametrize("scope", SCOPES)
@settings(max_examples=40, deadline=None)
@given(batch=batches())
def test_a_share_of_1_keeps_exactly_what_is_scored(scope, batch):
    scores, scored = batch
    assert torch.equal(select_tokens(scores, scored, 1.0, scope), scored)


@settings(max_examples=100, deadline=None)
@given(batch=batches(), share=shares)
def test_the_batch_keeps_its_count_and_no_kept_score_is_below_one_left_out(batch, share):
    scores, scored = batch
    kept = select_tokens(scores, scored, share, "batch")
    assert not (kept & ~scored).any()
    assert int(kept.sum()) == kept_count(share, int(scored.sum()))
    left = scored & ~kept
    if kept.any() and left.any():
        assert scores[kept].min() >= scores[left].max()


@settings(max_examples=100, deadline=None)
@given(batch=batches(), share=shares)
def test_a_sample_keeps_what_it_would_keep_alone(batch, share):
    scores, scored = batch
    kept = select_tokens(scores, scored, share, "sample")
    for i in range(len(scores)):
        alone = select_tokens(scores[i : i + 1], scored[i : i + 1], share, "batch")
        assert torch.equal(kept[i : i + 1], alone)


@settings(max_examples=100, deadline=None)
@given(batch=batches(), share=shares)
def test_of_equal_scores_the_first_in_rows_and_positions_win(batch, share):
    scores, scored = batch
    flat = [(-float(scores.flatten()[n]), n) for n in range(scores.numel()) if scored.flatten()[n]]
    expected = {n for _, n in sorted(flat)[: kept_count(share, len(flat))]}
    kept = select_tokens(scores, scored, share, "batch").flatten()
    assert set(kept.nonzero().flatten().tolist()) == expected


@pytest.mark.parametrize("scope", SCOPES)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), batch=batches(distinct=True), share=shares)
def test_permuting_the_samples_permutes_the_selection(scope, data, batch, share):
    scores, scored = batch
    order = torch.tensor(data.draw(st.permutations(range(len(scores)))))
    kept = select_tokens(scores, scored, share, scope)
    assert torch.equal(select_tokens(scores[order], scored[order], share, scope), kept[order])


@pytest.mark.parametrize(
    ("share", "n", "count"),
    [(0.7, 10, 7), (0.6, 5, 3), (0.1, 30, 3), (0.6, 4, 3), (0.5, 1, 1), (1e-9, 7, 1), (0.3, 0, 0)],
)
def test_the_count_is_the_ceiling_of_the_share_without_rounding_error(share, n, count):
    assert kept_count(share, n) == count
    assert kept_count(share, torch.tensor([n])).tolist() == [count]


@pytest.mark.parametrize("scope", SCOPES)
def test_scores_that_are_not_scored_count_for_nothing_whatever_they_are(scope):
    scores = row(math.nan, 1.0, math.inf, 2.0)
    scored = row(False, True, False, True)
    assert select_tokens(scores, scored, 0.5, scope)[0].tolist() == [False, False, False, True]


@pytest.mark.parametrize("scope", SCOPES)
def test_infinite_scores_have_an_order_too(scope):
    scores = row(-math.inf, math.inf, 0.0, -math.inf)
    kept = select_tokens(scores, everywhere(scores), 0.75, scope)
    assert kept[0].tolist() == [True, True, True, False]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (2, 3)])
def test_a_batch_without_scored_tokens_selects_nothing(scope, shape):
    nothing = torch.zeros(shape, dtype=torch.bool)
    assert torch.equal(select_tokens(torch.ones(shape), nothing, 0.5, scope), nothing)


def test_a_response_whose_values_are_all_the_same_is_0_throughout():
    values, scored = row(9.0, 2.0, 2.0), row(False, True, True)
    assert within_response(values, scored)[0].tolist() == [0.0, 0.0, 0.0]
    assert within_response(values, row(False, False, False))[0].tolist() == [0.0, 0.0, 0.0]
    assert within_response(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 0)


def test_what_is_outside_the_response_does_not_stretch_it():
    values, scored = row(-100.0, 1.0, 3.0, 900.0), row(False, True, True, False)
    assert within_response(values, scored)[0].tolist() == pytest.approx([0.0, 0.0, 1.0, 0.0])


def test_each_end_of_gamma_needs_one_term_only():
    values, scored = row(1.0, 3.0), row(True, True)
    assert torch.equal(sstoken_scores(values, None, scored, 1.0), within_response(values, scored))
    assert torch.equal(sstoken_scores(None, values, scored, 0.0), values)
    with pytest.raises(ValueError, match="needs the attention"):
        sstoken_scores(values, None, scored, 0.5)
    with pytest.raises(ValueError, match="needs the excess losses"):
        sstoken_scores(None, values, scored, 0.5)


def test_gamma_is_0_up_to_the_last_step_of_the_cold_start():
    assert [gamma_at(step, 0.5, 3) for step in (1, 3, 4)] == [0.0, 0.0, 0.5]
    assert gamma_at(1, 0.5, 0) == 0.5


def test_the_prompt_ends_before_the_first_scored_token_also_of_several_turns():
    scored = torch.tensor([[False, False, True, False, True], [True] * 5, [False] * 5])
    assert prompt_positions(scored).tolist() == [
        [True, True] + [False] * 3,
        [False] * 5,
        [True] * 5,
    ]


def test_nothing_that_is_returned_carries_a_gradient():
    losses = row(1.0, 2.0, 3.0).requires_grad_()
    scored = everywhere(losses)
    excess = retrospective_excess_losses(losses, row(2.0, 2.0, 2.0))
    assert not excess.requires_grad
    assert not sstoken_scores(losses, losses, scored).requires_grad
    assert not select_tokens(losses, scored, 0.5).requires_grad


def test_bad_input_is_named():
    scores, scored = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    for share in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share"):
            select_tokens(scores, scored, share)
    with pytest.raises(ValueError, match="scope"):
        select_tokens(scores, scored, 0.5, "rank")
    with pytest.raises(ValueError, match="shape"):
        select_tokens(scores, scored[:1], 0.5)
    with pytest.raises(ValueError, match="boolean"):
        select_tokens(scores, scored.long(), 0.5)
    for scope in SCOPES:
        with pytest.raises(ValueError, match="NaN"):
            select_tokens(scores.fill_(math.nan), scored, 0.5, scope)
    with pytest.raises(ValueError, match="shape"):
        excess_losses(scores, scores[:1])
    with pytest.raises(ValueError, match="gamma"):
        sstoken_scores(scores, scores, scored, 1.5)
