"""The process that speaks with the tracker: it never outlives its driver and loses nothing."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.direct_sender import DirectSender
from pipelines.mlflow_client import open_client
from pipelines.sender import ProcessSender, make_sender, start_process
from pipelines.spool import Away
from pipelines.store import Store


def operation(own: str, number: int = 0, **more: object) -> dict[str, object]:
    begin = {"name": own, "time": 1000 + number, "tags": {}}
    return {"id": own, "n": number, "name": own, "begin": begin, **more}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def sender(tmp_path: Path, uri: str) -> ProcessSender:
    return ProcessSender(uri, "toy", Store(str(tmp_path / "store")))


def gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_it_records_tells_ids_and_what_was_refused_and_survives_its_own_end(
    sender: ProcessSender, uri: str, tmp_path: Path
) -> None:
    sender.apply([operation("a" * 32)], files=tmp_path, again=False)
    assert set(sender.runs) == {"a" * 32}
    bad = operation("b" * 32, 1, metrics=[["bad\x00name", 1.0, 1, 0]])
    sender.apply([bad], files=tmp_path, again=False)
    assert set(sender.runs) == {"a" * 32, "b" * 32}
    assert len(sender.refused) == 1

    # Killed from outside, it is away for one request, and begins anew at the next.
    os.kill(sender._process.pid, signal.SIGKILL)
    assert gone(sender._process.pid, 10)
    again = [operation("c" * 32, 2)]
    try:
        sender.apply(again, files=tmp_path, again=False)
    except Away:
        sender.apply(again, files=tmp_path, again=True)
    assert open_client(uri).get_run(sender.runs["c" * 32]).info.run_name == "c" * 32
    pid = sender._process.pid
    sender.close()
    assert gone(pid, 1)


def test_a_process_that_was_started_before_is_the_one_that_sends(tmp_path: Path, uri: str) -> None:
    process = start_process(uri)
    sender = make_sender(uri, "toy", Store(str(tmp_path / "store")), process)
    sender.apply([operation("a" * 32)], files=tmp_path, again=False)
    assert isinstance(sender, ProcessSender)
    assert sender._process is process
    sender.close()
    assert gone(process.pid, 1)
    assert open_client(uri).get_run(sender.runs["a" * 32]).info.run_name == "a" * 32


def test_what_becomes_garbage_after_the_imports_is_collected(uri: str) -> None:
    open_client(uri)
    frozen = gc.get_freeze_count()
    open_client(uri)
    assert gc.get_freeze_count() <= frozen


def test_it_says_that_the_tracker_is_away_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sender = ProcessSender(
        f"sqlite:///{tmp_path}/file/mlflow.db", "toy", Store(str(tmp_path / "store"))
    )
    with pytest.raises(Away):
        sender.apply([operation("a" * 32)], files=tmp_path, again=False)
    sender.close()


DRIVER = """
import sys, time
from pipelines.sender import ProcessSender
from pipelines.store import Store
sender = ProcessSender(sys.argv[1], "toy", Store(sys.argv[2]))
print(sender._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_driver_is_killed(tmp_path: Path, uri: str) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, uri, str(tmp_path / "store")], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    driver.kill()
    driver.wait()
    assert gone(pid, 20)


def test_no_secret_is_in_the_list_of_processes(tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    sender = ProcessSender(f"http://u:{secret}@127.0.0.1:9/", "toy", Store(str(tmp_path / "store")))
    command = ""
    while not command:  # it is being started
        command = Path(f"/proc/{sender._process.pid}/cmdline").read_text()
    sender.close()
    assert "sender" in command
    assert secret not in command


def test_a_store_in_memory_is_sent_from_the_process_that_has_it(uri: str) -> None:
    assert isinstance(make_sender(uri, "toy", Store("memory://sender")), DirectSender)
