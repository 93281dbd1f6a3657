"""`tokenmill ui`: the pages of the record."""

from __future__ import annotations

import click

from pipelines.console import SPOOL, stop_on_sigterm, store_of, store_options, tell, tracking_uri_of


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True)
@store_options
def ui(
    host: str, port: int, store_url: str | None, tracking_uri: str | None, as_json: bool
) -> None:
    """Serve the MLflow pages of this record until interrupted."""
    from pipelines.mlflow_client import open_ui

    uri = tracking_uri_of(tracking_uri)
    stop_on_sigterm()
    _catch_up(uri, store_url)
    if uri.startswith("http"):
        click.echo(f"the record is on a server: open {uri}")
        return
    click.echo(f"MLflow on http://{host}:{port} (record {uri}); Ctrl-C ends it", err=True)
    raise SystemExit(open_ui(uri, host, port))


def _catch_up(tracking_uri: str, store_url: str | None) -> None:
    """Send what earlier runs could not record, and close those that died."""
    from pipelines.leftovers import catch_up
    from pipelines.spool import Away

    try:
        done = catch_up(SPOOL, tracking_uri, store_of(store_url))
    except Away as error:
        done = f"the tracker is away: {error}"
    tell([done] if done else [])
