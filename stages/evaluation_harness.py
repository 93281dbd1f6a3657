"""Tasks of EleutherAI's harness (`lm_eval`), and local files of its format, over our models."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from stages.compute_settings import ComputeSettings
from stages.content_hash import local_hashes
from stages.contract import Context, Field, Input, Kind, Output, Sink, Stage
from stages.harness_model import harness_model
from stages.kinds import METRICS
from stages.report_page import slug

_YAML = (".yaml", ".yml")


class Harness(Stage):
    """Tasks of `lm_eval` (EleutherAI), or local task files of its format, over our models.

    Prompts, examples before them and measures are those of the harness; likelihoods and answers
    come from the scorers of `evaluation.tasks`. Tasks by name read their data from the hub; a local
    YAML file with `dataset_path: json` and `data_files` needs no network.
    """

    word = "evaluation.harness"
    libraries = ("lm_eval", "torch", "transformers")

    class Config(ComputeSettings):
        tasks: list[str] = Field(
            min_length=1,
            description="names of tasks, groups or tags of lm_eval; YAML files; folders of them",
        )
        num_fewshot: int | None = Field(
            None, ge=0, description="examples before each question; default what the task says"
        )
        limit: int | None = Field(
            None, ge=1, description="questions of each task at most, the first ones; default all"
        )
        bootstrap_resamples: int = Field(
            1000, ge=0, description="for standard errors that have no formula; 0: none at all"
        )
        seed: int = Field(0, ge=0, description="of the choice of examples before a question")
        batch_size: int = Field(16, ge=1, description="rows in a forward pass")

    inputs = {"model": Input(Kind.MODEL, "what is evaluated; it carries its tokenizer")}
    outputs = {
        "scores": Output(
            Kind.METRICS, "each measure of each question that is a number; its group is the task"
        ),
        "results": Output(
            Kind.METRICS,
            "each measure of each task and group of tasks (weight: questions), and its standard "
            "error as NAME_stderr where lm_eval gives one",
        ),
    }

    def sources(self) -> Mapping[str, str]:
        paths = {path for spec in self.config.tasks for path in local_files(spec)}
        return {str(path): digest for path, digest in local_hashes(sorted(paths)).items()}

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        evaluator = _lm_eval()
        from stages.editing_prior import open_prior

        config = self.config
        tasks = load_tasks(config.tasks)
        for task in tasks["tasks"].values():
            own = task.get_config("num_fewshot")
            # As lm_eval has it: a task that says 0 means it.
            if own is None or (config.num_fewshot is not None and own != 0):
                task.set_config(key="num_fewshot", value=config.num_fewshot or 0)
            task.set_fewshot_seed(seed=config.seed)
        done = 0

        def told(requests: int) -> None:
            nonlocal done
            done += requests
            context.progress(done, unit="requests")

        model = harness_model(
            open_prior(inputs["model"], config.device),
            batch_size=config.batch_size,
            device=config.device,
            threads=config.threads,
            told=told,
        )
        with _no_pool():
            found = evaluator.evaluate(
                lm=model,
                task_dict=tasks,
                limit=config.limit,
                bootstrap_iters=config.bootstrap_resamples,
                log_samples=True,
            )
        outputs["scores"].write(pa.Table.from_pylist(list(example_rows(found)), METRICS))
        results = list(result_rows(found))
        outputs["results"].write(pa.Table.from_pylist(results, METRICS))
        for row in results:
            context.metric(f"{slug(row['id'])}.{slug(row['metric'])}", row["value"])


def load_tasks(specs: Sequence[str]) -> dict[str, Any]:
    """What `lm_eval`'s `TaskManager.load` gives for names, YAML files and folders.

    Its own tasks (some 14,000 files) are looked through only where a name is none of a local file.

    Raises:
        ValueError: a task that is not there, or whose data cannot be read.
    """
    from lm_eval.tasks import TaskManager

    folders = [spec for spec in specs if Path(spec).is_dir()]
    files = [spec for spec in specs if spec.endswith(_YAML)]
    manager = TaskManager(
        include_path=folders or None, include_defaults=len(folders) + len(files) < len(specs)
    )
    loaded: dict[str, dict[str, Any]] = {"tasks": {}, "groups": {}, "group_map": {}}
    for spec in specs:
        names = _names_in(spec) if spec in folders else [spec]
        for name in names:
            if name in loaded["tasks"] or name in loaded["groups"]:
                continue
            try:
                found = manager.load([name])
            except Exception as error:  # tasks run code and read data of many kinds
                raise ValueError(
                    f'lm_eval cannot load the task "{name}": {type(error).__name__}: {error}; '
                    "known are the names that `lm_eval ls tasks` prints, whose data come from the "
                    "hub, and local YAML files with dataset_path: json and data_files"
                ) from error
            for part, entries in loaded.items():
                entries.update(found.get(part, {}))
    return loaded


def _names_in(folder: str) -> list[str]:
    """Groups of a folder, then its tasks; of what stands in a group the group alone counts."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=folder, include_defaults=False)
    if not manager.all_subtasks:
        raise ValueError(f'the folder "{folder}" has no task: a YAML file with `task:` is one')
    within: set[str] = set()
    for name in manager.all_groups:
        loaded = manager.load([name])
        within |= {child for children in loaded["group_map"].values() for child in children}
    return [name for name in [*manager.all_groups, *manager.all_subtasks] if name not in within]


