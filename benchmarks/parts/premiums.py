"""Token premiums at one vocabulary size, and at sizes fitted for a common token count.

`python -m benchmarks.parts.premiums` prints it; the data lie in TOKENMILL_DATA. For each language
of FLORES a tokenizer is trained at several sizes; a power law of its corpus token count (CTC) is
fitted, solved for a common count, and a tokenizer trained at that size (Arnett et al. 2025). The
counts are of sentences that no tokenizer was trained on. Nothing is timed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.tokenizer_peers import flores
from operators.tokenization.config import TokenizerAlgorithm, TokenizerConfig
from operators.tokenization.fair_sizes import (
    FairSize,
    VarianceTest,
    choose_target,
    fair_sizes,
    fit_power_law,
    variance_test,
)
from operators.tokenization.laboratory import count_for, train_tokenizers
from operators.tokenization.premiums import token_premiums
from operators.tokenization.pretokenization import PretokenCounts

# The first sentences are trained on, the last ones measured: neighbours are of one article.
TRAINED, MEASURED = 800, 197
ALGORITHMS: tuple[TokenizerAlgorithm, ...] = ("bpe", "unigram")
PRETOKENIZER = "gpt2"
# Sizes that the law is fitted on, and the one that all languages have before.
SIZES = (512, 768, 1024, 1536, 2048)
ONE_SIZE = 1024
# More than any language can use of 800 sentences: what it reaches is what its text supports.
BEYOND = 65_536
REFERENCE = "eng_Latn"


@dataclass(frozen=True)
class Corpus:
    """The languages, split and counted once.

    Attributes:
        counts: pretokens of the sentences trained on, by language.
        measured: sentences measured, by language.
    """

    counts: Mapping[str, list[PretokenCounts]]
    measured: Mapping[str, list[str]]

    def tokens(
        self, algorithm: TokenizerAlgorithm, language: str, sizes: Sequence[int]
    ) -> dict[int, int]:
        """Vocabulary sizes that were reached -> CTC of the measured sentences."""
        configs = [config(algorithm, size) for size in sizes]
        found = {}
        for tokenizer in train_tokenizers(self.counts[language], configs):
            frame = token_premiums({"": tokenizer}, {language: self.measured[language]}, language)
            found[tokenizer.vocab_size] = int(frame["tokens"][0])
        return found


def config(algorithm: TokenizerAlgorithm, vocab_size: int) -> TokenizerConfig:
    return TokenizerConfig(algorithm=algorithm, vocab_size=vocab_size, pretokenizer=PRETOKENIZER)


def read() -> Corpus:
    asked = [config(algorithm, ONE_SIZE) for algorithm in ALGORITHMS]
    texts = flores()
    assert all(len(sentences) == TRAINED + MEASURED for sentences in texts.values())
    return Corpus(
        {name: count_for(sentences[:TRAINED], asked) for name, sentences in texts.items()},
        {name: sentences[TRAINED:] for name, sentences in texts.items()},
    )


def line(what: str, before: Sequence[float], after: Sequence[float]) -> str:
    """A row of the table of variances."""
    test: VarianceTest = variance_test(before, after)
    freedom = ", ".join(map(str, test.degrees_of_freedom))
    return (
        f"| {what} | {test.variance_before:.4g} | {test.variance_after:.4g} | {test.f:.3g} | "
        f"{freedom} | {test.p_value:.2g} |"
    )


def spread(what: str, counts: Mapping[str, int], sizes: str) -> str:
    """A row of the table of premiums."""
    premiums = {name: count / counts[REFERENCE] for name, count in counts.items()}
    values = np.array(list(premiums.values()))
    least, most = min(premiums, key=premiums.__getitem__), max(premiums, key=premiums.__getitem__)
    return (
        f"| {what} | {sizes} | {values.min():.2f} ({least}) | {np.median(values):.2f} | "
        f"{values.max():.2f} ({most}) | {np.mean(list(counts.values())):,.0f} |"
    )


def sizes_of(chosen: Mapping[str, FairSize]) -> str:
    sizes = sorted(one.vocab_size for one in chosen.values())
    return f"{sizes[0]:,} to {sizes[-1]:,}, median {int(np.median(sizes)):,}"


def study(corpus: Corpus, algorithm: TokenizerAlgorithm) -> tuple[list[str], list[str], list[str]]:
    """Rows of variances, rows of premiums, and what is to be said of the sizes."""
    languages = list(corpus.measured)
    points = {name: corpus.tokens(algorithm, name, SIZES) for name in languages}
    short = [name for name in languages if ONE_SIZE not in points[name]]
    assert not short, f"no vocabulary of {ONE_SIZE} for {short}"
    supported = {name: next(iter(corpus.tokens(algorithm, name, [BEYOND]))) for name in languages}
    before = {name: points[name][ONE_SIZE] for name in languages}
    laws = [fit_power_law(list(points[n]), list(points[n].values()), n) for n in languages]
    # The least count that every language can reach by its law: then nobody's text is too short.
    reachable = max(law.tokens(supported[name]) for law, name in zip(laws, languages, strict=True))
    variances: list[str] = []
    premiums = [spread(f"{algorithm}, one size", before, f"{ONE_SIZE:,}")]
    notes = [
        f"{algorithm}: the laws' exponents are {min(law.b for law in laws):.3f} to "
        f"{max(law.b for law in laws):.3f}, their R² {min(law.r_squared for law in laws):.4f} at "
        f"least; the text of a language supports {min(supported.values()):,} to "
        f"{max(supported.values()):,} tokens of vocabulary."
    ]
    targets = {
        "median of the languages": choose_target(before, "median", REFERENCE),
        "within everybody's reach": reachable,
    }
    for name, target in targets.items():
        chosen = fair_sizes(points, target, largest=supported)
        after = {}
        for language, one in chosen.items():
            (after[language],) = corpus.tokens(algorithm, language, [one.vocab_size]).values()
        clamped = [one for one in chosen.values() if one.clamped]
        above = sum(one.wanted > one.vocab_size for one in clamped)
        what = f"{algorithm}, {name} ({target:,.0f})"
        values = [list(before.values()), list(after.values())]
        variances.append(line(f"{what}: log CTC", *(np.log(one).tolist() for one in values)))
        variances.append(line(f"{what}: CTC", *values))
        premiums.append(spread(what, after, sizes_of(chosen)))
        missed = np.array([abs(after[n] / one.expected_tokens - 1) for n, one in chosen.items()])
        notes.append(
            f"{what}: {above} of {len(languages)} languages were clamped to what their text "
            f"supports, {len(clamped) - above} to the smallest vocabulary; "
            f"{sum(one.extrapolated for one in chosen.values())} sizes lie outside of those "
            f"fitted. Measured counts differ from those expected by {np.median(missed):.2%} "
            f"(median; at most {missed.max():.1%})."
        )
    for text in (*variances, *premiums, *notes):
        print(text, flush=True)
    return variances, premiums, notes


def measure() -> str:
    corpus = read()
    tables = [study(corpus, algorithm) for algorithm in ALGORITHMS]
    variances, premiums, notes = ([row for table in tables for row in table[n]] for n in range(3))
    return (
        f"{len(corpus.measured)} languages of FLORES-200 dev, pre-tokenizer {PRETOKENIZER}: "
        f"trained on sentences 1 to {TRAINED}, measured on the {MEASURED} after them, which no "
        f"tokenizer saw. One size is {ONE_SIZE:,}; laws are fitted on {', '.join(map(str, SIZES))}."
        "\n\nVariance across languages at one size and at the fitted sizes, F = before / after, "
        "two-sided:\n\n"
        "| what | before | after | F | df | p |\n|---|---|---|---|---|---|\n"
        + "\n".join(variances)
        + f"\n\nToken premiums over {REFERENCE}:\n\n"
        "| what | vocabulary | lowest | median | highest | mean CTC |\n|---|---|---|---|---|---|\n"
        + "\n".join(premiums)
        + "\n\n"
        + "\n\n".join(notes)
    )


if __name__ == "__main__":
    print(measure())
