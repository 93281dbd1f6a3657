"""BLEU and chrF of translations, by `sacrebleu`, with what a bootstrap over sentences needs.

The BLEU of a corpus is no mean of its sentences: n-grams are counted over all of them, and one
penalty is put on their length. What can be summed are the counts, so each sentence gives its own,
and any set of sentences has the BLEU of their sum. chrF is given by corpus, and by sentence, where
it has a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ORDER = 4

# The columns of BLEU's statistics.
STATISTICS = (
    "system_length",
    "reference_length",
    *(f"correct_{n}" for n in range(1, ORDER + 1)),
    *(f"total_{n}" for n in range(1, ORDER + 1)),
)


@dataclass(frozen=True)
class TranslationScores:
    """Scores of ``n`` sentences with one reference each.

    Attributes:
        bleu: of the corpus, 0 to 100.
        bleu_signature: of sacrebleu; scores with different ones are not comparable.
        chrf: chrF2 of the corpus, 0 to 100.
        chrf_signature: of sacrebleu.
        statistics: [n, 10], the columns `STATISTICS` of each sentence.
        sentence_chrf: [n].
    """

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str
    statistics: Counts
    sentence_chrf: Floats


def translation_scores(
    references: Sequence[str], hypotheses: Sequence[str], *, tokenize: str = "13a"
) -> TranslationScores:
    """BLEU (exponential smoothing, case counts) and chrF2 of translations.

    Args:
        references: one a sentence.
        hypotheses: in the same order; an empty one is a translation of no words.
        tokenize: of BLEU, a name of sacrebleu's: "13a" for scripts with spaces, "zh" for Chinese,
            "char" for other scripts without. chrF needs none.

    Raises:
        ValueError: numbers that differ, no sentences, or a tokenizer that sacrebleu does not know.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if len(references) != len(hypotheses) or not references:
        raise ValueError(
            f"{len(references)} references and {len(hypotheses)} hypotheses: there must be as "
            "many, and one at least"
        )
    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(
            f'sacrebleu has no tokenizer "{tokenize}"; it has: {", ".join(sorted(BLEU.TOKENIZERS))}'
        )
    bleu, chrf = BLEU(tokenize=tokenize), CHRF()
    # Statistics are the same; with the full order sacrebleu warns of scores of sentences.
    by_sentence = BLEU(tokenize=tokenize, effective_order=True)
    statistics = np.zeros((len(references), len(STATISTICS)), np.int64)
    sentence_chrf = np.zeros(len(references))
    for row, (wanted, given) in enumerate(zip(references, hypotheses, strict=True)):
        found = by_sentence.sentence_score(given, [wanted])
        statistics[row] = [found.sys_len, found.ref_len, *found.counts, *found.totals]
        sentence_chrf[row] = chrf.sentence_score(given, [wanted]).score
    return TranslationScores(
        bleu=bleu.corpus_score(list(hypotheses), [list(references)]).score,
        bleu_signature=str(bleu.get_signature()),
        chrf=chrf.corpus_score(list(hypotheses), [list(references)]).score,
        chrf_signature=str(chrf.get_signature()),
        statistics=statistics,
        sentence_chrf=sentence_chrf,
    )


def bleu_of(statistics: npt.ArrayLike) -> float:
    """The BLEU of sentences from their statistics, [n, 10] or their sum [10]; 0 to 100."""
    from sacrebleu.metrics.bleu import BLEU

    sums = np.asarray(statistics, np.float64).reshape(-1, len(STATISTICS)).sum(axis=0)
    counts = [int(number) for number in sums]
    found: Any = BLEU.compute_bleu(
        correct=counts[2 : 2 + ORDER],
        total=counts[2 + ORDER :],
        sys_len=counts[0],
        ref_len=counts[1],
        smooth_method="exp",
    )
    return float(found.score)


@dataclass(frozen=True, slots=True)
class BleuDifference:
    """BLEU of one system minus that of a baseline, on the same sentences.

    Attributes:
        difference: of all sentences.
        low, high: ends of the interval.
        share_below_zero: of the resamples, in [0, 1].
    """

    difference: float
    low: float
    high: float
    share_below_zero: float


def bleu_bootstrap(
    statistics: npt.ArrayLike,
    baseline: npt.ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int,
) -> BleuDifference:
    """A paired bootstrap over sentences (Koehn 2004): the same ones are drawn for both systems.

    Args:
        statistics: [n, 10] of a system.
        baseline: [n, 10] of the one to compare with, of the same sentences in the same order.
        resamples: >= 1; the interval is of their percentiles.
        confidence: share of the resamples inside the interval, in (0, 1).
        seed: of the draws.

    Raises:
        ValueError: shapes that do not fit, no sentences, or a setting out of range.
    """
    systems = [np.asarray(each, np.int64) for each in (statistics, baseline)]
    count = len(systems[0])
    if any(each.shape != (count, len(STATISTICS)) for each in systems) or not count:
        raise ValueError(
            f"statistics {systems[0].shape} and {systems[1].shape} must both be "
            f"[n, {len(STATISTICS)}], of the same sentences"
        )
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError("resamples must be >= 1 and confidence > 0 and < 1")
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for number in range(resamples):
        drawn = np.bincount(generator.integers(0, count, count), minlength=count)
        ours, theirs = (bleu_of(drawn @ each) for each in systems)
        differences[number] = ours - theirs
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return BleuDifference(
        bleu_of(systems[0]) - bleu_of(systems[1]),
        float(low),
        float(high),
        float((differences < 0).mean()),
    )
