"""`tokenmill submit`, `jobs`, `logs`, `stop`: runs on a cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from pipelines.console import (
    JOB,
    OK,
    STAGE_FAILED,
    dag_argument,
    fail,
    only_option,
    plan_of,
    print_json,
    set_option,
    stop_on_sigterm,
    store_of,
    store_options,
    tracking_uri_of,
)
from pipelines.redact import redact, redact_text
from stages.content_hash import cache_folder

if TYPE_CHECKING:
    from cluster.submit import Job, JobServer
    from pipelines.plan import Plan
    from pipelines.store import Store

UNREACHABLE, UNAUTHORIZED, IMPOSSIBLE, INCOMPATIBLE = 4, 5, 6, 7
NIGHT, MAY_GROW = "TOKENMILL_NIGHT", "TOKENMILL_MAY_GROW"
STOP_SECONDS = 15.0  # less than a keeper waits
OURS = ("pipelines", "stages", "operators", "cluster")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")

_address_option = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    required=True,
    metavar="URL",
    help="The cluster's dashboard, http://HOST:8265. Default: $RAY_API_SERVER_ADDRESS. Its token "
    "is read from $RAY_AUTH_TOKEN_PATH, else ~/.ray/auth_token.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")


@click.command()
@dag_argument
@set_option
@only_option
@_address_option
@click.option("--follow", is_flag=True, help="Show what the run prints until it has ended.")
@click.option(
    "--may-grow",
    is_flag=True,
    envvar=MAY_GROW,
    help="The cluster adds nodes when they are asked for: a stage that no node can run now waits "
    f"for one. Default: ${MAY_GROW}.",
)
@store_options
def submit(
    dag: Path,
    overrides: tuple[str, ...],
    only: tuple[str, ...],
    address: str,
    follow: bool,
    may_grow: bool,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Run a DAG on a Ray cluster. Store and tracker must be within reach of its nodes.

    Ships the code and the settings of this folder, no data, secrets or environments. Submitting the
    same thing again attaches to the job there is; a run whose process is killed starts again by
    itself and resumes.

    Exit status: that of the run with --follow; 2 the input is wrong, 4 no cluster answers, 5 it
    wants another token, 6 a stage asks for what no node has, 7 its Ray is another version.
    """
    from cluster.package import TooMuch, package

    planned = plan_of(dag, overrides)
    store = store_of(store_url)
    if not store.files.is_shared:
        fail(f"the store {store.url} lies in the memory of this process; name one that every node "
             "reaches")  # fmt: skip
    project = dag.resolve().parent
    try:
        shipped = package(project, [_folder_of(name) for name in OURS], without=_results(store))
    except TooMuch as error:
        fail(str(error))
    if _is_here(address):  # there, it would be something in the folder of the job
        store_url, tracking_uri = store.url, tracking_uri_of(tracking_uri)
    command = ["-P", "-m", "pipelines.cli", "run", f"project/{dag.name}", "--quiet",
               "--address", "auto"]  # fmt: skip
    for name, where in (("--store", store_url), ("--tracking-uri", tracking_uri)):
        if where is not None:
            command += [name, where]
            if not _is_here(address) and urlsplit(where).scheme in ("", "file", "sqlite"):
                click.echo(f"tokenmill: {name} {where} is a file of this machine; every node of "
                           "the cluster must find it there, too", err=True)  # fmt: skip
    for option, values in (("--set", overrides), ("--only", only)):
        for value in values:
            command += [option, value]
    _refuse_secrets(command)
    variables = _variables(dag) | ({MAY_GROW: "1"} if may_grow else {})
    with _told():
        server = _server(address)
        if not may_grow:
            _check_resources(planned, server)
        job = server.submit(
            _name(planned.pipeline, shipped.digest(), command, variables),
            shipped,
            command,
            variables=variables,
            metadata={"pipeline": planned.pipeline},
        )
        for name, why in sorted(shipped.left_out.items()):
            click.echo(f"not shipped: {name} ({why})", err=True)
        if not follow:
            _show_job(job, as_json)
            return
        is_night = NIGHT in variables
        if is_night:  # its keeper decides over it
            stop_on_sigterm()
        else:
            click.echo(f"{job.id} ({job.status}); Ctrl-C leaves it running", err=True)
        try:
            job = server.follow(job.id, lambda text: click.echo(text, nl=False))
        except KeyboardInterrupt:
            if is_night:
                server.stop(job.id, wait=STOP_SECONDS)
            raise
    raise SystemExit(_status_of(job))


