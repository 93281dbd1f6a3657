"""Imports of large libraries, quicker."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Collect no garbage while modules are imported, and never look at what they made again.

    A large library makes some hundred thousand objects that live as long as the process; searching
    them for garbage over and over takes a fifth of the time of its import, and more later on.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
