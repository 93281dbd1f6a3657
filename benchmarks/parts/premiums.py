"""Token premiums at one vocabulary size, and at sizes fitted for a common token count.

`python -m benchmarks.parts.premiums` prints it; the data lie in TOKENMILL_DATA. For each language
of FLORES tokenizers are trained at several sizes; a power law of the corpus token count (CTC) is
fitted, solved for a common count, and a tokenizer trained at that size (Arnett et al. 2025). Laws
are fitted on other sentences than tokenizers were trained on, and variances measured on yet others.
Nothing is timed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.tokenizer_peers import flores
from operators.tokenization.config import TokenizerAlgorithm, TokenizerConfig
from operators.tokenization.fair_sizes import FairSize, choose_target, fair_sizes, variance_test
from operators.tokenization.laboratory import count_for, train_tokenizers
from operators.tokenization.measures import premiums_of_counts
from operators.tokenization.premiums import token_premiums
from operators.tokenization.pretokenization import PretokenCounts

# In their order, as neighbours are of one article: sentences trained on, fitted on, measured.
TRAINED, FITTED, MEASURED = 800, 100, 97
# GPT-2's pattern cuts words at every vowel sign of Burmese, Khmer or Hindi; whitespace does not.
STUDIES: Sequence[tuple[TokenizerAlgorithm, str]] = (
    ("bpe", "whitespace"), ("unigram", "whitespace"), ("bpe", "gpt2"),
)  # fmt: skip
# Sizes that the law is fitted on, those that all languages have before, and two to compare.
SIZES = (512, 768, 1024, 1536, 2048, 3072, 4096)
ONE_SIZES = (1024, 2048)
SMALL, LARGE = 512, 4096
# More than 800 sentences give any language: what is reached is what its text supports.
BEYOND = 65_536
REFERENCE = "eng_Latn"


@dataclass
class Found:
    """Rows of the tables, and sentences below them."""

    variances: list[str] = field(default_factory=list)
    premiums: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rows: list[str], text: str) -> None:
        rows.append(text)
        print(text, flush=True)


class Point(NamedTuple):
    """The vocabulary size that was reached, and CTC of the two parts."""

    vocab_size: int
    fitted: int
    measured: int


@dataclass(frozen=True)
class Study:
    """One algorithm and pre-tokenizer, over all languages.

    Attributes:
        counts: pretokens of the sentences trained on, by language.
        fitted: sentences that laws are fitted on, by language.
        measured: sentences measured, by language.
    """

    algorithm: TokenizerAlgorithm
    pretokenizer: str
    counts: Mapping[str, list[PretokenCounts]]
    fitted: Mapping[str, list[str]]
    measured: Mapping[str, list[str]]

    @property
    def name(self) -> str:
        return f"{self.algorithm}, {self.pretokenizer}"

    def tokens(self, language: str, sizes: Sequence[int]) -> list[Point]:
        """What becomes of each size asked for."""
        made = train_tokenizers(
            self.counts[language],
            [TokenizerConfig(algorithm=self.algorithm, vocab_size=size,
                             pretokenizer=self.pretokenizer) for size in sizes],
        )  # fmt: skip
        names = {str(number): tokenizer for number, tokenizer in enumerate(made)}
        counts = [
            token_premiums(names, {language: texts[language]}, language)["tokens"].to_list()
            for texts in (self.fitted, self.measured)
        ]
        reached = [tokenizer.vocab_size for tokenizer in made]
        return [Point(*values) for values in zip(reached, *counts, strict=True)]


def read() -> list[Study]:
    texts = flores()
    together = TRAINED + FITTED + MEASURED
    assert all(len(sentences) == together for sentences in texts.values())
    fitted = {name: sentences[TRAINED:-MEASURED] for name, sentences in texts.items()}
    measured = {name: sentences[-MEASURED:] for name, sentences in texts.items()}
    studies = []
    for algorithm, pretokenizer in STUDIES:
        asked = [TokenizerConfig(algorithm=algorithm, vocab_size=512, pretokenizer=pretokenizer)]
        counts = {name: count_for(texts[name][:TRAINED], asked) for name in texts}
        studies.append(Study(algorithm, pretokenizer, counts, fitted, measured))
    return studies


def variances(what: str, before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Rows of the table of variances: of log CTC and of CTC."""
    lines = []
    for unit, values in (
        ("log CTC", [np.log(list(sample.values())) for sample in (before, after)]),
        ("CTC", [np.array(list(sample.values()), np.float64) for sample in (before, after)]),
    ):
        test = variance_test(*values)
        freedom = ", ".join(map(str, test.degrees_of_freedom))
        lines.append(
            f"| {what} | {unit} | {test.variance_before:.4g} | {test.variance_after:.4g} | "
            f"{test.f:.3g} | {freedom} | {test.p_value:.2g} |"
        )
    return lines


