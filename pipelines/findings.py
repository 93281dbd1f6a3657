"""What the results of a DAG say of its claims."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.claims import Finding, judge_claim
from pipelines.plan import Plan
from pipelines.status import StageStatus
from pipelines.store import Store


def findings_of(plan: Plan, statuses: Iterable[StageStatus], store: Store) -> list[Finding]:
    """Hold the claims of a DAG against what was made of it, or found in the store."""
    of = {status.name: status for status in statuses}
    findings = []
    for claim in plan.claims:
        status = of.get(claim.stage)
        manifest = None if status is None else status.outputs.get(claim.output)
        rows = None if manifest is None else store.table(manifest).to_pylist()
        findings.append(judge_claim(claim, rows))
    return findings
