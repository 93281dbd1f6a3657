"""What MLflow holds after a run."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from journey import Project, computed

pytestmark = pytest.mark.journey

Finished = tuple[Project, dict[str, Any]]


def client_of(project: Project) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(project.tracking_uri)


def children(client: Any, parent: str) -> dict[str, Any]:
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1000
    )
    return {run.info.run_name: run for run in found}


def datasets(run: Any, context: str) -> dict[str, str]:
    """Name -> digest of a run's datasets in a context."""
    return {
        entry.dataset.name: entry.dataset.digest
        for entry in run.inputs.dataset_inputs
        if any(t.key == "mlflow.data.context" and t.value == context for t in entry.tags)
    }


def test_a_run_is_one_parent_and_one_child_a_planned_stage_all_finished(
    finished: Finished,
) -> None:
    project, document = finished
    client = client_of(project)
    assert client.get_run(document["run"]).info.status == "FINISHED"
    runs = children(client, document["run"])
    assert runs.keys() == document["stages"].keys()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_every_child_has_its_inputs_and_outputs_and_digests_agree_on_both_ends(
    finished: Finished,
) -> None:
    project, document = finished
    runs = children(client_of(project), document["run"])
    made: dict[str, str] = {}
    for name, run in runs.items():
        outputs = datasets(run, "output")
        expected = {f"{name}.{o}": m["digest"] for o, m in
                    document["stages"][name]["outputs"].items()}  # fmt: skip
        assert outputs == expected
        made.update(outputs)
    taken = 0
    for name, run in runs.items():
        inputs = datasets(run, "input")
        assert inputs, f"{name} has no input"
        for dataset, digest in inputs.items():
            if document["stages"][name]["uses"] == "corpus.documents" or dataset not in made:
                continue  # read from outside the store
            assert made[dataset] == digest, f"{dataset} as {name} took it"
            taken += 1
    assert taken >= 40


def test_params_metrics_curves_and_files_are_with_the_child_they_belong_to(
    finished: Finished,
) -> None:
    project, document = finished
    client = client_of(project)
    runs = children(client, document["run"])
    model = runs["model[arm=reweighted,seed=2]"]
    assert model.data.params["weighting"] == "linupper"
    assert model.data.params["matrix.arm"] == "reweighted"
    assert "log_every" not in model.data.params, "an execution field is no identity"
    history = client.get_metric_history(model.info.run_id, "loss")
    assert [point.step for point in history] == [1, 5, 8]
    names = {file.path for file in client.list_artifacts(model.info.run_id, "model")}
    assert {"model/config.json", "model/model.safetensors", "model/tokenizer.json"} <= names
    fairness = client.list_artifacts(runs["fairness"].info.run_id, "figures")
    assert [file.path for file in fairness] == ["figures/token_premiums.png"]
    report = client.list_artifacts(runs["comparison"].info.run_id, "report")
    assert "report/report.html" in {file.path for file in report}
    scored = runs["scores[arm=baseline,seed=1]"].data.metrics["bits_per_byte"]
    told = document["stages"]["scores[arm=baseline,seed=1]"]["metrics"]["bits_per_byte"]
    assert scored == pytest.approx(told)


def test_a_reused_stage_is_a_child_that_links_to_the_run_that_made_it(
    after_a_run: Finished, finished: Finished
) -> None:
    project, first = after_a_run
    shutil.copy(finished[0].folder / "mlflow.db", project.folder / "mlflow.db")
    second = project.run()
    assert computed(second) == set()
    runs = children(client_of(project), second["run"])
    assert runs.keys() == second["stages"].keys()
    tags = runs["clean"].data.tags
    assert tags["tokenmill.state"] == "reused"
    maker = tags["tokenmill.made_by_run"]
    assert maker in tags["mlflow.note.content"]
    made_by = json.loads(project.call("show", "clean.documents", "--json").stdout)
    made = client_of(project).get_run(maker)
    assert made_by[0]["made_by"]["run"] == made.data.tags["tokenmill.id"]
    assert made.info.run_id == children(client_of(project), first["run"])["clean"].info.run_id
    assert (
        datasets(runs["clean"], "output")["clean.documents"]
        == (first["stages"]["clean"]["outputs"]["documents"]["digest"])
    )
