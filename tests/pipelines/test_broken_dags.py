"""Broken DAG files: each mistake is one readable line, all are found, and nothing runs.

Each file in `broken/` says in comments what is wrong where: `# wrong: WORDS`, the words that the
line of the mistake must have (` | ` stands between words that need not touch, ` & ` between two
mistakes of one line).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.console import WRONG_INPUT

ROOT = Path(__file__).parents[2]
BROKEN = sorted(Path(__file__).with_name("broken").glob("*.yaml"))

# What the file itself cannot say.
EXTRA = {"empty": [(1, ["the file is empty"])]}


def expected(path: Path) -> list[tuple[int, list[str]]]:
    """(line, words) of each mistake in a file."""
    found = [*EXTRA.get(path.stem, [])]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        _, marked, comment = line.partition("# wrong: ")
        if marked:
            found += [(number, mistake.split(" | ")) for mistake in comment.split(" & ")]
    return found


def check(path: Path, status: int, output: str, errors: str) -> None:
    wanted = expected(path)
    assert wanted, "the file says nothing about what is wrong with it"
    assert status == WRONG_INPUT, errors
    assert output == ""
    assert "Traceback" not in errors
    *lines, summary = errors.splitlines()
    assert len(lines) == len(wanted), errors
    for number, words in wanted:
        start = f"{path}:{number}: "
        fitting = [
            line
            for line in lines
            if line.startswith(start) and re.search(".*".join(map(re.escape, words)), line)
        ]
        assert len(fitting) == 1, f"line {number} should say {words}, and this is said:\n{errors}"
    count = len(wanted)
    assert summary == f"{count} mistake{'s' if count > 1 else ''}; nothing was run"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOKENMILL_TEST_UNSET", raising=False)
    monkeypatch.setenv("TOKENMILL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return dict(os.environ)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_each_mistake_of_a_broken_file_is_one_line_and_nothing_runs(
    path: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    result: Result = CliRunner().invoke(cli, ["plan", str(path)])
    check(path, result.exit_code, result.stdout, result.stderr)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "command"),
    [("several_mistakes", "plan"), ("wrong_kind", "run"), ("invalid_yaml", "plan")],
)
def test_the_real_command_says_it_on_standard_error_and_exits_with_2(
    name: str, command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    path = Path(__file__).with_name("broken") / f"{name}.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", command, str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    check(path, done.returncode, done.stdout, done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_one_line_too(
    environment: dict[str, str], tmp_path: Path
) -> None:
    result = CliRunner().invoke(cli, ["plan", "nowhere.yaml"])
    assert result.exit_code == WRONG_INPUT
    assert result.stderr.splitlines()[0] == (
        "nowhere.yaml:1: cannot be read: No such file or directory"
    )


def test_json_on_standard_output_stays_empty_where_the_file_is_broken(
    environment: dict[str, str],
) -> None:
    result = CliRunner().invoke(cli, ["plan", str(BROKEN[0]), "--json"])
    assert (result.exit_code, result.stdout) == (WRONG_INPUT, "")


def test_a_set_that_is_wrong_is_a_mistake_as_in_the_file(environment: dict[str, str]) -> None:
    dag = str(ROOT / "dag.yaml")
    result = CliRunner().invoke(cli, ["plan", dag, "--set", "cleen.dedup=none"])
    assert result.exit_code == WRONG_INPUT
    assert result.stderr.splitlines()[0] == (
        '--set:1: cleen.dedup=none: unknown stage "cleen"; did you mean "clean"?'
    )


def test_there_is_a_broken_file_for_each_kind_of_mistake() -> None:
    assert len(BROKEN) >= 20
