"""Claims: what a DAG is there to show, where the number stands, and whether it came out.

    claims:
      - says: the more of the text is synthetic, the worse the model
        source: Zhu et al. 2025, arXiv 2412.14689
        artifact: comparison.comparison
        row: synthetic
        metric: difference
        expect: above zero
        measured: [0.42, 0.38, 0.46]
        remark: with a mixture of two corpora instead of one
    scale_up: what to change to run it at the paper's scale

A claim speaks of a metric of one row, which has its interval beside it, as `report.compare` and
`report.curves` write them. `measured` is what its author found with the DAG as it stands, and
`remark` what else is to be known of it, such as why it did not come out. None of it is part of any
key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.located import Where, nearest
from pipelines.sections import Sections

CLAIM_KEYS = ("says", "source", "artifact", "row", "metric", "expect")
OPTIONAL_KEYS = ("measured", "remark")
# A difference is held against zero, a ratio against one.
EXPECTATIONS = ("above zero", "below zero", "above one", "below one")

Outcome = Literal["came out", "the opposite", "undecided", "not run"]


@dataclass(frozen=True)
class Claim:
    """An effect and its expected sign.

    Attributes:
        says: the effect in words.
        source: who reported it, where.
        artifact: `stage.output` whose rows hold it.
        row: the `id` of the row.
        metric: its name; `<metric>_low` and `<metric>_high` are the ends of its interval. Of a
            `difference` among several, `corrected_low` and `corrected_high` are: the verdict of a
            claim and that of its report are the same.
        expect: on which side of zero, or of one, the whole interval must lie.
        measured: what its author found: the value and both ends of its interval.
        remark: what else is to be known of it.
    """

    says: str
    source: str
    artifact: str
    row: str
    metric: str
    expect: Literal["above zero", "below zero", "above one", "below one"]
    measured: tuple[float, float, float] | None = None
    remark: str = ""

    @property
    def stage(self) -> str:
        return self.artifact.partition(".")[0]

    @property
    def output(self) -> str:
        return self.artifact.partition(".")[2]


@dataclass(frozen=True)
class Finding:
    """What a run says of a claim. The numbers are None where it was not run."""

    claim: Claim
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    told: str = ""

    @property
    def interval(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"{self.value:+.4g} [{self.low:+.4g}, {self.high:+.4g}]"

    @property
    def verdict(self) -> str:
        """The outcome and its numbers, in a line."""
        return f"{self.outcome}: {self.interval}" if self.interval else self.outcome

    def as_json(self) -> dict[str, Any]:
        return {
            "says": self.claim.says,
            "source": self.claim.source,
            "expect": self.claim.expect,
            "metric": f"{self.claim.artifact}, {self.claim.row}: {self.claim.metric}",
            "outcome": self.outcome,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "told": self.told,
            "measured": self.claim.measured,
            "remark": self.claim.remark,
        }


def told(finding: Finding) -> str:
    """A finding in a line."""
    why = f" ({finding.told})" if finding.told else ""
    return f"{finding.claim.says}: {finding.verdict}{why}"


def judge_claim(claim: Claim, rows: Iterable[Mapping[str, Any]] | None) -> Finding:
    """Hold a claim against the rows of its artifact; `rows` is None where there is none."""
    if rows is None:
        return Finding(claim, "not run")
    values: dict[str, float] = {}
    known: set[str] = set()
    for row in rows:
        known.add(str(row["id"]))
        if row["id"] == claim.row:
            values[str(row["metric"])] = float(row["value"])
    # Where several arms or groups were compared at once, what the report may say counts, too.
    family = claim.metric == "difference" and "corrected_low" in values
    name = "corrected" if family else claim.metric
    value, low, high = (
        values.get(each, math.nan) for each in (claim.metric, f"{name}_low", f"{name}_high")
    )
    if not all(map(math.isfinite, (value, low, high))):
        what = f"{claim.artifact} has no {claim.metric} with an interval for {claim.row}"
        if not known:
            what = f"{claim.artifact} has no rows"
        elif claim.row not in known:
            what += f"; {nearest(claim.row, known)}"
        return Finding(claim, "undecided", told=what)
    return _judged(claim, value, low, high)


def as_measured(claim: Claim) -> Finding:
    """What the author of a claim found."""
    return Finding(claim, "not run") if claim.measured is None else _judged(claim, *claim.measured)


def _judged(claim: Claim, value: float, low: float, high: float) -> Finding:
    side, _, of = claim.expect.partition(" ")
    level = 1.0 if of == "one" else 0.0
    outcome: Outcome = "undecided"
    if low > level or high < level:
        outcome = "came out" if (low > level) == (side == "above") else "the opposite"
    return Finding(claim, outcome, value, low, high)


class ClaimReader(Sections):
    """Reads the claims of a file; mistakes go to the located file."""

    def read(self, data: Mapping[str, Any], stages: Sequence[str]) -> tuple[Claim, ...]:
        """Read what is there; `stages` are the names that a claim may speak of."""
        given = data.get("claims")
        if given is None:
            return ()
        if not isinstance(given, list):
            self.wrong(("claims",), "a list of claims", given)
            return ()
        claims = (self._claim(entry, ("claims", n), stages) for n, entry in enumerate(given))
        return tuple(claim for claim in claims if claim is not None)

    def _claim(self, given: Any, here: Where, stages: Sequence[str]) -> Claim | None:
        if not isinstance(given, dict):
            self.wrong(here, f"a mapping with the keys {', '.join(CLAIM_KEYS)}", given)
            return None
        before = len(self.located.mistakes)
        self.only_known(given, here, CLAIM_KEYS + OPTIONAL_KEYS)
        for key in CLAIM_KEYS:
            if key not in given:
                self.located.mistake(here, f'the key "{key}" is missing', "a claim needs it")
            elif not isinstance(given[key], str | int | float):
                self.wrong((*here, key), "text", given[key])
        measured = given.get("measured")
        if measured is not None and not _is_interval(measured):
            what = "a value and both ends of its interval, such as [0.4, 0.3, 0.5]"
            self.wrong((*here, "measured"), what, measured)
        remark = given.get("remark", "")
        if not isinstance(remark, str):
            self.wrong((*here, "remark"), "text", remark)
        if len(self.located.mistakes) > before:
            return None
        expect = given["expect"]
        if expect not in EXPECTATIONS:
            self.wrong((*here, "expect"), " or ".join(f'"{e}"' for e in EXPECTATIONS), expect)
            return None
        stage, dot, output = str(given["artifact"]).partition(".")
        if not (dot and output):
            self.wrong((*here, "artifact"), "a stage and its output, such as "
                       "comparison.comparison", given["artifact"])  # fmt: skip
            return None
        if stage not in stages:
            problem = f'unknown stage "{stage}"'
            self.located.mistake((*here, "artifact"), problem, nearest(stage, stages))
            return None
        return Claim(
            **{key: str(given[key]) for key in CLAIM_KEYS},  # type: ignore[arg-type]
            measured=None if measured is None else (measured[0], measured[1], measured[2]),
            remark=remark.strip(),
        )


def _is_interval(given: Any) -> bool:
    """A number between two others."""
    if not isinstance(given, list) or len(given) != 3:
        return False
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in given):
        return False
    value, low, high = given
    return bool(low <= value <= high)
