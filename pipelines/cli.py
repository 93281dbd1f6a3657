"""The `tokenmill` command. Only click is imported to show a help page; the rest when it is used."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_catalog import catalog
from pipelines.cli_cluster import cluster, doctor
from pipelines.cli_jobs import jobs, logs, stop, submit
from pipelines.cli_schedule import schedule
from pipelines.cli_store import gc, lineage, ls, show, verify
from pipelines.cli_tokenize import tokenize
from pipelines.console import (
    GATE_FAILED,
    INTERRUPTED,
    OK,
    SPOOL,
    STAGE_FAILED,
    WRONG_INPUT,
    dag_argument,
    fail,
    matching,
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
    from pipelines.status import StageStatus
    from pipelines.store import Store


# Seconds that the end of a run waits for a tracker that is away; when it is broken off, and then
# in all.
GRACE, INTERRUPTED_GRACE, INTERRUPTED_AT_MOST = 5.0, 1.0, 3.0

EPILOG = """\b
Examples:
  tokenmill run                                 run dag.yaml, reuse what is unchanged
  tokenmill run --only comparison --workers 2   a stage and what it needs
  tokenmill run --set model.steps=400           change a setting for this run
  tokenmill plan                                what would run, and why
  tokenmill lineage comparison                  from a result back to its source files
  tokenmill ui                                  look at it all in MLflow
"""


_from_option = click.option(
    "--from",
    "anew",
    multiple=True,
    metavar="STAGE",
    help="Compute this stage and all behind it anew, even where the store has them.",
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tokenmill")
def cli() -> None:
    """From raw text to compared language models: run a DAG of data and training stages on Ray,
    keep every result by the bytes and the code that made it, and record every run in MLflow.
    """


@cli.command()
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
        _show_plan(planned, store, names, forced, as_json)
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
    report = _report_text(store, statuses)
    verdicts = _judged(planned, statuses, recorder) if state == "FINISHED" else []
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
                _with_paths(store, status)
                | {"run": recorder.recorded_as(status), "pipeline_run": recorder.run_id}
                for status in statuses
            ]
        )
    else:
        _show_results(store, statuses, report, recorder)
    tell(told)
    tell([f"claim: {claim_told(found)}" for found in findings if found.outcome != "not run"])
    passed = _tell_gates(planned, verdicts, recorder)
    if interrupted:
        raise SystemExit(INTERRUPTED)
    raise SystemExit(STAGE_FAILED if failed else OK if passed else GATE_FAILED)


@cli.command()
@dag_argument
@set_option
@only_option
@store_options
def plan(
    dag: Path,
    overrides: tuple[str, ...],
    only: tuple[str, ...],
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Show what a run would do: each stage, hit or miss, and why. Runs nothing."""
    planned = plan_of(dag, overrides)
    names, _ = selection(planned, only, ())
    _show_plan(planned, store_of(store_url), names, set(), as_json)


