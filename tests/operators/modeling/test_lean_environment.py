"""The training core where only torch, numpy, pyarrow, transformers and tokenizers are installed."""

import csv
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CORE = ("torch", "numpy", "pyarrow", "transformers", "tokenizers")
ABSENT = ("ray", "mlflow", "polars", "scipy", "numba", "matplotlib", "peft", "pandas")
REPOSITORY = Path(__file__).resolve().parents[3]
FAMILIES = ("modeling", "weighting", "editing")
# Modules that need one library more. Adapters load without it, and name it where it is needed.
NEED_MORE = {"operators.editing.distance_kernels": "numba"}

TRAIN = """
import importlib, json, sys, tempfile
from pathlib import Path

report = {"present": [], "failed": {}}
for name in ABSENT:
    try:
        importlib.import_module(name)
        report["present"].append(name)
    except ModuleNotFoundError:
        pass
for module in MODULES:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        report["failed"][module] = error.name

import numpy as np
from operators.modeling.architecture import LlamaShape, build_llama
from operators.modeling.recipe import TrainingRecipe
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training
from operators.modeling.training_state import TrainingState

shape = LlamaShape(
    hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=24, context_length=8
)
rows = TokenRows.of_arrays(np.random.default_rng(0).integers(0, 12, (8, 8)))

def fresh():
    model = build_llama(shape, 12, bos_token_id=0, eos_token_id=0, seed=1)
    recipe = TrainingRecipe(steps=2, batch_size=4, strategy="linupper", device="cpu")
    return Training(model, [rows], recipe)

undisturbed, interrupted = fresh(), fresh()
undisturbed.run()
states = []
interrupted.run(save_every=1, save=states.append)
with tempfile.TemporaryDirectory() as folder:
    states[0].save(Path(folder))
    loaded = TrainingState.load(Path(folder))
again = fresh()
again.go_on_from(loaded)
again.run()
report["losses"] = [[r.loss for r in t.reports] for t in (undisturbed, again)]
report["origin"] = importlib.import_module("operators").__file__
report["paths"] = sys.path
print(json.dumps(report))
"""


def closure(names):
    """The distributions of these names, and all that they require without extras."""
    found, waiting = {}, list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            assert name not in CORE, f"{name} is not installed here"
            continue  # of another platform, or of the machine's own packages
        wanted = [Requirement(line) for line in found[name].requires or []]
        waiting += [
            requirement.name
            for requirement in wanted
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


def link(distributions, folder):
    """Put the packages and modules of distributions into a folder, as links.

    What several of them share (namespaces) becomes a folder with links of its own.
    """
    owners = {}
    for one in distributions:
        # Not `files`, which looks at each of them on the disk.
        for path, *_ in csv.reader((one.read_text("RECORD") or "").splitlines()):
            top = path.split("/")[0]
            if top not in ("..", "__pycache__"):
                owners.setdefault(top, {}).setdefault(one, []).append(path)
    for top, shared in owners.items():
        for one, paths in shared.items():
            for path in [top] if len(shared) == 1 else paths:
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(Path(one.locate_file(path)).resolve())


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter of an environment with these distributions and no other, and the repository's
    `operators` beside it."""
    folder = tmp_path_factory.mktemp("lean")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=60
    )
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    link(closure(CORE).values(), packages)
    (folder / "code").mkdir()
    (folder / "code" / "operators").symlink_to(REPOSITORY / "operators")
    return folder / "env" / "bin" / "python", folder / "code"


@pytest.fixture(scope="module")
def report(python):
    """What came out of importing everything and training there."""
    modules = [
        f"operators.{family}.{path.stem}"
        for family in FAMILIES
        for path in sorted((REPOSITORY / "operators" / family).glob("*.py"))
        if path.stem != "__init__"
    ]
    interpreter, code = python
    program = f"ABSENT, MODULES = {ABSENT!r}, {modules!r}\n{TRAIN}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [interpreter, "-c", program],
        cwd=code.parent,
        env={**kept, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
             "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_else_is_installed_there(report):
    assert report["present"] == []
    assert not any("site-packages" in path and "lean" not in path for path in report["paths"])


def test_every_module_of_the_core_is_imported_but_those_that_say_what_they_need(report):
    assert report["failed"] == NEED_MORE


def test_it_trains_and_goes_on_from_what_it_saved(report):
    undisturbed, again = report["losses"]
    assert len(undisturbed) == 2
    assert again == undisturbed
