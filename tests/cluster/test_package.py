"""What is shipped to a cluster, and above all what is not."""

import subprocess
from pathlib import Path

import pytest

from cluster import package as package_module
from cluster.package import TooMuch, package

PROJECT = {
    "dag.yaml": "pipeline: mine\n",
    "mine.py": "x = 1\n",
    "inner/more.py": "y = 2\n",
    "settings.json": "{}",
}
NEVER = {
    ".env": "TOKEN=hunter2",
    "prod.env": "TOKEN=hunter2",
    "my_secrets.yaml": "password: hunter2",
    "aws-credentials.json": "{}",
    "server.key": "hunter2",
    ".netrc": "hunter2",
    ".venv/lib/site.py": "",
    "venv/lib/site.py": "",
    ".tokenmill/store/x.py": "",
    ".git-old/config.py": "",
    "mlruns/0/meta.yaml": "",
    "__pycache__/mine.py": "",
    "texts/corpus.txt": "data",
    "rows.parquet": "data",
    "model.safetensors": "data",
    "notes.md": "words",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for name, text in {**PROJECT, **NEVER}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "huge.json").write_bytes(b" " * (2**20 + 1))
    return folder


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code" / "stages"
    (folder / "texts").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "words.py").write_text("z = 3\n")
    (folder / "texts" / "some.txt").write_text("package data\n")
    (folder / "__pycache__" / "words.pyc").write_text("")
    return folder


@pytest.mark.parametrize("in_git", [False, True])
def test_code_and_settings_are_shipped_and_data_secrets_and_environments_are_not(
    project: Path, code: Path, in_git: bool
) -> None:
    if in_git:
        subprocess.run(["git", "init", "-q", str(project)], check=True)
    made = package(project, [code])
    assert set(made.files) == {
        *(f"project/{name}" for name in PROJECT), "stages/words.py", "stages/texts/some.txt",
    }  # fmt: skip
    assert set(made.left_out) >= {"my_secrets.yaml", "huge.json", ".env", "server.key"}
    assert "hunter2" not in "".join(path.read_text() for path in made.files.values())


def test_what_git_ignores_stays_at_home(project: Path, code: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    (project / ".gitignore").write_text("inner/\n")
    assert "project/inner/more.py" not in package(project, [code]).files


def test_the_digest_is_that_of_names_and_contents(project: Path, code: Path) -> None:
    first = package(project, [code]).digest()
    assert package(project, [code]).digest() == first
    (project / "texts" / "corpus.txt").write_text("other data")
    assert package(project, [code]).digest() == first
    (project / "mine.py").write_text("x = 2\n")
    changed = package(project, [code]).digest()
    assert changed != first
    (project / "mine.py").rename(project / "yours.py")
    assert package(project, [code]).digest() not in (first, changed)


@pytest.mark.parametrize("in_git", [False, True])
def test_what_a_run_writes_into_the_project_changes_nothing_of_what_is_shipped(
    project: Path, code: Path, in_git: bool
) -> None:
    if in_git:
        subprocess.run(["git", "init", "-q", str(project)], check=True)
    before = package(project, [code], without=[project / "store"])
    for name in ("store/manifests/ab/key.json", "store/runs/scratch/dag.yaml"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("{}")
    after = package(project, [code], without=[project / "store"])
    assert after.digest() == before.digest()
    assert not [name for name in after.files if "store" in name]
    assert package(project, [code]).digest() != before.digest()


def test_it_is_written_as_it_was(project: Path, code: Path, tmp_path: Path) -> None:
    made = package(project, [code])
    made.write(tmp_path / "out")
    for name, path in made.files.items():
        assert (tmp_path / "out" / name).read_bytes() == path.read_bytes()
    assert made.size == sum(path.stat().st_size for path in made.files.values())


def test_code_of_ours_that_lies_in_the_project_is_shipped_once(project: Path, code: Path) -> None:
    inside = project / "stages"
    code.rename(inside)
    names = set(package(project, [inside]).files)
    assert "stages/words.py" in names
    assert "project/stages/words.py" not in names


def test_a_folder_that_is_no_project_is_refused(
    project: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_module, "MOST_FILES", 3)
    with pytest.raises(TooMuch, match="more than 3 files"):
        package(project, [code])
