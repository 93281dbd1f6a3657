"""A Ray of our own that does not come up in time is started again, and leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster import runtime


class Slow:
    """A Ray whose first starts end with an error, when some of its processes are there."""

    def __init__(self, *errors: str) -> None:
        self.errors = list(errors)
        self.started: list[subprocess.Popen[bytes]] = []
        self.inits = self.shutdowns = 0

    def init(self, **_: Any) -> None:
        self.inits += 1
        self.started.append(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        )
        if self.errors:
            raise Exception(self.errors.pop(0))

    def shutdown(self) -> None:
        self.shutdowns += 1


LATE = "The current node timed out during startup. This could happen because some of the raylet"


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None and Path(f"/proc/{process.pid}").exists()


def test_a_start_that_takes_too_long_is_ended_and_tried_again() -> None:
    ray = Slow(LATE)
    guard = runtime.start_local(ray, 1)
    try:
        assert (ray.inits, ray.shutdowns) == (2, 1)
        first, second = ray.started
        deadline = time.monotonic() + 30
        while is_alive(first) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_alive(first), "what came up of the first start is still there"
        assert is_alive(second)
    finally:
        guard.stop()
        ray.started[-1].kill()


@pytest.mark.parametrize(("errors", "inits"), [(("no space left",), 1), ((LATE,) * 9, 3)])
def test_another_error_and_one_start_too_many_are_raised(
    errors: tuple[str, ...], inits: int
) -> None:
    ray = Slow(*errors)
    with pytest.raises(Exception, match=errors[0][:20]):
        runtime.start_local(ray, 1)
    assert ray.inits == ray.shutdowns == inits
    for process in ray.started:
        process.wait(30)  # the guard ends them


IMPORTED_BEFORE = """
import os, ray
assert "RAY_AUTH_MODE" not in os.environ
from cluster.runtime import RayRuntime
runtime = RayRuntime(workers=1)
runtime.submit("t", lambda emit: os.environ["RAY_AUTH_MODE"])
while not (ended := runtime.wait(1)):
    pass
print(ended[0].value)
runtime.close()
"""


@pytest.mark.journey
def test_a_process_that_had_imported_ray_before_shows_its_token_all_the_same(
    tmp_path: Path,
) -> None:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_BEFORE],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == "token\n", done.stderr
