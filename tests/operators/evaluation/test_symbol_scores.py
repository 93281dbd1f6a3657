"""Symbols are scored at their own place, once, as the loss of the text says."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from operators.evaluation.symbol_scores import symbol_scores
from operators.modeling.scoring import score_documents

VOCABULARY = 6


class Successor(torch.nn.Module):
    """Expects the id behind the last one: logit 2 for it, 1 for the next, 0 for all others."""

    def forward(self, input_ids, use_cache):
        assert not use_cache
        expected = torch.nn.functional.one_hot((input_ids + 1) % VOCABULARY, VOCABULARY)
        second = torch.nn.functional.one_hot((input_ids + 2) % VOCABULARY, VOCABULARY)
        return SimpleNamespace(logits=2.0 * expected + second)


class Summing(torch.nn.Module):
    """Looks at all that came before, with weights that are drawn once."""

    def __init__(self):
        super().__init__()
        self.table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(0))

    def forward(self, input_ids, use_cache):
        del use_cache
        return SimpleNamespace(logits=self.table[input_ids].cumsum(dim=1))


SETTINGS = {"context_length": 8, "stride": 4, "bos_token_id": 0, "batch_size": 2, "device": "cpu"}


def test_a_score_stands_at_the_token_it_is_about_and_not_one_beside_it():
    (scores,) = symbol_scores(Successor(), [[1, 2, 4]], [1, 2, 3, 4], **SETTINGS)
    assert scores.symbols.argmax(axis=1).tolist() == [0, 1, 2]  # behind BOS 0 comes 1
    normaliser = np.log(np.exp(2) + np.exp(1) + VOCABULARY - 2)
    assert scores.symbols[0] == pytest.approx([2 - normaliser, 1 - normaliser, *[-normaliser] * 2])


def test_scores_of_what_stands_there_are_the_losses_of_the_text_in_windows_too():
    chance = np.random.default_rng(0)
    documents = [chance.integers(1, VOCABULARY, size).tolist() for size in (0, 1, 5, 8, 23)]
    losses = score_documents(Summing(), documents, **SETTINGS)
    scores = symbol_scores(Summing(), documents, list(range(VOCABULARY)), **SETTINGS)
    for document, nats, found in zip(documents, losses, scores, strict=True):
        at = found.symbols[np.arange(len(document)), document]
        assert -at == pytest.approx(nats, abs=1e-6)
        assert np.isneginf(found.others).all()


def test_symbols_and_others_share_the_whole_probability():
    (scores,) = symbol_scores(Summing(), [[1, 2, 3, 4, 5]], [4, 2], **SETTINGS)
    (every,) = symbol_scores(Summing(), [[1, 2, 3, 4, 5]], list(range(VOCABULARY)), **SETTINGS)
    assert np.exp(scores.symbols).sum(axis=1) + np.exp(scores.others) == pytest.approx(np.ones(5))
    assert scores.symbols == pytest.approx(every.symbols[:, [4, 2]])
    assert scores.best_other == pytest.approx(every.symbols[:, [0, 1, 3, 5]].max(axis=1))


def test_what_is_left_out_has_no_share():
    (scores,) = symbol_scores(Successor(), [[1]], [2, 3], left_out=[1, 0], **SETTINGS)
    normaliser = np.log(np.exp(1) + 3)
    assert scores.symbols[0] == pytest.approx([1 - normaliser, -normaliser])
    assert scores.others[0] == pytest.approx(np.log(2) - normaliser)
    assert scores.best_other[0] == pytest.approx(-normaliser)


def test_documents_beside_a_document_change_nothing_of_it():
    documents = [[1, 2], [3], [5, 4, 3, 2, 1, 1, 2, 3, 4, 5], [2, 2, 2]]
    together = symbol_scores(Summing(), documents, [1, 2], **SETTINGS)
    for document, found in zip(documents, together, strict=True):
        (alone,) = symbol_scores(Summing(), [document], [1, 2], **SETTINGS)
        assert alone.symbols == pytest.approx(found.symbols, abs=1e-9)


@pytest.mark.parametrize(
    ("symbols", "more", "said"),
    [
        ([1, 1], {}, "must differ"),
        ([], {}, "must differ"),
        ([1], {"left_out": [1]}, "must differ"),
        ([1], {"batch_size": 0}, "batch_size must be >= 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(symbols, more, said):
    with pytest.raises(ValueError, match=said):
        symbol_scores(Successor(), [[1]], symbols, **{**SETTINGS, **more})
