"""Small messages on their way from tasks to the driver."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

INTERVAL = 0.25  # seconds between batches of messages


class Mailbox:
    """Holds messages until the driver asks for them (a Ray actor), and what the ranks of a team
    leave for the task that waits for them.
    """

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.left: dict[str, bytes] = {}

    def put(self, messages: list[Any]) -> None:
        self.messages.extend(messages)

    def drain(self) -> list[Any]:
        messages, self.messages = self.messages, []
        return messages

    def leave(self, name: str, value: bytes) -> None:
        self.left[name] = value

    def take(self, name: str) -> bytes | None:
        return self.left.pop(name, None)


class Sender:
    """Sends messages in batches, so that a tight loop may emit as it likes.

    What a short task emits goes home with its result, which costs nothing; of a longer one the
    first batch leaves after `INTERVAL` seconds.
    """

    def __init__(self, mailbox: Any) -> None:
        self.mailbox = mailbox
        self.has_sent = False
        self._waiting: list[Any] = []
        self._sent_at = time.monotonic()
        self._last: Any = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __call__(self, message: Any) -> None:
        with self._lock:
            self._waiting.append(message)
            if time.monotonic() - self._sent_at >= INTERVAL:
                self._send()
            elif self._timer is None:  # nothing may follow for a long time
                self._timer = threading.Timer(INTERVAL, self._send_late)
                self._timer.daemon = True
                self._timer.start()

    def _send_late(self) -> None:
        with self._lock:
            self._send()
            self._timer = None

    def _send(self) -> None:
        if self._waiting:
            self._last = self.mailbox.put.remote(self._waiting)
            self.has_sent = True
            self._waiting = []
            self._sent_at = time.monotonic()

    def rest(self) -> list[Any]:
        """What was not sent; what was sent has arrived when this returns, as it comes before."""
        import ray

        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._last is not None:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.get(self._last, timeout=10)
            waiting, self._waiting = self._waiting, []
            return waiting

    def flush(self) -> None:
        """Send all; it has arrived when this returns."""
        with self._lock:
            self._send()
        self.rest()
