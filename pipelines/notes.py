"""What the pages of runs in MLflow say, in Markdown.

A run of ours is linked as `tokenmill:ID`, an artifact of it as `tokenmill:ID/PATH`: the tracker's
own ids are known only where the record is sent (`pipelines.lineage`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.claims import Finding, told
from pipelines.files import StoreError
from pipelines.gates import Verdict
from pipelines.plan import Plan
from pipelines.status import StageStatus
from pipelines.store import Manifest, Store
from stages.kinds import FILE_KINDS, Kind

SOURCES, PICTURE = "sources.txt", "lineage.svg"
ROWS_SHOWN = 10
INPUTS_SHOWN = 16
ORIGINS_SHOWN = 4
LENGTH = 7500  # a tag of MLflow may have 8,000 characters


def stage_note(
    status: StageStatus, store: Store, runs: Mapping[str, str], own: str, run: str
) -> str:
    """The page of a stage's run.

    Args:
        status: what became of the stage.
        store: to show rows that were set aside.
        runs: stage -> our id of its run, of this and all before it.
        own: our id of this stage's run.
        run: our id of the pipeline run.
    """
    planned = status.planned
    documentation = (planned.stage_class.__doc__ or "").strip().splitlines()
    # MLflow folds a long description: what people click comes first.
    lines = [
        " · ".join([*_origins(status, runs, own), f"a stage of [this run](tokenmill:{run})"]),
        "",
        f"`{planned.word}` {documentation[0] if documentation else ''}",
        "",
    ]
    if status.state == "computed":
        lines.append(f"Computed because: {status.why}.")
    if status.state == "reused" and status.run_id:
        lines.append(f"Reused: made by [run {status.run_id[:8]}](tokenmill:{status.run_id}).")
    if status.resumed:
        lines.append(f"{status.resumed[0].upper()}{status.resumed[1:]}.")
    if status.error:
        lines.append(f"Failed: {status.error}")
    made_from = _made_from(status, runs, own)
    if made_from:
        lines += ["", "| made from | | digest | by the stage |", "|---|---|---|---|", *made_from]
    makes = [
        f"| {name} | {_size(manifest)} | `{manifest.digest[:10]}` |"
        for name, manifest in status.outputs.items()
    ]
    if makes:
        lines += ["", "| makes | | digest |", "|---|---|---|", *makes]
    aside = status.outputs.get(Kind.QUARANTINED.value)
    if aside is not None:
        lines += ["", f"{aside.rows} rows were set aside:", "", *_rows_aside(aside, store)]
    return "\n".join(lines)[:LENGTH]


def _origins(status: StageStatus, runs: Mapping[str, str], own: str) -> list[str]:
    """Links to what a stage was given, in few words."""
    wires = [wire.stage for wires in status.planned.needs.values() for wire in wires]
    names = list(dict.fromkeys(wires))[:ORIGINS_SHOWN]
    links = [f"[{name}](tokenmill:{runs[name]})" for name in names if name in runs]
    if status.parts is not None and status.parts.sources:
        links.insert(0, f"[{SOURCES}](tokenmill:{own}/{SOURCES})")
    return [f"made from {', '.join(links)}"] if links else []


def _made_from(status: StageStatus, runs: Mapping[str, str], own: str) -> list[str]:
    """What a stage was given, each with a link to the page of the stage that gave it."""
    lines = []
    parts = status.parts
    if parts is not None and parts.sources:
        count = len(parts.sources)
        what = next(iter(parts.sources)) if count == 1 else f"{count:,} files from outside"
        lines.append(f"| {what} | | | [{SOURCES}](tokenmill:{own}/{SOURCES}) |")
    digests = {name: [d for _, d in pairs] for name, pairs in parts.inputs.items()} if parts else {}
    given = [
        (name, wire, digest)
        for name, wires in status.planned.needs.items()
        for wire, digest in zip(wires, digests.get(name, ()), strict=False)
    ]
    for name, wire, digest in given[:INPUTS_SHOWN]:
        manifest = status.inputs.get(digest)
        maker = runs.get(wire.stage)
        by = f"[{wire.stage}](tokenmill:{maker})" if maker else wire.stage
        lines.append(f"| {name} | {_size(manifest) if manifest else ''} | `{digest[:10]}` | {by} |")
    if len(given) > INPUTS_SHOWN:
        lines.append(f"| … and {len(given) - INPUTS_SHOWN} more | | | |")
    return lines


def _size(manifest: Manifest) -> str:
    if manifest.kind in FILE_KINDS:
        return f"{manifest.kind}, {manifest.size:,} bytes"
    return f"{manifest.rows:,} rows"


def _rows_aside(aside: Manifest, store: Store) -> list[str]:
    """The first rows that were set aside, as a table."""
    try:
        rows = store.read_part(aside, 0).slice(0, ROWS_SHOWN)
    except (OSError, StoreError) as error:
        return [f"(they cannot be read: {error})"]
    lines = ["| row | error |", "|---|---|"]
    for row in rows.select(["id", "error"]).to_pylist():
        text = row["error"].replace("|", "\\|").replace("\n", " ")[:300]
        lines.append(f"| `{row['id']}` | {text} |")
    return lines


def run_note(
    plan: Plan,
    statuses: Mapping[str, StageStatus],
    runs: Mapping[str, str],
    run: str,
    *,
    gates: Sequence[Verdict] = (),
    findings: Sequence[Finding] = (),
    report: str = "",
) -> str:
    """The page of a pipeline run that has ended.

    Args:
        plan: what was run.
        statuses: what became of the stages that began.
        runs: stage -> our id of its run.
        run: our id of the pipeline run.
        gates: how they were judged.
        findings: what became of the claims.
        report: what the run has to say, in Markdown.
    """
    judged = "".join(f"- {'passed' if v.passed else '**failed**'}: {v.told}\n" for v in gates)
    claimed = "".join(f"- {told(finding)}\n" for finding in findings)
    parts = [
        f"![what was made from what](tokenmill:{run}/{PICTURE})",
        plan.description or f"One run of `{plan.file}`.",
        judged and f"Gates:\n\n{judged}",
        claimed and f"Claims:\n\n{claimed}",
        report,
    ]
    note = "\n\n".join(filter(None, parts))
    head = ["", "", "| stage | | rows | digest |", "|---|---|---|---|"]
    rows = []
    for planned in plan.stages:
        status = statuses.get(planned.name)
        if status is None or planned.name not in runs:
            continue
        count = "" if status.rows is None else f"{status.rows:,}"
        rows.append(
            f"| [{planned.name}](tokenmill:{runs[planned.name]}) | {status.state} | {count} | "
            f"`{(status.digest or '')[:10]}` |"
        )
    # Addresses at MLflow are longer than ours.
    room = LENGTH - len(note)
    shown = 0
    while shown < len(rows) and (room := room - len(rows[shown]) - 60) > 200:
        shown += 1
    if shown < len(rows):
        left = len(rows) - shown
        rows[shown:] = [f"| … and {left} more, below this run in the table of runs | | | |"]
    return note + "\n".join(head + rows) if rows else note