def example_rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each question and measure that is a number.

    Of losses of whole texts, which `lm_eval` keeps as (log-likelihood, size), bits per byte are
    given, with the bytes as weight; those by word can only be pooled as sums.
    """
    for task, samples in sorted(found.get("samples", {}).items()):
        for sample in samples:
            for metric in sample["metrics"]:
                value, weight = sample[metric], 1.0
                if metric == "bits_per_byte" and isinstance(value, tuple) and value[1]:
                    value, weight = -value[0] / value[1] / math.log(2), float(value[1])
                if isinstance(value, bool | int | float):
                    yield {"id": f"{task}:{sample['doc_id']}",
                           "metric": _named(metric, sample["filter"]), "value": float(value),
                           "weight": weight, "group": task}  # fmt: skip


def result_rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each measure of each task and group, with standard errors as `lm_eval` names
    them; what it does not compute ("N/A") has none.
    """
    counts = found.get("n-samples", {})
    for name, measures in sorted(found["results"].items()):
        questions = counts.get(name, {}).get("effective", measures.get("sample_len", 0))
        for key, value in measures.items():
            metric, comma, filtered = key.partition(",")
            if comma and isinstance(value, int | float):
                yield {"id": name, "metric": _named(metric, filtered), "value": float(value),
                       "weight": float(questions), "group": name}  # fmt: skip


def local_files(spec: str) -> set[Path]:
    """The files that a local task is made of: YAML, what it includes, its code and its data.

    Empty for the name of a task.

    Raises:
        ValueError: a YAML file that is not there, or is none.
    """
    path = Path(spec)
    if path.is_dir():
        files: set[Path] = set()
        for inside in sorted(path.rglob("*")):
            if inside.suffix in _YAML:
                files |= _made_of(inside, files)
        return files
    if path.suffix not in _YAML:
        return set()
    if not path.is_file():
        raise ValueError(f'there is no task file "{spec}"')
    return _made_of(path, set())


def _made_of(path: Path, known: set[Path]) -> set[Path]:
    """`known`, a YAML file and what belongs to it."""
    if path in known:
        return known
    config, functions = _read(path)
    files = known | {path}
    modules = (name.rpartition(".")[0].replace(".", "/") for name in functions)
    files |= {code for name in modules if (code := path.parent / f"{name}.py").is_file()}
    for name in _strings(config.get("include")):
        files = _made_of(path.parent / name, files)
    for pattern in _strings((config.get("dataset_kwargs") or {}).get("data_files")):
        # As `datasets` reads them: relative to where the run was started.
        found = glob(pattern, recursive=True)  # noqa: PTH207 - a pattern may be absolute
        files |= {Path(name) for name in found if Path(name).is_file()}
    return files


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """A YAML file, read safely, and what stands behind `!function` in it."""
    functions: list[str] = []

    class Loader(yaml.SafeLoader):
        pass

    def reference(loader: Any, suffix: str, node: Any) -> str:
        functions.append(str(node.value))
        return str(node.value)

    Loader.add_multi_constructor("!", reference)
    try:
        with path.open("rb") as stream:
            found = yaml.load(stream, Loader)
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"the task file {path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}, functions


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    values = value.values() if isinstance(value, dict) else value or []
    return [text for one in values for text in _strings(one)]


def _named(metric: str, filtered: str) -> str:
    return metric if filtered == "none" else f"{metric} {filtered}"


def _lm_eval() -> Any:
    try:
        from lm_eval import evaluator
    except ImportError as error:
        raise ValueError(
            "evaluation.harness needs the library lm_eval, which cannot be imported "
            f"({error}): pip install 'tokenmill[harness]'"
        ) from error
    return evaluator


@contextmanager
def _no_pool() -> Iterator[None]:
    """`lm_eval` would start a process a CPU for its bootstrap, whatever the stage may use."""
    before = os.environ.get("DISABLE_MULTIPROC")
    os.environ["DISABLE_MULTIPROC"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["DISABLE_MULTIPROC"]
        else:
            os.environ["DISABLE_MULTIPROC"] = before