@click.command()
@_address_option
@_json_option
def jobs(address: str, as_json: bool) -> None:
    """Show the jobs of a cluster."""
    with _told():
        found = _server(address).jobs()
    if as_json:
        print_json([_as_json(job) for job in found])
        return
    from pipelines.display import print_table

    print_table(
        ("job", "status", "started", "seconds", "exit"),
        [
            {
                "job": job.id,
                "status": job.status,
                "started": job.started
                and time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started)),
                "seconds": job.started and round((job.ended or time.time()) - job.started),
                "exit": job.exit,
            }
            for job in found
        ],
    )


@click.command()
@click.argument("job")
@_address_option
@click.option("--follow", is_flag=True, help="Go on until the job has ended.")
def logs(job: str, address: str, follow: bool) -> None:
    """Show what a job has printed; with --follow, end with its exit status."""
    with _told():
        server = _server(address)
        if not follow:
            click.echo(server.logs(job), nl=False)
            return
        server.job(job)
        ended = server.follow(job, lambda text: click.echo(text, nl=False))
    raise SystemExit(_status_of(ended))


@click.command()
@click.argument("job")
@_address_option
def stop(job: str, address: str) -> None:
    """Stop a job; submitted again, it resumes."""
    with _told():
        stopped = _server(address).stop(job)
    click.echo(f"{job} is being stopped" if stopped else f"{job} had ended already")


def _server(address: str) -> JobServer:
    from cluster.submit import JobServer

    return JobServer(address)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of a cluster become a line, each with an exit status of its own."""
    from cluster.submit import Impossible, Incompatible, SubmitError, Unauthorized

    statuses = {Unauthorized: UNAUTHORIZED, Impossible: IMPOSSIBLE, Incompatible: INCOMPATIBLE}
    try:
        yield
    except SubmitError as error:
        click.echo(f"tokenmill: {error}", err=True)
        raise SystemExit(statuses.get(type(error), UNREACHABLE)) from None
    except LookupError as error:
        fail(str(error.args[0]))


def _results(store: Store) -> list[Path]:
    """Folders of this machine that runs write to: what they hold is data, and changes."""
    return [cache_folder(), *([Path(store.files.root)] if store.files.is_local else [])]


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _variables(dag: Path) -> dict[str, str]:
    """The environment variables that a DAG file reads, and the night."""
    names = {*_VARIABLE.findall(dag.read_text(encoding="utf-8")), NIGHT}
    found = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    for name, value in found.items():
        if redact({name: value})[name] != value:
            fail(f"{dag} reads ${{{name}}}, which is a secret, and a job's environment is shown to "
                 "all who may see the cluster; set it on the cluster's nodes")  # fmt: skip
    return {**found, JOB: "1"}


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine alone."""
    host = urlsplit(address if "://" in address else f"http://{address}").hostname
    return host in ("127.0.0.1", "localhost", "::1")


def _refuse_secrets(command: list[str]) -> None:
    for part in command:
        if redact_text(part) != part:
            fail("an address holds a password, and a job's command is shown to all who may see the "
                 "cluster; set TOKENMILL_STORE or MLFLOW_TRACKING_URI on its nodes")  # fmt: skip


def _check_resources(planned: Plan, server: JobServer) -> None:
    """Refuse a stage that no node can ever run."""
    from cluster.needs import unmet
    from cluster.submit import Impossible

    nodes = server.nodes()
    for stage in planned.stages:
        why = unmet(stage.resources, nodes)
        if why is not None:
            raise Impossible(
                f'the stage "{stage.name}" can never run on this cluster: {why}; if the cluster '
                "adds nodes when they are asked for, say --may-grow"
            )


def _name(pipeline: str, digest: str, command: list[str], variables: Mapping[str, str]) -> str:
    """What a job is known by: all that it runs."""
    said = json.dumps([digest, command, dict(variables)]).encode()
    return f"tokenmill-{pipeline}-{blake2b(said, digest_size=6).hexdigest()}"


def _status_of(job: Job) -> int:
    if job.status == "SUCCEEDED":
        return OK
    click.echo(f"{job.id}: {job.status}", err=True)
    return job.exit if job.exit else STAGE_FAILED


def _show_job(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(job))
        return
    click.echo(f"{job.id} ({job.status})")
    click.echo(f"`tokenmill logs {job.id} --follow` shows what it prints", err=True)


def _as_json(job: Job) -> dict[str, Any]:
    return {**vars(job), "metadata": dict(job.metadata)}
