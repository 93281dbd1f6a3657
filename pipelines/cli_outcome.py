"""How a run came out, as `tokenmill run` judges and shows it: results, the report, gates."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pipelines.console import tell

if TYPE_CHECKING:
    from pipelines.gates import Verdict
    from pipelines.plan import Plan
    from pipelines.recorder import Recorder
    from pipelines.status import StageStatus
    from pipelines.store import Store


def report_text(store: Store, statuses: list[StageStatus]) -> str:
    """The Markdown of the last report that the run made or reused."""
    from stages.kinds import Kind

    for status in reversed(statuses):
        for manifest in status.outputs.values():
            if manifest.kind is Kind.REPORT:
                for row in store.table(manifest).to_pylist():
                    if row["media_type"] == "text/markdown":
                        return str(row["content"].decode())
    return ""


def with_paths(store: Store, status: StageStatus) -> dict[str, Any]:
    """A status as JSON, with the addresses of its outputs."""
    described = status.as_json()
    for name, manifest in status.outputs.items():
        described["outputs"][name]["path"] = store.address(manifest.location)
    return described


def show_results(store: Store, statuses: list[StageStatus], report: str, recorder: Any) -> None:
    """Show what became of the stages that were asked for, the report and where all is."""
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


def judged(planned: Plan, statuses: list[StageStatus], recorder: Recorder) -> list[Verdict]:
    """The gates of a DAG, judged."""
    from pipelines.gates import judge

    of = {status.name: status for status in statuses}

    def values(stage: str, metric: str) -> list[float]:
        found = (of[cell.name].metrics.get(metric) for cell in planned.cells(stage))
        return [value for value in found if value is not None]

    def history(stage: str, metric: str, runs: int) -> list[float]:
        return recorder.earlier_values(planned.cells(stage), metric, runs)

    return [judge(gate, values, history) for gate in planned.nightly.gates]


def tell_gates(planned: Plan, verdicts: list[Verdict], recorder: Recorder) -> bool:
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
