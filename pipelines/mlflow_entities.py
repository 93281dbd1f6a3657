"""What an operation says, as the entities that MLflow's client takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

METRICS_AT_ONCE = 900  # with the tags of a run, below MLflow's 1000


def batches(
    tags: Mapping[str, str],
    params: Mapping[str, str],
    points: Sequence[Sequence[Any]],
    *,
    single: bool,
) -> Iterator[dict[str, Any]]:
    """Params, metrics and tags for `log_batch`: in few calls, or one a call."""
    from mlflow.entities import Metric, Param, RunTag

    run_tags = [RunTag(name, value) for name, value in tags.items()]
    run_params = [Param(name, value) for name, value in params.items()]
    metrics = [Metric(*point) for point in points]
    if single:
        yield from ({"tags": [tag]} for tag in run_tags)
        yield from ({"params": [param]} for param in run_params)
        by_name: dict[str, list[Any]] = {}
        for metric in metrics:
            by_name.setdefault(metric.key, []).append(metric)
        yield from ({"metrics": of_one} for of_one in by_name.values())
        return
    if run_tags or run_params or metrics:
        yield {"tags": run_tags, "params": run_params, "metrics": metrics[:METRICS_AT_ONCE]}
    for start in range(METRICS_AT_ONCE, len(metrics), METRICS_AT_ONCE):
        yield {"metrics": metrics[start : start + METRICS_AT_ONCE]}


def told(batch: Mapping[str, Any]) -> str:
    """What a batch records first, for a message."""
    things = [
        f"{kind[:-1]} {entity.key}" for kind, entities in batch.items() for entity in entities
    ]
    return things[0] if things else ""


def dataset_input(data: Mapping[str, Any]) -> Any:
    """An artifact that a stage reads or makes, as a dataset of its run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data["name"],
        digest=data["digest"],
        source_type=data["source_type"],
        source=data["source"],
        schema=data.get("schema"),
        profile=data.get("profile"),
    )
    tags = [
        InputTag("mlflow.data.context", data["context"]),
        InputTag("tokenmill.name", data["label"]),
    ]
    return DatasetInput(dataset, tags)
