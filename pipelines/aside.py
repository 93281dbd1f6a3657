"""Rows that are set aside with their exceptions: how many a stage may, and what is said of more."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.status import StageStatus
from pipelines.store import Manifest, Store
from pipelines.tasks import Job, rows_of
from stages.kinds import Kind


def allowed_aside(status: StageStatus, statuses: Mapping[str, StageStatus]) -> int:
    """How many rows of a stage may be set aside."""
    rows = rows_of(status.planned, statuses)
    return 0 if rows is None else int(status.planned.quarantine * rows.rows)


def too_many_aside(
    status: StageStatus, job: Job, statuses: Mapping[str, StageStatus], store: Store
) -> str:
    """Why a stage fails of which more rows failed than may, with some of them."""
    rows = rows_of(status.planned, statuses)
    of = 0 if rows is None else rows.rows
    shown = "; ".join(f'row "{id_}": {error}' for id_, error in _aside(job, store)[:5])
    return (
        f"{job.quarantined} of {of} rows failed, and {job.allowed} may be set aside "
        f"(`quarantine: {status.planned.quarantine:g}`): {shown}"
    )


def _aside(job: Job, store: Store) -> list[tuple[str, str]]:
    """Rows that were set aside so far, with their errors."""
    name = Kind.QUARANTINED.value
    found: list[tuple[str, str]] = []
    for written in (result.outputs[name] for result in job.results if result.quarantined):
        location = f"{job.prefix}/{name}"
        manifest = Manifest(Kind.QUARANTINED, "", location, written.schema, written.parts)
        rows = store.table(manifest).select(["id", "error"]).to_pylist()
        found += [(row["id"], row["error"]) for row in rows]
    return found
