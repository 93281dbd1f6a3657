"""Rows in = rows out + dropped + quarantined, by their ids: checked before a stage may succeed.

The engine checks it for every stage that treats rows, from numbers that are kept with each shard:
how many rows it has, and the sum of the hashes of their ids. Equal counts with unequal sums are
rows lost and others doubled, which a count alone would not see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipelines.results import Written
from pipelines.store import Manifest, Store
from stages.contract import Stage
from stages.kinds import Kind

SHOWN = 5
COMPARED_ROWS = 2_000_000  # above so many the ids are not looked up for the message


def conservation_fault(
    stage: type[Stage],
    store: Store,
    given: Mapping[str, Manifest],
    written: Mapping[str, Written],
    locations: Mapping[str, str],
    dropped: Mapping[str, int],
) -> str:
    """A sentence that says what is wrong with the rows of a stage; empty where nothing is.

    Args:
        given: the artifact of each input that takes one.
        written: the shards of each output, rows set aside by the engine among them.
        locations: where they lie, for the message.
        dropped: rows dropped by reason, for the message.
    """
    conservation = stage.conservation()
    if conservation is None:
        return ""
    name, outputs = conservation
    rows_in = given[name]
    counted = [o for o in (*outputs, Kind.QUARANTINED.value) if o in written]
    rows_out = {o: sum(part.rows for part in written[o].parts) for o in counted}
    sums_agree = _ids(rows_in.parts) == sum(_ids(written[o].parts) for o in counted) % 2**64
    if rows_in.rows == sum(rows_out.values()) and sums_agree:
        return ""
    said = ", ".join(f"{count} in {output}" for output, count in rows_out.items())
    reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.items())
    return (
        f"rows are not conserved: {rows_in.rows} came in by {name}, and there are {said}"
        + (f" (dropped by reason: {reasons})" if reasons else "")
        + _which(store, rows_in, {o: (locations[o], written[o]) for o in counted})
        + "; account for every row, by its id, in one of these outputs"
    )


def _ids(parts: Sequence[object]) -> int:
    return sum(int(getattr(part, "ids", "") or "0", 16) for part in parts) % 2**64


def _which(store: Store, given: Manifest, made: Mapping[str, tuple[str, Written]]) -> str:
    """Some rows that are lost, doubled or new."""
    if given.rows > COMPARED_ROWS:
        return ""
    balance: Counter[str] = Counter()
    for index in range(len(given.parts)):
        balance.update(store.read_part(given, index).column("id").to_pylist())
    for output, (location, written) in made.items():
        kind = Kind.DROPPED if output == Kind.QUARANTINED else given.kind
        manifest = Manifest(kind, "", location, written.schema, written.parts)
        for index in range(len(written.parts)):
            balance.subtract(store.read_part(manifest, index).column("id").to_pylist())
    lost = sorted(id_ for id_, count in balance.items() if count > 0)
    more = sorted(id_ for id_, count in balance.items() if count < 0)
    said = ""
    for ids, word in ((lost, "lost"), (more, "doubled or new")):
        if ids:
            rest = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            said += f"; {word}: {', '.join(ids[:SHOWN])}{rest}"
    return said
