"""`tokenmill ls`, `show`, `lineage`, `verify`, `gc`: what lies in the store."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.console import (
    OK,
    STAGE_FAILED,
    fail,
    print_json,
    size_of,
    store_of,
    store_options,
    tracking_uri_of,
)

if TYPE_CHECKING:
    from pipelines.store import Store


@click.command()
@store_options
def ls(store_url: str | None, tracking_uri: str | None, as_json: bool) -> None:
    """List the artifacts in the store."""
    from pipelines.display import console, rows_table

    store = store_of(store_url)
    manifests = sorted(store.artifacts(), key=lambda m: (m.made_by["time"], m.made_by["stage"]))
    if as_json:
        print_json([_artifact_json(store, manifest) for manifest in manifests])
        return
    rows = [
        (m.digest[:10], m.kind, f"{m.rows:,}" if m.rows else "", size_of(m.size),
         f"{m.made_by['stage']}.{m.made_by['output']}", m.made_by["time"])
        for m in manifests
    ]  # fmt: skip
    columns = ("digest", "kind", "rows", "size", "made by", "at")
    console().print(rows_table(columns, rows))


@click.command()
@click.argument("artifact")
@click.option("--rows", "count", default=5, show_default=True, help="How many rows to show.")
@click.option(
    "--extract",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the files of a report, model or tokenizer into a folder.",
)
@store_options
def show(
    artifact: str,
    count: int,
    extract: Path | None,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Show an artifact: schema, rows, first rows, and who made it from what.

    ARTIFACT is a digest (or its beginning), or STAGE, STAGE.OUTPUT, 'STAGE[axis=value].OUTPUT'.
    """
    from pipelines.describe import extract_files, first_rows, show_lines
    from pipelines.display import console

    store = store_of(store_url)
    manifests = find(store, artifact)
    if as_json:
        described = [
            {**_artifact_json(store, m), "first_rows": first_rows(store, m, count)}
            for m in manifests
        ]
        print_json(described)
    for manifest in manifests:
        if not as_json:
            for renderable in show_lines(store, manifest, count):
                console().print(renderable)
        if extract is not None:
            for path in extract_files(store, manifest, extract):
                click.echo(f"wrote {path}", err=True)


@click.command()
@click.argument("thing")
@store_options
def lineage(thing: str, store_url: str | None, tracking_uri: str | None, as_json: bool) -> None:
    """Print the way from a result back to the source files.

    THING is a stage, STAGE.OUTPUT or STAGE.METRIC, a cell such as 'model[arm=edited,seed=1]', a
    digest, or the id of an MLflow run.
    """
    from pipelines.describe import lineage_tree
    from pipelines.display import console
    from pipelines.trace import trace

    store = store_of(store_url)
    found = find(store, thing, tracking_uri_of(tracking_uri))
    origins = [trace(store, manifest) for manifest in found]
    if as_json:
        print_json([origin.as_json() for origin in origins])
    else:
        for origin in origins:
            console().print(lineage_tree(origin))


