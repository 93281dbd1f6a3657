"""Vocabulary sizes at which languages need the same number of tokens for the same content.

Source: Arnett et al. 2025, "Explaining and Mitigating Crosslingual Tokenizer Inequities". The
corpus token count (CTC) of a language falls with the vocabulary size V as a power law, log CTC =
log a + b log V. Fitted per language, it gives the size for a common CTC; tokenizers trained at
these sizes differ less in CTC than tokenizers of one size, which an F test checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

# An exponent this near to 0 is the rounding of equal counts; no target can be reached with it.
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """CTC = a V^b, with b < 0.

    Attributes:
        a: tokens at V = 1 (an extrapolation: no such vocabulary exists).
        b: exponent; doubling the vocabulary multiplies the tokens by 2^b.
        r_squared: of the fit in logarithms; 1 where all counts are equal or it is exact.
        smallest: the smallest size that was fitted.
        largest: the largest.
    """

    a: float
    b: float
    r_squared: float
    smallest: int
    largest: int

    def tokens(self, vocab_size: float) -> float:
        """The CTC to expect at a vocabulary size."""
        return float(self.a * vocab_size**self.b)

    def vocab_size(self, tokens: float) -> float:
        """The vocabulary size to expect a CTC at, not rounded: (tokens / a)^(1 / b).

        Raises:
            ValueError: for tokens <= 0.
        """
        if not tokens > 0:
            raise ValueError(f"a target of {tokens} tokens cannot be reached: it must be > 0")
        # In logarithms: flat laws reach sizes that overflow, and these are clamped later.
        exponent = (np.log(tokens) - np.log(self.a)) / self.b
        return float(np.exp(exponent)) if exponent < np.log(np.finfo(np.float64).max) else np.inf


@dataclass(frozen=True, slots=True)
class FairSize:
    """The size chosen for one language.

    Attributes:
        vocab_size: the size to train at.
        wanted: the size that the law asks for, before rounding and clamping.
        expected_tokens: CTC to expect at `vocab_size`.
        clamped: whether `wanted` was out of range, so that the target will be missed.
        extrapolated: whether `vocab_size` lies outside the sizes that were fitted.
        law: the fit.
    """

    vocab_size: int
    wanted: float
    expected_tokens: float
    clamped: bool
    extrapolated: bool
    law: PowerLaw


@dataclass(frozen=True, slots=True)
class VarianceTest:
    """An F test of two variances, two-sided, for independent normal samples.

    Attributes:
        f: variance before over variance after; above 1 it fell. inf where nothing is left of it.
        variance_before: unbiased.
        variance_after: unbiased.
        degrees_of_freedom: of numerator and denominator.
        p_value: of variances at least so different where the true ones are equal.
    """

    f: float
    variance_before: float
    variance_after: float
    degrees_of_freedom: tuple[int, int]
    p_value: float

    def log_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of ln f; it leaves out zero where the p-value is below 1 - confidence."""
        from scipy.stats import f as f_distribution

        tail = (1 - confidence) / 2
        low, high = f_distribution.ppf([tail, 1 - tail], *self.degrees_of_freedom)
        with np.errstate(divide="ignore"):
            log_f = float(np.log(self.f))
        return log_f - float(np.log(high)), log_f - float(np.log(low))


def fit_power_law(sizes: Sequence[int], tokens: Sequence[float], name: str = "") -> PowerLaw:
    """Least squares of log CTC on log V.

    Args:
        sizes: vocabulary sizes, really reached ones; two different ones at least.
        tokens: CTC at each of them.
        name: of the language, for messages.

    Raises:
        ValueError: for fewer than two different sizes, a size or count <= 0, or counts that do
            not fall with the size (b >= 0): a larger vocabulary cannot need more tokens, so
            something else was measured.
    """
    of = f"{name}: " if name else ""
    if len(sizes) != len(tokens):
        raise ValueError(f"{of}{len(sizes)} sizes have {len(tokens)} token counts")
    x = np.asarray(sizes, dtype=np.float64)
    y = np.asarray(tokens, dtype=np.float64)
    if not (np.all(x > 0) and np.all(y > 0) and np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"{of}sizes {list(sizes)} and token counts {list(tokens)} must be > 0")
    if len(np.unique(x)) < 2:
        raise ValueError(f"{of}a law needs two different sizes at least, not {list(sizes)}")
    log_size, log_tokens = np.log(x), np.log(y)
    from_mean = log_size - log_size.mean()
    b = float(from_mean @ (log_tokens - log_tokens.mean()) / (from_mean @ from_mean))
    if b > -_FLAT:
        raise ValueError(
            f"{of}token counts do not fall with the vocabulary size (b = {b:.4g}): sizes "
            f"{list(sizes)}, counts {list(tokens)}. The text is too small for these sizes, or "
            "they were not encoded alike"
        )
    intercept = float(log_tokens.mean() - b * log_size.mean())
    residual = log_tokens - (intercept + b * log_size)
    spread = float(((log_tokens - log_tokens.mean()) ** 2).sum())
    r_squared = 1 - float(residual @ residual) / spread if spread > 0 else 1.0
    return PowerLaw(float(np.exp(intercept)), b, r_squared, int(x.min()), int(x.max()))


