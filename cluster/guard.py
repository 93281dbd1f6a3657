"""Ends what a local cluster leaves behind when its driver is killed.

Ray's processes end by themselves when their driver is gone; one that is killed while they start may
leave some. A shell waits for the driver at the other end of a pipe, which the system closes however
the driver ends, and then ends the processes that carry the driver's mark in their environment, and
no others. It needs /proc, and does nothing where there is none.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

MARK = "TOKENMILL_CLUSTER"
# Looked again and again: what was about to start when the driver died is not there at first.
LOOKS = "3 3 4 5 5 10"

_WATCH = """
while read -r line; do :; done
for seconds in $1; do
  sleep "$seconds"
  for process in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$process/environ" 2>/dev/null | grep -qx "$2"; then
      kill -9 "${process#/proc/}"
    fi
  done
done
"""


class Guard:
    """Watches over the processes that this one starts from now on."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if not Path("/proc/self/environ").exists():
            return
        os.environ[MARK] = uuid.uuid4().hex
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", LOOKS, f"{MARK}={os.environ[MARK]}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,  # Ctrl-C is not for it
        )

    def stop(self) -> None:
        """All has ended well; nobody needs to be watched."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.communicate()
            self._shell = None