def spread(what: str, counts: Mapping[str, int], sizes: str) -> str:
    """A row of the table of premiums."""
    premiums = premiums_of_counts(counts, REFERENCE)
    values = np.array(list(premiums.values()))
    least, most = min(premiums, key=premiums.__getitem__), max(premiums, key=premiums.__getitem__)
    return (
        f"| {what} | {sizes} | {values.min():.2f} ({least}) | {np.median(values):.2f} | "
        f"{values.max():.2f} ({most}) | {values.max() / values.min():.2f} | "
        f"{np.mean(list(counts.values())):,.0f} |"
    )


def range_of(chosen: Mapping[str, FairSize]) -> str:
    sizes = sorted(one.vocab_size for one in chosen.values())
    return f"{sizes[0]:,} to {sizes[-1]:,}, median {int(np.median(sizes)):,}"


def examine(study: Study, found: Found) -> None:
    languages = list(study.measured)
    points = {name: study.tokens(name, [*SIZES, BEYOND]) for name in languages}
    supported = {name: points[name].pop().vocab_size for name in languages}
    # Sizes that a text did not give are no points of its law: the one it reached is, once.
    laws_of = {
        name: {point.vocab_size: float(point.fitted) for point in points[name]}
        for name in languages
    }
    at = {
        size: {name: points[name][place].measured for name in languages}
        for place, size in enumerate(SIZES)
    }
    found.add(
        found.notes,
        f"{study.name}: the sentences of a language support {min(supported.values()):,} "
        f"({min(supported, key=supported.__getitem__)}) to {max(supported.values()):,} "
        f"({max(supported, key=supported.__getitem__)}) tokens of vocabulary.",
    )
    for text in variances(f"{study.name}: {SMALL} to {LARGE} for everybody", at[SMALL], at[LARGE]):
        found.add(found.variances, text)
    for one_size in ONE_SIZES:
        before = at[one_size]
        place = SIZES.index(one_size)
        fitted = {name: float(points[name][place].fitted) for name in languages}
        target = choose_target(fitted, "median", REFERENCE)
        chosen = fair_sizes(laws_of, target, largest=supported)
        made = {name: study.tokens(name, [chosen[name].vocab_size])[0] for name in languages}
        after = {name: point.measured for name, point in made.items()}
        what = f"{study.name}: {one_size:,} to fitted"
        for text in variances(what, before, after):
            found.add(found.variances, text)
        short = sum(supported[name] < one_size for name in languages)
        found.add(found.premiums, spread(f"{study.name}, one size", before, f"{one_size:,}"))
        found.add(found.premiums, spread(f"{study.name}, fitted", after, range_of(chosen)))
        clamped = [one for one in chosen.values() if one.clamped]
        above = sum(one.wanted > one.vocab_size for one in clamped)
        missed = [abs(made[name].fitted / one.expected_tokens - 1) for name, one in chosen.items()]
        laws = [one.law for one in chosen.values()]
        found.add(
            found.notes,
            f"{what} for {target:,.0f} tokens: {above} of {len(languages)} languages were clamped "
            f"to what their text supports, {len(clamped) - above} to the smallest vocabulary; "
            f"{short} did not reach {one_size:,} before; "
            f"{sum(one.extrapolated for one in chosen.values())} of the sizes lie outside of those "
            f"fitted. Exponents {min(law.b for law in laws):.3f} to "
            f"{max(law.b for law in laws):.3f}, R² at least "
            f"{min(law.r_squared for law in laws):.3f}; counts of the "
            f"sentences fitted on are {np.median(missed):.1%} off the law at the chosen size "
            f"(median; at most {max(missed):.1%}).",
        )


def measure() -> str:
    studies, found = read(), Found()
    for study in studies:
        examine(study, found)
    return (
        f"{len(studies[0].measured)} languages of FLORES-200 dev. Sentences 1 to {TRAINED} are "
        f"trained on; on the {FITTED} after them the laws are fitted, at sizes "
        f"{', '.join(map(str, SIZES))} or what a text gave of these, and the target chosen: the "
        f"median CTC of the languages at one size. All variances and premiums are of the last "
        f"{MEASURED}.\n\n"
        "Variance across languages, two-sided F test of before / after:\n\n"
        "| what | of | before | after | F | df | p |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(found.variances)
        + f"\n\nToken premiums over {REFERENCE}:\n\n"
        "| what | vocabulary | lowest | median | highest | range | mean CTC |\n"
        "|---|---|---|---|---|---|---|\n"
        + "\n".join(found.premiums)
        + "\n\n"
        + "\n\n".join(found.notes)
    )


if __name__ == "__main__":
    print(measure())
