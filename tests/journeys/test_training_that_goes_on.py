"""Training that is killed goes on from its last checkpoint, alone and in a team, to the same bytes.

TOKENMILL_ROUNDS=30 tells each story more often, with other seeds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from journey import Project, make_project
from test_faults import ROUNDS, processes_of, wait_for_the_end_of_all_processes

pytestmark = pytest.mark.journey

STEPS = 12
EVERY = 3  # steps between checkpoints

STAGES = '''
import os, signal, time
from pathlib import Path
import pyarrow as pa
from stages.contract import Field, Input, Kind, Output, Stage, StageConfig
from stages.kinds import METRICS

DIARY = Path(os.environ["DIARY"])

class Train(Stage):
    """Weights that drift with what the ranks draw; their sum at each step is the loss."""
    class Config(StageConfig):
        size: int = Field(1, description="workers")
    inputs = {"documents": Input(Kind.DOCUMENTS, "any")}
    outputs = {"model": Output(Kind.MODEL, "weights"), "history": Output(Kind.METRICS, "losses")}
    libraries = ("torch",)
    def workers(self):
        return self.config.size
    def run(self, inputs, outputs, context):
        weights, losses = context.team(self.train, self.config.size)
        (outputs["model"].folder() / "weights").write_bytes(weights)
        outputs["history"].write(pa.Table.from_pylist(
            [{"id": str(step), "metric": "loss", "value": loss, "weight": 1.0, "group": "step"}
             for step, loss in enumerate(losses, 1)], METRICS))
    def train(self, rank, size, inputs, context):
        import torch, torch.distributed as dist
        assert dist.is_initialized() == (size > 1)
        chance = torch.Generator().manual_seed(17 + rank)
        weights, losses = torch.full((64,), float(inputs["documents"].rows)), []
        found = context.checkpoints().latest()
        if found is not None:
            weights, losses, states = torch.load(found[1] / "state.pt")
            chance.set_state(states[rank])
        for step in range(len(losses) + 1, STEPS + 1):
            gradient = torch.randn(64, generator=chance)
            if size > 1:
                dist.all_reduce(gradient)
            weights -= 0.1 * gradient
            losses.append(float(weights.sum()))
            if rank == 0:
                context.metric("loss", losses[-1], step)
                context.progress(step, STEPS, "steps")
                with DIARY.open("a") as diary:
                    diary.write(f"{step} ")
            marker = DIARY.with_name("kill rank 1")
            if rank == 1 and step == 5 and marker.exists():
                marker.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(float(os.environ.get("PAUSE", "0")))
            if step % EVERY == 0:
                states = [None] * size
                if size > 1:
                    dist.all_gather_object(states, chance.get_state())
                else:
                    states = [chance.get_state()]
                if rank == 0:
                    folder = DIARY.with_name("work")
                    folder.mkdir(exist_ok=True)
                    torch.save((weights, losses, states), folder / "state.pt")
                    context.checkpoints().save(step, folder)
                    context.checkpoints().keep([step, step - EVERY])
        return weights.numpy().tobytes(), losses
'''.replace("STEPS", str(STEPS)).replace("EVERY", str(EVERY))

DAG = """
pipeline: training
stages:
  documents: {uses: corpus.documents, with: {sources: ["${TEXTS}/*.txt"]}}
  model: {uses: "my_stages:Train", needs: {documents: documents}, with: {size: SIZE}}
