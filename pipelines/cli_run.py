"""`tokenmill run`: a run from its set-up to its exit status."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_outcome import judged, report_text, show_results, tell_gates, with_paths
from pipelines.cli_plan import show_plan
from pipelines.console import (
    GATE_FAILED,
    INTERRUPTED,
    OK,
    SPOOL,
    STAGE_FAILED,
    dag_argument,
    fail,
    only_option,
    others_to_stderr,
    plan_of,
    print_json,
    refuse_default_store,
    selection,
    set_option,
    stop_on_sigterm,
    store_of,
    store_options,
    tell,
    tracking_uri_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.claims import Finding
    from pipelines.gates import Verdict
    from pipelines.leases import Lease
    from pipelines.plan import Plan
    from pipelines.recorder import Recorder
    from pipelines.store import Store

# Seconds that the end of a run waits for a tracker that is away; when it is broken off, and then
# in all.
GRACE, INTERRUPTED_GRACE, INTERRUPTED_AT_MOST = 5.0, 1.0, 3.0

_from_option = click.option(
    "--from",
    "anew",
    multiple=True,
    metavar="STAGE",
    help="Compute this stage and all behind it anew, even where the store has them.",
)


@click.command()
@dag_argument
@set_option
@only_option
@_from_option
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processors to use at most.")
@click.option(
    "--address", metavar="HOST:PORT", help="Ray cluster to run on; default: this machine."
)
@click.option("--quiet", is_flag=True, help="No progress, only the results.")
@store_options
def run(
    dag: Path,
    overrides: tuple[str, ...],
    only: tuple[str, ...],
    anew: tuple[str, ...],
    dry_run: bool,
    workers: int | None,
    address: str | None,
    quiet: bool,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Run a DAG: compute what is missing or changed, reuse the rest, record it all.

    Exit status: 0 well, 1 a stage failed, 2 the input is wrong, 3 a gate failed, 130 interrupted.
    """
    from pipelines.sender import make_sender, start_process

    refuse_default_store(store_url)
    uri = tracking_uri_of(tracking_uri)
    # It needs seconds to begin, so it begins first.
    process = None if dry_run else start_process(uri)
    planned = plan_of(dag, overrides)
    names, forced = selection(planned, only, anew)
    store = _store_for_a_run(store_url, planned)
    if dry_run:
        show_plan(planned, store, names, forced, as_json)
        return
    from pipelines.claims import told as claim_told
    from pipelines.display import LiveDisplay
    from pipelines.findings import findings_of
    from pipelines.leases import Lease
    from pipelines.recorder import Recorder
    from pipelines.run import Runner

    stop_on_sigterm()
    lease = Lease(store, planned.pipeline)
    sender = make_sender(uri, planned.pipeline, store, process)
    recorder = Recorder(uri, planned, store, run=lease.entry.run, spool=SPOOL, sender=sender)
    start = partial(_start_runtime, workers, address)
    runner = Runner(planned, store, start, [recorder], names=names, anew=forced, lease=lease)
    interrupted = False
    with (
        others_to_stderr(),
        LiveDisplay(list(runner.statuses.values()), quiet=quiet or as_json) as display,
    ):
        runner.add_listener(display)
        try:
            statuses = runner.run()
        except KeyboardInterrupt:
            interrupted = True
            statuses = list(runner.statuses.values())
        except BaseException:
            tell(_close(recorder, lease, "FAILED", hurry=True))
            raise
    failed = any(status.state == "failed" for status in statuses)
    state = "KILLED" if interrupted else "FAILED" if failed else "FINISHED"
    report = report_text(store, statuses)
    verdicts = judged(planned, statuses, recorder) if state == "FINISHED" else []
    findings = findings_of(planned, statuses, store) if state == "FINISHED" else []
    told = _close(
        recorder,
        lease,
        state,
        report=report,
        gates=verdicts,
        findings=findings,
        hurry=interrupted,
    )
    if as_json:
        print_json(
            [
                with_paths(store, status)
                | {"run": recorder.recorded_as(status), "pipeline_run": recorder.run_id}
                for status in statuses
            ]
        )
    else:
        show_results(store, statuses, report, recorder)
    tell(told)
    tell([f"claim: {claim_told(found)}" for found in findings if found.outcome != "not run"])
    passed = tell_gates(planned, verdicts, recorder)
    if interrupted:
        raise SystemExit(INTERRUPTED)
    raise SystemExit(STAGE_FAILED if failed else OK if passed else GATE_FAILED)


def _store_for_a_run(url: str | None, planned: Plan) -> Store:
    store = store_of(url)
    store.verify = planned.verify
    if not store.files.is_shared:
        fail(f"the store {store.url} is in the memory of one process, and stages run in others; "
              "use a folder or s3://")  # fmt: skip
    _check_faults()
    return store


def _check_faults() -> None:
    from pipelines.faults import active_faults

    try:
        active_faults()
    except ValueError as error:
        fail(str(error))


def _start_runtime(workers: int | None, address: str | None) -> Any:
    from cluster.runtime import RayRuntime

    try:
        return RayRuntime(workers=workers, address=address)
    except Exception as error:  # noqa: BLE001 - Ray has many, and all mean the same here
        where = f"joined at {address}" if address else "started on this machine"
        reason = str(error).strip().splitlines() or [type(error).__name__]
        fail(f"Ray cannot be {where}: {reason[0]}")


def _close(
    recorder: Recorder,
    lease: Lease,
    state: str,
    *,
    report: str = "",
    gates: Sequence[Verdict] = (),
    findings: Sequence[Finding] = (),
    hurry: bool,
) -> list[str]:
    """End the record and the entry of a run; what there is to tell."""
    told = recorder.close(
        state=state,
        report=report,
        gates=gates,
        findings=findings,
        grace=INTERRUPTED_GRACE if hurry else GRACE,
        at_most=INTERRUPTED_AT_MOST if hurry else None,
    )
    lease.close(state, recorder.run_id)
    return told