def choose_target(
    tokens: Mapping[str, float], target: float | Literal["median", "reference"], reference: str
) -> float:
    """The CTC that all languages shall have.

    Args:
        tokens: language -> CTC at the common size.
        target: a number of tokens, the "median" of the languages, or that of the "reference".
        reference: the language meant by "reference".

    Raises:
        ValueError: for no languages, an unknown word, a missing reference, or a number <= 0.
    """
    if not tokens:
        raise ValueError("there is no language to choose a target from")
    if target == "median":
        return float(np.median(list(tokens.values())))
    if target == "reference":
        if reference not in tokens:
            raise ValueError(f"the reference {reference!r} is not among {sorted(tokens)}")
        return float(tokens[reference])
    # A word from elsewhere may be neither of the two.
    wanted = float(target) if isinstance(target, int | float) else float("nan")
    if not wanted > 0:
        raise ValueError(f"target is {target!r}, but must be 'median', 'reference' or > 0")
    return wanted


def fair_sizes(
    tokens: Mapping[str, Mapping[int, float]],
    target: float,
    *,
    smallest: int = 257,
    largest: int | Mapping[str, int] = 262_144,
    multiple_of: int = 1,
) -> dict[str, FairSize]:
    """For each language the vocabulary size whose expected CTC is `target`.

    Args:
        tokens: language -> vocabulary size -> CTC on the parallel text.
        target: the common CTC: see `choose_target`.
        smallest: no size is below it.
        largest: no size is above it; per language, where its text supports no more.
        multiple_of: sizes are rounded to the nearest multiple within these bounds.

    Raises:
        ValueError: whatever `fit_power_law` refuses, naming the language; bounds that leave no
            size; a target <= 0.
    """
    if multiple_of < 1:
        raise ValueError(f"multiple_of is {multiple_of}, but must be >= 1")
    chosen = {}
    for language, counts in tokens.items():
        most = largest[language] if isinstance(largest, Mapping) else largest
        low = -(-smallest // multiple_of) * multiple_of
        high = most // multiple_of * multiple_of
        if not 0 < low <= high:
            raise ValueError(
                f"{language}: no multiple of {multiple_of} lies between smallest {smallest} and "
                f"largest {most}"
            )
        sizes = sorted(counts)
        law = fit_power_law(sizes, [counts[size] for size in sizes], language)
        wanted = law.vocab_size(target)
        clamped = not low - multiple_of / 2 <= wanted <= high + multiple_of / 2
        size = int(np.clip(wanted, low, high) / multiple_of + 0.5) * multiple_of
        size = min(max(size, low), high)
        chosen[language] = FairSize(
            size, wanted, law.tokens(size), clamped,
            not law.smallest <= size <= law.largest, law,
        )  # fmt: skip
    return chosen


def variance_test(before: npt.ArrayLike, after: npt.ArrayLike) -> VarianceTest:
    """Whether CTC varies less across languages than before: F = var(before) / var(after).

    Two-sided, with n - 1 degrees of freedom each, as Arnett et al. report it. The test takes the
    two samples for independent; the same languages are in both, which it does not use.

    Args:
        before: CTC of each language, say at one size.
        after: CTC of each language, say at fitted sizes.

    Raises:
        ValueError: for fewer than two languages, counts that are not finite, or no variance in
            either (then nothing can be compared).
    """
    from scipy.stats import f as f_distribution

    samples = [np.asarray(sample, dtype=np.float64).ravel() for sample in (before, after)]
    if min(map(len, samples)) < 2:
        raise ValueError(f"{[len(sample) for sample in samples]} languages have no variance")
    if not all(np.isfinite(sample).all() for sample in samples):
        raise ValueError("a token count is not finite")
    first, second = (float(sample.var(ddof=1)) for sample in samples)
    if first == second == 0:
        raise ValueError("neither sample varies: there is no variance to compare")
    freedom = (len(samples[0]) - 1, len(samples[1]) - 1)
    ratio = first / second if second > 0 else np.inf
    tails = (f_distribution.sf(ratio, *freedom), f_distribution.cdf(ratio, *freedom))
    return VarianceTest(float(ratio), first, second, freedom, float(min(1.0, 2 * min(tails))))
