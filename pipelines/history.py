"""Questions about what earlier runs have recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.mlflow_client import open_client


def known_as(tracking_uri: str, run: str) -> list[str]:
    """Under which ids a store knows what an MLflow run has: that of the run, and that of the run
    which made what it reused.
    """
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if tracking_uri.startswith("sqlite:///") and not path.exists():
        return []  # nothing was recorded yet, and looking must not make a record
    known = []
    try:
        client = open_client(tracking_uri)
        for _ in range(2):
            tags = client.get_run(run).data.tags
            known.append(tags["tokenmill.id"])
            run = tags["tokenmill.made_by_run"]
    except Exception:  # noqa: BLE001 - no such run, none that made it, or no tracker
        return known
    return known


def earlier_values(
    tracking_uri: str, pipeline: str, stage: str, cell: Mapping[str, str], metric: str,
    runs: int, besides: str,
) -> list[float]:  # fmt: skip
    """A metric of a stage in the last runs of a pipeline that finished and passed their gates, the
    latest first; of several cells that match, the mean.

    Args:
        cell: values of matrix axes, as text.
        besides: our id of the run that is not to count, the present one.
    """
    client = open_client(tracking_uri)
    experiment = client.get_experiment_by_name(pipeline)
    found: list[float] = []
    token: str | None = None
    while experiment is not None and len(found) < runs:
        page = client.search_runs(
            [experiment.experiment_id],
            "attributes.status = 'FINISHED' and tags.`tokenmill.pid` != ''",
            order_by=["attributes.start_time DESC"],
            max_results=max(20, 2 * runs),
            page_token=token,
        )
        for run in page:
            tags = run.data.tags
            if tags.get("tokenmill.id") == besides or tags.get("tokenmill.gates") == "failed":
                continue
            children = client.search_runs(
                [experiment.experiment_id],
                f"tags.`mlflow.parentRunId` = '{run.info.run_id}' and "
                f"tags.`tokenmill.stage` = '{stage}'",
                max_results=1000,
            )
            values = [
                child.data.metrics[metric]
                for child in children
                if metric in child.data.metrics
                and all(child.data.params.get(f"matrix.{a}") == v for a, v in cell.items())
            ]
            if values and len(found) < runs:
                found.append(sum(values) / len(values))
        token = page.token
        if not token:
            break
    return found
