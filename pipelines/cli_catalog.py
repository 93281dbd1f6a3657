"""`tokenmill catalog`: DAGs to copy, what each claims, and what became of it here."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.console import fail, print_json, store_of, store_options

EPILOG = """\b
Examples:
  tokenmill catalog                       every DAG, its claims, what was measured and found here
  tokenmill catalog collapse              one of them, with what to change to scale it up
  tokenmill run pipelines/catalog/collapse.yaml
  tokenmill catalog --pages docs/catalog  a page each, with the plots of the last run
"""


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--pages",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a Markdown page with plots for each DAG that was run here.",
)
@store_options
def catalog(
    names: tuple[str, ...],
    pages: Path | None,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """List the DAGs that come with tokenmill, with their claims and what was last found here.

    A claim "came out" where its whole interval lies on the expected side. "measured" is
    what its author found, "here" what the last run in this store did.
    """
    from pipelines.claims import as_measured, told
    from pipelines.display import console, rows_table
    from pipelines.gallery import entries, write_index, write_page

    try:
        found = list(entries(store_of(store_url), names))
    except LookupError as error:
        fail(str(error))
    if as_json:
        print_json([entry.as_json() for entry in found])
    elif not names:
        rows = [
            (entry.name if number == 0 else "", finding.claim.says, finding.claim.source,
             as_measured(finding.claim).verdict if finding.claim.measured else "", finding.verdict)
            for entry in found
            for number, finding in enumerate(entry.findings)
        ]  # fmt: skip
        rows += [(e.name, e.spec.description.strip(), "", "", "") for e in found if not e.findings]
        columns = ("DAG", "claim", "source", "measured", "here")
        console().print(rows_table(columns, rows))
    else:
        for entry in found:
            click.echo(f"{entry.name}: {entry.spec.description.strip()}")
            for finding in entry.findings:
                click.echo(f"- {told(finding)} [{finding.claim.source}]")
                if finding.claim.measured is not None:
                    click.echo(f"  measured: {as_measured(finding.claim).verdict}")
                if finding.claim.remark:
                    click.echo(f"  {finding.claim.remark}")
            if entry.spec.scale_up:
                click.echo(f"at the paper's scale: {entry.spec.scale_up.strip()}")
            click.echo(f"run it: tokenmill run {entry.path}")
    ran = [entry for entry in found if entry.was_run]
    if pages is not None and ran:
        written = [path for entry in ran for path in write_page(entry, pages)]
        # An index of some would hide the others.
        written += [] if names else [write_index(ran, pages)]
        for path in written:
            click.echo(f"wrote {path}", err=True)