"""


@pytest.fixture(params=[1, 2], ids=["alone", "in a team of two"])
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def project(size: int, tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project")
    (made.folder / "my_stages.py").write_text(STAGES, encoding="utf-8")
    made.dag.write_text(DAG.replace("SIZE", str(size)), encoding="utf-8")
    made.environment["DIARY"] = str(made.folder / "diary")
    return made


def steps(project: Project) -> list[int]:
    diary = project.folder / "diary"
    return [int(step) for step in diary.read_text().split()] if diary.exists() else []


def trained(project: Project) -> dict[str, Any]:
    model: dict[str, Any] = project.run("--workers", "2")["stages"]["model"]
    assert model["state"] == "computed", model["error"]
    return model


def digests(model: dict[str, Any]) -> dict[str, str]:
    return {name: output["digest"] for name, output in model["outputs"].items()}


def begin_anew(project: Project) -> None:
    for name in ("store", "diary"):
        (project.folder / name).rename(project.folder / f"{name} {time.monotonic_ns()}")


def test_training_that_is_killed_goes_on_from_its_last_checkpoint_to_the_same_bytes(
    project: Project, size: int
) -> None:
    undisturbed = trained(project)
    assert steps(project) == list(range(1, STEPS + 1))
    for seed in range(max(1, ROUNDS // 2)):
        begin_anew(project)
        last = random.Random(seed).randint(EVERY + 1, STEPS - 1)
        project.environment["PAUSE"] = "0.3"
        process = project.start("run", str(project.dag), "--json", "--workers", "2")
        deadline = time.monotonic() + 300
        while last not in steps(project) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        wait_for_the_end_of_all_processes(project)
        reached = steps(project)[-1]
        project.environment["PAUSE"] = "0"
        again = trained(project)
        resumed = int(again["metrics"]["resumed_from_step"])
        assert resumed in (reached // EVERY * EVERY, (reached - 1) // EVERY * EVERY)
        assert steps(project)[reached:] == list(range(resumed + 1, STEPS + 1))
        assert digests(again) == digests(undisturbed)
        assert not (project.store / "checkpoints").exists()
    if size > 1:
        begin_anew(project)
        (project.folder / "kill rank 1").touch()
        again = trained(project)
        assert not (project.folder / "kill rank 1").exists()
        assert again["metrics"]["resumed_from_step"] == EVERY
        assert digests(again) == digests(undisturbed)


@pytest.mark.parametrize("size", [3], ids=["three"])
def test_a_team_for_which_there_is_no_room_fails_at_once_with_both_numbers(
    project: Project,
) -> None:
    document = project.run("--workers", "2", status=1)
    model = document["stages"]["model"]
    assert model["state"] == "failed"
    assert (
        "it asks for 3 workers at once, each with 1 CPU, and there is room for 2"
        in (model["error"])
    )


def test_an_interrupted_run_ends_its_team(project: Project) -> None:
    project.environment["PAUSE"] = "30"
    process = project.start("run", str(project.dag), "--json", "--workers", "2")
    deadline = time.monotonic() + 300
    while not steps(project) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    wait_for_the_end_of_all_processes(project)


# --- the trainer itself ---------------------------------------------------------------------------

MODEL_STEPS = 150
LANGUAGE_MODEL = f"""
pipeline: language-model
seed: 17
stages:
  documents: {{uses: corpus.documents, with: {{sources: ["${{TEXTS}}/*.txt"]}}}}
  tokenizer:
    uses: tokenizer.train
    needs: {{documents: documents}}
    with: {{vocab_size: 320}}
  tokens:
    uses: tokenizer.encode
    needs: {{documents: documents, tokenizer: tokenizer}}
    with: {{sequence_length: 64}}
  model:
    uses: training.language_model
    needs: {{tokens: tokens, tokenizer: tokenizer}}
    with:
      steps: {MODEL_STEPS}
      batch_size: 8
      micro_batch_size: 4
      hidden_size: 64
      layers: 1
      heads: 2
      weighting: linupper
      weighting_warmup_steps: 5
      checkpoint_every: {EVERY}
      workers: WORKERS
"""


def write_dag(project: Project, workers: int) -> None:
    project.dag.write_text(LANGUAGE_MODEL.replace("WORKERS", str(workers)), encoding="utf-8")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """The DAG run once by one worker and undisturbed. Tests must leave it as it is."""
    project = make_project(tmp_path_factory.mktemp("learnt") / "project")
    write_dag(project, 1)
    return project, trained(project)


def last_checkpoint(project: Project) -> int:
    """The last step of which the store has a checkpoint, 0 if of none."""
    marks = (project.store / "checkpoints").glob("*/*/*/*-*.json")
    return max((int(mark.name.partition("-")[0]) for mark in marks), default=0)


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1), (2, 2), (2, 1)], ids=["alone", "two", "two, then alone"]
)
def test_a_language_model_whose_training_is_killed_is_the_one_of_an_undisturbed_run(
    learnt: tuple[Project, dict[str, Any]], tmp_path: Path, before: int, after: int
) -> None:
    undisturbed, expected = learnt
    project = undisturbed.twin(tmp_path / "project")
    project.environment["TEXTS"] = str(undisturbed.folder / "texts")
    write_dag(project, before)
    seed = int(os.environ.get("TOKENMILL_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    step, delay = chance.randint(1, MODEL_STEPS // 2), chance.uniform(0, 0.1)
    print(f"TOKENMILL_SEED={seed}: everything is killed {delay:.3f} s behind step {step}")

    process = project.start("run", str(project.dag), "--json", "--workers", "2")
    deadline = time.monotonic() + 300
    while last_checkpoint(project) < step and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    time.sleep(delay)
    saved = last_checkpoint(project)
    for number in processes_of(project):
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=60)
    wait_for_the_end_of_all_processes(project)
    assert step <= saved < MODEL_STEPS, "it was killed on the way"

    write_dag(project, after)
    again = trained(project)
    assert again["metrics"]["resumed_from_step"] >= saved
    assert again["metrics"]["resumed_from_workers"] == before
    assert again["metrics"]["workers"] == after
    assert digests(again) == digests(expected)
    assert again["key"] == expected["key"]
