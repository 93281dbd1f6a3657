"""A row at which a method fails is found by halving and set aside; the others go on together.

What goes on is `apply` of all sound rows at once, as if the others had never been there, so that a
result does not depend on the way they were found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.files import StoreError

Tables = Mapping[str, pa.Table]
SHOWN = 5
_PLACE = "tokenmill_place"


class MethodError(RuntimeError):
    """A stage's own code failed; the message names the rows where rows did it."""


def apply_to_sound_rows(
    apply: Callable[[pa.Table], Tables], rows: pa.Table, shard: int | None, allowed: int
) -> tuple[Tables, pa.Table | None]:
    """`apply` to the rows that it can bear.

    Args:
        apply: the method; called anew for every part of the rows.
        allowed: how many rows may be set aside.

    Returns:
        What `apply` made of the sound rows, and the others with a column `error`, or None.

    Raises:
        MethodError: more rows fail than are allowed, or the rows fail together only.
    """
    try:
        return apply(rows), None
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - any failure of the method counts
        first = error
    found = _failing(apply, rows, allowed + 1)
    if not found:
        # Each row can be borne by itself: what failed may be gone (a service that was away), or
        # lies in the rows together.
        try:
            return apply(rows), None
        except Exception as error:
            where = f"(shard {shard}; no single row fails by itself)"
            raise MethodError(f"{describe(error)} {where}") from error
    if len(found) > allowed:
        raise MethodError(_too_many(rows, found, shard, allowed)) from first
    sound = pa.array([index not in found for index in range(rows.num_rows)])
    try:
        made = apply(rows.filter(sound))
    except Exception as error:
        where = f"(shard {shard}, without the rows that fail by themselves)"
        raise MethodError(f"{describe(error)} {where}") from error
    aside = rows.take(sorted(found))
    errors = pa.array([found[index] for index in sorted(found)], pa.string())
    if "error" in aside.column_names:
        aside = aside.drop_columns(["error"])
    return made, aside.append_column("error", errors)


def _failing(apply: Callable[[pa.Table], Any], rows: pa.Table, most: int) -> dict[int, str]:
    """Indices of rows that fail by themselves, with their errors; stops at `most` of them."""
    found: dict[int, str] = {}
    waiting = [(0, rows.num_rows)]
    while waiting and len(found) < most:
        start, end = waiting.pop()
        try:
            apply(rows.slice(start, end - start))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - any failure of the method counts
            if end - start == 1:
                found[start] = describe(error)
            elif end - start > 1:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]  # the first half is looked at first
    return found


def _too_many(rows: pa.Table, found: dict[int, str], shard: int | None, allowed: int) -> str:
    ids = rows.column("id")
    shown = [f'row "{ids[index].as_py()}": {found[index]}' for index in sorted(found)[:SHOWN]]
    limit = f"{allowed} may be set aside" if allowed else "none may be set aside"
    more = ", and perhaps more" if len(found) > 1 or allowed else ""
    return f"{'; '.join(shown)} (shard {shard}; {limit}{more})"


def describe(error: BaseException) -> str:
    """An exception in a line: its type, what it says, and where it was raised."""
    return f"{type(error).__name__}: {error}{place_of(error)}"


def place_of(error: BaseException) -> str:
    """Where an exception was raised, also where it came from another process (`keep_place`)."""
    kept = getattr(error, _PLACE, None)
    if kept is not None:
        return str(kept)
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    if not frames:
        return ""
    code = frames[-1].tb_frame.f_code
    return f" at {Path(code.co_filename).name}:{frames[-1].tb_lineno} in {code.co_name}"


def keep_place(error: BaseException, more: str) -> None:
    """Write where an exception was raised into it: its traceback goes to no other process."""
    with contextlib.suppress(AttributeError):  # of a class without room for it
        setattr(error, _PLACE, f"{place_of(error)}{more}")
