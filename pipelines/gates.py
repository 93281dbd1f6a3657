"""Gates: is a metric of this run as good as it must be? Judged after a run, in words."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.nightly import GateSpec, MedianOfLast, NotifySpec
from pipelines.redact import redact_text

NOTIFY_SECONDS = 20

# Of cells of a stage and a metric: the values of earlier runs, the latest first.
History = Callable[[str, str, int], Sequence[float]]
# Cells of a stage and a metric in this run: their values.
Values = Callable[[str, str], Sequence[float]]


@dataclass(frozen=True)
class Verdict:
    """What became of a gate. `reference` is None where there is nothing to hold the value against
    yet; `value` is None where the run has none.
    """

    gate: GateSpec
    passed: bool
    value: float | None
    reference: float | None
    told: str

    def as_json(self) -> dict[str, Any]:
        return {
            "stage": self.gate.stage,
            "metric": self.gate.metric,
            "passed": self.passed,
            "value": self.value,
            "reference": self.reference,
            "told": self.told,
        }


def judge(gate: GateSpec, values: Values, history: History) -> Verdict:
    """Hold a metric of this run against what the gate names.

    A gate fails as well where the run has no such metric, or where the history cannot be read: what
    nobody has looked at did not pass. Without any earlier run there is nothing to hold it against,
    and it passes.
    """
    name = f"{gate.stage}.{gate.metric}"
    here = values(gate.stage, gate.metric)
    if not here:
        return Verdict(gate, False, None, None, f"{name}: this run has no such metric")
    value = statistics.fmean(here)
    if math.isnan(value):
        return Verdict(gate, False, value, None, f"{name} is not a number")
    against = gate.against
    if isinstance(against, MedianOfLast):
        try:
            earlier = history(gate.stage, gate.metric, against.runs)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was compared
            told = f"{name} = {value:.6g}: the history cannot be read ({redact_text(str(error))})"
            return Verdict(gate, False, value, None, told)
        if not earlier:
            return Verdict(gate, True, value, None, f"{name} = {value:.6g}: no earlier run yet")
        reference = statistics.median(earlier)
        several = f"the median of the last {len(earlier)} runs is"
        what = "the last run has" if len(earlier) == 1 else several
    elif isinstance(against, str):
        others = values(against, gate.metric)
        if not others:
            told = f"{name} = {value:.6g}: this run has no {against}.{gate.metric}"
            return Verdict(gate, False, value, None, told)
        reference, what = statistics.fmean(others), f"{against} has"
    else:
        reference, what = against, "the limit is"
    worse = value - reference if gate.direction == "lower" else reference - value
    allowed = gate.tolerance * abs(reference) if gate.relative else gate.tolerance
    passed = worse <= allowed
    told = f"{name} = {value:.6g}, {what} {reference:.6g}: {_how_far(worse, reference)}"
    if not passed:
        told += f", more than the {_tolerance(gate)} allowed" if allowed else ", none is allowed"
    return Verdict(gate, passed, value, reference, told)


def _how_far(worse: float, reference: float) -> str:
    word = "worse" if worse > 0 else "better"
    share = f" ({abs(worse / reference):.2%})" if reference else ""
    return "the same" if worse == 0 else f"{word} by {abs(worse):.4g}{share}"


def _tolerance(gate: GateSpec) -> str:
    return f"{gate.tolerance:.4g}" if not gate.relative else f"{100 * gate.tolerance:.4g}%"


def notify(spec: NotifySpec, message: Mapping[str, Any]) -> list[str]:
    """Tell of a gate that failed: POST the message as JSON, give it to a program's standard input.

    Returns:
        What did not work, a sentence each; telling never changes how a run ended.
    """
    body = json.dumps(message).encode()
    problems = []
    if spec.webhook:
        request = urllib.request.Request(
            spec.webhook, body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=NOTIFY_SECONDS):
                pass
        except (OSError, ValueError) as error:
            problems.append(redact_text(f"the webhook {spec.webhook} was not told: {error}"))
    if spec.command:
        try:
            subprocess.run(
                list(spec.command), input=body, check=True, capture_output=True,
                timeout=NOTIFY_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(redact_text(f"the command {spec.command[0]} was not told: {error}"))
    return problems
