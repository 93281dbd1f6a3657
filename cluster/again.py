"""Runs a command, and starts it again when it is killed: a submitted run resumes by itself.

    python -m cluster.again TIMES COMMAND...

A command that ends by itself, well or not, is not started again. SIGTERM is passed on, and ends
both.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence


def again(times: int, command: Sequence[str]) -> int:
    """Run a command, at most `times` + 1 times; returns its exit status."""
    stopped = False
    running: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _: object) -> None:
        nonlocal stopped
        stopped = True
        for process in running:
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for left in range(times, -1, -1):
        process = subprocess.Popen(command)
        running[:] = [process]
        status = process.wait()
        # A shell and Ray tell of a signal by 128 and its number.
        killed = -status if status < 0 else status - 128 if status in (128 + 9, 128 + 6) else 0
        if stopped or not killed:
            return status if status >= 0 else 128 - status
        if left:
            print(f"tokenmill: the run was killed (signal {killed}); it is started again and "
                  "resumes", file=sys.stderr, flush=True)  # fmt: skip
    return 128 + killed


if __name__ == "__main__":
    raise SystemExit(again(int(sys.argv[1]), sys.argv[2:]))