@click.command()
@click.argument("artifact", required=False)
@click.option("--keep", is_flag=True, help="Only tell; leave artifacts with faults in use.")
@store_options
def verify(
    artifact: str | None,
    keep: bool,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Read every byte of every artifact (or of ARTIFACT) and compare it with what was written.

    An artifact with a fault is taken out of use, and the next run that needs it computes it anew.
    Exit status 1 where there is a fault.
    """
    import time

    from pipelines.display import progress_over
    from pipelines.upkeep import broken_results
    from pipelines.upkeep import verify as look

    store = store_of(store_url)
    manifests = find(store, artifact) if artifact else store.artifacts()
    began = time.monotonic()
    with progress_over("verifying", sum(m.size for m in manifests), bytes_=True) as advance:
        verdicts = look(store, manifests, lambda manifest: advance(manifest.size))
    seconds = time.monotonic() - began
    bad = [verdict for verdict in verdicts if verdict.faults]
    for verdict in bad:
        if not keep:
            store.condemn(verdict.manifest.digest, "; ".join(verdict.faults))
    read = sum(m.size for m in manifests)
    gone = {} if artifact else broken_results(store)
    if as_json:
        faults = {v.manifest.digest: {"made_by": v.name, "faults": v.faults} for v in bad}
        print_json(
            {"artifacts": len(manifests), "bytes": read, "faults": faults, "results_without": gone}
        )
        raise SystemExit(STAGE_FAILED if bad else OK)
    for verdict in bad:
        for fault in verdict.faults:
            click.echo(f"{verdict.manifest.digest} ({verdict.name}): {fault}")
    rate = f", {read / 1e9 / seconds:.1f} GB/s" if read > 1e8 else ""
    click.echo(f"{len(manifests)} artifacts, {size_of(read)}{rate}, {len(bad)} with faults")
    if gone and not bad:
        click.echo(f"{len(gone)} results name artifacts that are gone; they will be computed anew")
    if bad and not keep:
        click.echo("those are out of use now; the next run that needs them computes them anew")
    raise SystemExit(STAGE_FAILED if bad else OK)


@click.command()
@click.option(
    "--keep",
    default=5,
    show_default=True,
    metavar="N",
    help="Keep what the last N runs of each pipeline need that finished well.",
)
@click.option("--keep-days", default=0.0, metavar="D", help="Keep every run younger than D days.")
@click.option(
    "--keep-attempts",
    default=7.0,
    show_default=True,
    metavar="D",
    help="Keep unfinished attempts younger than D days: their shards can be resumed.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@store_options
def gc(
    keep: int,
    keep_days: float,
    keep_attempts: float,
    yes: bool,
    dry_run: bool,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Remove from the store what no kept run needs; shows it first, and asks.

    Kept are the last runs of each pipeline, every run that is under way, the last result of each
    stage, and all they were made from. What a running run uses is never touched.
    """
    from pipelines.display import console, progress_over, sweep_table
    from pipelines.gc import Collector, Policy
    from pipelines.gc import as_json as described

    store = store_of(store_url)
    collector = Collector(store, Policy(keep, keep_days, keep_attempts))
    sweep = collector.look()
    if not as_json:
        if not sweep.empty:
            console().print(sweep_table(sweep, size_of))
        click.echo(
            f"{len(sweep.artifacts)} artifacts, {len(sweep.attempts)} unfinished attempts, "
            f"{len(sweep.results)} results and {len(sweep.others)} small files are not needed: "
            f"{size_of(sweep.size)}; {sweep.kept} artifacts are kept"
        )
    freed = 0
    ask = not (yes or as_json)
    if not (dry_run or sweep.empty) and (not ask or click.confirm("Remove them?")):
        with progress_over("removing", sweep.size, bytes_=True) as advance:
            freed = collector.remove(sweep, advance)
        if not as_json:
            click.echo(f"freed {size_of(freed)}")
    if as_json:
        print_json({**described(sweep), "freed": freed, "removed": not dry_run})


def find(store: Store, thing: str, tracking_uri: str | None = None) -> list[Any]:
    """The manifests that a word of the command line means; ends with an error if there is none."""
    from pipelines.files import StoreError
    from pipelines.trace import find_artifacts

    try:
        return find_artifacts(store, thing)
    except StoreError as error:
        for other in _other_ids(thing, tracking_uri):
            with contextlib.suppress(StoreError):
                return find_artifacts(store, other)
        fail(str(error))


def _other_ids(run: str, tracking_uri: str | None) -> list[str]:
    """Under which other ids the store may know an MLflow run; the tracker is asked only for what
    looks like one.
    """
    from pipelines.history import known_as

    is_id = len(run) == 32 and all(c in "0123456789abcdef" for c in run)
    return known_as(tracking_uri, run) if tracking_uri and is_id else []


def _artifact_json(store: Store, manifest: Any) -> dict[str, Any]:
    return {
        "digest": manifest.digest,
        "kind": manifest.kind,
        "rows": manifest.rows,
        "bytes": manifest.size,
        "path": store.address(manifest.location),
        "files": [part.path for part in manifest.parts],
        "schema": dict(manifest.schema),
        "made_by": manifest.made_by,
    }
