"""A process that answers lines: nothing that is printed is an answer, and none is left behind."""

import sys
from pathlib import Path

import pytest

from pipelines.line_process import Ended, LineProcess

ECHO = """
from pipelines.line_process import requests_and_answer

requests, answer = requests_and_answer()
print("a library greets")
for request in requests:
    print("a library talks")
    if request == "die":
        raise SystemExit(3)
    answer({"said": request})
"""
SLOW = """
import time
from pipelines.line_process import requests_and_answer

requests, answer = requests_and_answer()
time.sleep(600)  # an import
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo_lines.py").write_text(ECHO)
    (tmp_path / "slow_lines.py").write_text(SLOW)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


@pytest.mark.usefixtures("modules")
def test_each_request_has_its_answer_and_what_is_printed_is_none() -> None:
    process = LineProcess("echo_lines")
    assert [process.ask(value) for value in (1, "zwei\nZeilen", None)] == [
        {"said": 1}, {"said": "zwei\nZeilen"}, {"said": None},
    ]  # fmt: skip
    assert not process.has_ended
    process.close()
    assert process.has_ended


@pytest.mark.usefixtures("modules")
def test_a_process_that_ends_without_an_answer_says_so_each_time() -> None:
    process = LineProcess("echo_lines")
    for _ in range(2):
        with pytest.raises(Ended):
            process.ask("die")
    assert process.has_ended
    process.tell("nobody hears it")
    process.close()


@pytest.mark.usefixtures("modules")
def test_a_process_that_is_still_importing_ends_at_once_with_its_input() -> None:
    process = LineProcess("slow_lines")
    process.tell("early")
    process.close()
    assert process.has_ended
    assert process._process.returncode == 0  # by itself, and was not killed