@cli.command()
@click.argument("stage")
@dag_argument
@click.option(
    "--against",
    metavar="RUN",
    help="Compare with the result that the stage had in this run: the id (or its beginning) of "
    "an MLflow parent run, or of an entry in the store.",
)
@set_option
@store_options
def why(
    stage: str,
    dag: Path,
    against: str | None,
    overrides: tuple[str, ...],
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Say which part of a stage's key changed since its last result: a config field, a function
    (as a diff), a library, an input, a source.

    \b
    Examples:
      tokenmill why model                        every cell of the stage
      tokenmill why 'model[arm=edited,seed=1]'   one of them
      tokenmill why model --against 3f2a91c0     since that run, not since the last
    """
    from pipelines.display import console, explanation_lines
    from pipelines.resolve import preview
    from pipelines.why import Explainer

    planned = plan_of(dag, overrides)
    wanted = [s.name for s in matching(planned, stage)]
    store = store_of(store_url)
    run = _find_run(store, against) if against else None
    explainer = Explainer(planned, store, {s.name: s for s in preview(planned, store)}, run)
    explained = [explainer.explain(name) for name in wanted]
    # A stage that waits for another has no key yet; what that one says is what there is to say.
    first = {e.waits_for for e in explained if e.waits_for} - set(wanted)
    explained += [explainer.explain(name) for name in sorted(first)]
    if as_json:
        print_json([explanation.as_json() for explanation in explained])
        return
    for explanation in explained:
        for line in explanation_lines(explanation):
            console().print(line, soft_wrap=True)


@cli.command()
@click.argument("name", required=False)
@click.option("--module", metavar="FILE:CLASS", help="Describe a stage of a file of your own.")
@store_options
def stages(
    name: str | None,
    module: str | None,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """List the stage types a DAG can use; with NAME, its settings, inputs and outputs."""
    from pipelines.describe import describe_stage, stage_lines
    from pipelines.display import console, rows_table
    from pipelines.registry import UnknownStage, find_stage, vocabulary

    if name or module:
        try:
            found = find_stage(module or name or "", Path.cwd())
        except UnknownStage as error:
            fail(str(error))
        description = describe_stage(found)
        if as_json:
            print_json(description)
        else:
            for renderable in stage_lines(description):
                console().print(renderable)
        return
    described = [describe_stage(stage) for stage in vocabulary().values()]
    if as_json:
        print_json(described)
    else:
        rows = [(d["uses"], d["summary"]) for d in described]
        console().print(rows_table(("stage", "what it does"), rows))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True)
@store_options
def ui(
    host: str, port: int, store_url: str | None, tracking_uri: str | None, as_json: bool
) -> None:
    """Serve the MLflow pages of this record until interrupted."""
    from pipelines.mlflow_client import open_ui

    uri = tracking_uri_of(tracking_uri)
    stop_on_sigterm()
    _catch_up(uri, store_url)
    if uri.startswith("http"):
        click.echo(f"the record is on a server: open {uri}")
        return
    click.echo(f"MLflow on http://{host}:{port} (record {uri}); Ctrl-C ends it", err=True)
    raise SystemExit(open_ui(uri, host, port))


for command in (ls, show, lineage, verify, gc, catalog, tokenize, submit, jobs, logs, stop, cluster,
                doctor, schedule):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """The entry point; errors of ours become one readable line, never a traceback."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        raise SystemExit(INTERRUPTED) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(WRONG_INPUT) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RuntimeError as error:
        from pipelines.files import StoreError

        if not isinstance(error, StoreError):
            raise
        fail(str(error))


# --- what the commands share ----------------------------------------------------------------------


def _find_run(store: Store, wanted: str) -> Any:
    import time

    from pipelines.leases import find_run, run_entries

    found = find_run(store, wanted)
    last = [
        f"\n  {entry.tracking_run or entry.run}  {entry.pipeline}  {entry.state}  "
        + time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.started))
        for entry in run_entries(store)[-5:]
    ]
    there = "the last runs are:" + "".join(last) if last else "it knows of no run yet"
    return found or fail(f'{store.url} knows of no run "{wanted}"; {there}')


def _show_plan(
    planned: Plan, store: Store, names: set[str] | None, anew: set[str], as_json: bool
) -> None:
    from pipelines.display import console, plan_table
    from pipelines.resolve import preview

    statuses = preview(planned, store, names, anew)
    if as_json:
        print_json([status.as_json() for status in statuses])
        return
    console().print(plan_table(statuses))
    words = {"reused": "reused", "computed": "to compute", "skipped": "not asked for",
             "failed": "cannot be read"}  # fmt: skip
    counts = {word: sum(s.state == state for s in statuses) for state, word in words.items()}
    told = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    console().print(f"{len(statuses)} stages: {told}")
    if any(status.state == "failed" for status in statuses):
        raise SystemExit(WRONG_INPUT)


