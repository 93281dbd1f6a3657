"""Translation scores are those of sacrebleu, and statistics of sentences add up to them."""

import numpy as np
import pytest

sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")

from operators.evaluation.translation_scores import (  # noqa: E402
    STATISTICS,
    bleu_bootstrap,
    bleu_of,
    translation_scores,
)

REFERENCES = [
    "The old mill stands by the river.", "Nobody has ground corn there for years.",
    "In spring the children come to fish.", "It's raining.", "The end of the road is near the sea.",
]  # fmt: skip
HYPOTHESES = [
    "The old mill stands at the river.", "Nobody has ground corn for many years.",
    "The children come to fish in spring.", "It rains.", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def scores():
    return translation_scores(REFERENCES, HYPOTHESES)


def test_scores_of_the_corpus_are_those_of_sacrebleu(scores):
    assert scores.bleu == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert scores.chrf == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score


def test_statistics_of_sentences_add_up_to_the_bleu_of_the_corpus(scores):
    assert scores.statistics.shape == (5, len(STATISTICS))
    assert bleu_of(scores.statistics) == pytest.approx(scores.bleu, rel=1e-12)
    assert bleu_of(scores.statistics.sum(axis=0)) == pytest.approx(scores.bleu, rel=1e-12)
    some = [0, 2]
    assert bleu_of(scores.statistics[some]) == pytest.approx(
        sacrebleu.corpus_bleu([HYPOTHESES[i] for i in some], [[REFERENCES[i] for i in some]]).score
    )


def test_the_bleu_of_a_corpus_is_no_mean_of_sentences(scores):
    each = [bleu_of(row) for row in scores.statistics]
    assert scores.bleu != pytest.approx(np.mean(each), rel=0.01)


def test_signatures_say_how_it_was_scored(scores):
    assert "tok:13a" in scores.bleu_signature
    assert "version:" in scores.bleu_signature
    assert "nc:6" in scores.chrf_signature
    chinese = translation_scores(["你好世界"], ["你好世界"], tokenize="zh")
    assert "tok:zh" in chinese.bleu_signature


def test_the_right_translation_has_100_and_none_has_0(scores):
    perfect = translation_scores(REFERENCES, REFERENCES)
    assert perfect.bleu == pytest.approx(100)
    assert perfect.sentence_chrf == pytest.approx([100] * 5)
    nothing = translation_scores(REFERENCES, [""] * 5)
    assert (nothing.bleu, nothing.chrf, nothing.statistics[:, 0].sum()) == (0, 0, 0)
    assert scores.sentence_chrf[4] == 0


def test_chrf_by_sentence_does_not_depend_on_the_others(scores):
    alone = [
        translation_scores([r], [h]).sentence_chrf[0]
        for r, h in zip(REFERENCES, HYPOTHESES, strict=True)
    ]
    assert scores.sentence_chrf.tolist() == alone


def test_a_script_without_spaces_is_one_word_to_the_tokenizer_for_spaces():
    reference, hypothesis = ["我今天去学校上课。"], ["我今天去学校。"]
    assert translation_scores(reference, hypothesis).bleu == 0
    assert translation_scores(reference, hypothesis, tokenize="zh").bleu > 30


def test_a_bootstrap_of_the_same_translations_finds_no_difference(scores):
    same = bleu_bootstrap(scores.statistics, scores.statistics, resamples=50, seed=3)
    assert (same.difference, same.low, same.high, same.share_below_zero) == (0, 0, 0, 0)


def test_a_bootstrap_draws_the_same_sentences_for_both_and_knows_which_is_better():
    references = [f"{number} {text}" for number in range(12) for text in REFERENCES]
    worse = [
        text if number % 3 else text.replace("the", "a") for number, text in enumerate(references)
    ]
    good, bad = (translation_scores(references, texts).statistics for texts in (references, worse))
    found = bleu_bootstrap(bad, good, resamples=100, seed=3)
    assert found.low <= found.difference <= found.high < 0
    assert found.share_below_zero == 1
    assert found == bleu_bootstrap(bad, good, resamples=100, seed=3)


@pytest.mark.parametrize(
    ("references", "hypotheses", "options", "message"),
    [
        ([], [], {}, "one at least"),
        (["a"], [], {}, "1 references and 0 hypotheses"),
        (["a"], ["a"], {"tokenize": "klingon"}, "no tokenizer"),
    ],
)
def test_what_has_no_score_is_refused(references, hypotheses, options, message):
    with pytest.raises(ValueError, match=message):
        translation_scores(references, hypotheses, **options)


def test_statistics_of_other_sentences_are_refused(scores):
    with pytest.raises(ValueError, match="of the same sentences"):
        bleu_bootstrap(scores.statistics, scores.statistics[:2], seed=0)
    with pytest.raises(ValueError, match="confidence"):
        bleu_bootstrap(scores.statistics, scores.statistics, confidence=1, seed=0)