def _show_results(store: Store, statuses: list[StageStatus], report: str, recorder: Any) -> None:
    from pipelines.display import console, result_table

    out = console()
    shown = [s for s in statuses if s.why != "not asked for"]
    out.print(result_table(shown))
    out.print(f"where: in {store.address()}", markup=False, soft_wrap=True)
    if report:
        from rich.markdown import Markdown

        out.print()
        out.print(Markdown(report) if out.is_terminal else report)
    counts = {state: sum(s.state == state for s in shown)
              for state in ("computed", "reused", "failed", "skipped")}  # fmt: skip
    out.print(", ".join(f"{count} {state}" for state, count in counts.items() if count))
    for status in shown:
        if status.resumed:
            out.print(f"resumed: {status.name}: {status.resumed}", markup=False)
        if status.quarantined:
            rows = "1 row was" if status.quarantined == 1 else f"{status.quarantined} rows were"
            out.print(f"quarantined: {status.name}: {rows} set aside with the exception: "
                      f"tokenmill show '{status.name}.quarantined'", markup=False)  # fmt: skip
        if status.state == "failed":
            out.print(f"failed: {status.name}: {status.error or status.why}", markup=False)
    hint = "" if recorder.tracking_uri.startswith("http") else "   (serve it: tokenmill ui)"
    out.print(f"MLflow: {recorder.link}{hint}", markup=False, soft_wrap=True)


def _report_text(store: Store, statuses: list[StageStatus]) -> str:
    """The Markdown of the last report that the run made or reused."""
    from stages.kinds import Kind

    for status in reversed(statuses):
        for manifest in status.outputs.values():
            if manifest.kind is Kind.REPORT:
                for row in store.table(manifest).to_pylist():
                    if row["media_type"] == "text/markdown":
                        return str(row["content"].decode())
    return ""


def _with_paths(store: Store, status: StageStatus) -> dict[str, Any]:
    described = status.as_json()
    for name, manifest in status.outputs.items():
        described["outputs"][name]["path"] = store.address(manifest.location)
    return described


def _catch_up(tracking_uri: str, store_url: str | None) -> None:
    """Send what earlier runs could not record, and close those that died."""
    from pipelines.leftovers import catch_up
    from pipelines.spool import Away

    try:
        done = catch_up(SPOOL, tracking_uri, store_of(store_url))
    except Away as error:
        done = f"the tracker is away: {error}"
    tell([done] if done else [])


def _judged(planned: Plan, statuses: list[StageStatus], recorder: Recorder) -> list[Verdict]:
    """The gates of a DAG, judged."""
    from pipelines.gates import judge

    of = {status.name: status for status in statuses}

    def values(stage: str, metric: str) -> list[float]:
        found = (of[cell.name].metrics.get(metric) for cell in planned.cells(stage))
        return [value for value in found if value is not None]

    def history(stage: str, metric: str, runs: int) -> list[float]:
        return recorder.earlier_values(planned.cells(stage), metric, runs)

    return [judge(gate, values, history) for gate in planned.nightly.gates]


def _tell_gates(planned: Plan, verdicts: list[Verdict], recorder: Recorder) -> bool:
    """Show how gates were judged, and tell those who want to know; says whether all passed."""
    from pipelines.gates import notify

    for verdict in verdicts:
        word = click.style("passed", fg="green") if verdict.passed else click.style(
            "FAILED", fg="red", bold=True)  # fmt: skip
        click.echo(f"gate {word}: {verdict.told}", err=True)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        message = {
            "pipeline": planned.pipeline,
            "run": recorder.run_id,
            "link": recorder.link,
            "night": os.environ.get("TOKENMILL_NIGHT"),
            "text": f"{planned.pipeline}: " + "; ".join(v.told for v in failed),
            "failed": [verdict.as_json() for verdict in failed],
        }
        tell(notify(planned.nightly.notify, message))
    return not failed


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


def _store_for_a_run(url: str | None, planned: Plan) -> Store:
    store = store_of(url)
    store.verify = planned.verify
    if not store.files.is_shared:
        fail(f"the store {store.url} is in the memory of one process, and stages run in others; "
              "use a folder or s3://")  # fmt: skip
    _check_faults()
    return store


def _start_runtime(workers: int | None, address: str | None) -> Any:
    from cluster.runtime import RayRuntime

    try:
        return RayRuntime(workers=workers, address=address)
    except Exception as error:  # noqa: BLE001 - Ray has many, and all mean the same here
        where = f"joined at {address}" if address else "started on this machine"
        reason = str(error).strip().splitlines() or [type(error).__name__]
        fail(f"Ray cannot be {where}: {reason[0]}")


def _check_faults() -> None:
    from pipelines.faults import active_faults

    try:
        active_faults()
    except ValueError as error:
        fail(str(error))


if __name__ == "__main__":
    main()
