"""`tokenmill cluster` and `doctor`: a cluster of one's own, and whether all is well."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipelines.console import (
    OK,
    SPOOL,
    STAGE_FAILED,
    fail,
    print_json,
    store_of,
    store_options,
    tracking_uri_of,
)

if TYPE_CHECKING:
    from cluster.local import LocalNode, Offer

LOOPBACK = "127.0.0.1"
EPILOG = """\b
Examples:
  tokenmill cluster start                     a cluster that only this machine reaches
  tokenmill submit dag.yaml --address http://127.0.0.1:8265 --follow
  tokenmill cluster start --host 10.0.0.5     one that other machines may join
  tokenmill cluster join 10.0.0.5:6379        there, with the same ~/.ray/auth_token
"""


def _offer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of what a node offers, as the argument `offer`, and `block`."""

    @functools.wraps(function)
    def with_offer(
        *,
        cpus: int | None,
        gpus: int | None,
        custom: tuple[str, ...],
        labels: tuple[str, ...],
        **named: Any,
    ) -> None:
        function(offer=_offer(cpus, gpus, custom, labels), **named)

    command: Callable[..., Any] = with_offer
    for option in (
        click.option("--block", is_flag=True, help="Stay in the foreground, as services do."),
        click.option("--label", "labels", multiple=True, metavar="NAME=VALUE",
                     help="A label of this node, for `resources: {labels: …}`."),
        click.option("--resource", "custom", multiple=True, metavar="NAME=AMOUNT",
                     help="A resource of this node, for `resources: {custom: …}`."),
        click.option("--gpus", type=click.IntRange(0), metavar="N", help="Default: all."),
        click.option("--cpus", type=click.IntRange(0), metavar="N", help="Default: all."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(epilog=EPILOG)
def cluster() -> None:
    """A Ray cluster of your own: it asks for a token, and keeps to this machine unless told."""


@cluster.command()
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    metavar="IP",
    help="Address of this machine to listen at. Who reaches it and has the token can run code "
    "here, and what is said is not encrypted: an address of a private network.",
)
@click.option("--port", type=int, default=6379, show_default=True, help="For nodes that join.")
@click.option("--dashboard-port", type=int, default=8265, show_default=True, help="For jobs.")
@_offer_options
def start(
    host: str,
    port: int,
    dashboard_port: int,
    offer: Offer,
    block: bool,
) -> None:
    """Start the head of a cluster.

    The token is in $RAY_AUTH_TOKEN_PATH, else ~/.ray/auth_token; it is made if there is none.
    """
    from cluster.local import head_command

    host = LOOPBACK if host == "localhost" else host
    command = head_command(host, port, dashboard_port, offer)
    if block:
        _become(command, host)
    node = _started(command, "head", f"{host}:{port}", f"http://{host}:{dashboard_port}")
    click.echo(f"a cluster runs at {node.dashboard}")
    lines = [f"submit:  tokenmill submit dag.yaml --address {node.dashboard} --follow",
             "stop:    tokenmill cluster stop"]  # fmt: skip
    if host != LOOPBACK:
        lines.insert(1, f"join:    tokenmill cluster join {node.address}")
    for line in lines:
        click.echo(line, err=True)


@cluster.command()
@click.argument("address", metavar="HOST:PORT")
@_offer_options
def join(address: str, offer: Offer, block: bool) -> None:
    """Make this machine a node of the cluster whose head is at HOST:PORT.

    Takes the token of the head, in ~/.ray/auth_token here, too.
    """
    from cluster.access import has_token
    from cluster.local import join_command

    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        fail(f"{address} is no address of a head, such as 10.0.0.5:6379")
    if host in (LOOPBACK, "localhost"):
        fail(f"a cluster at {address} keeps to its machine, which has joined it; "
             "start it with --host for others to join")  # fmt: skip
    if not has_token():
        fail("this machine has no token; copy ~/.ray/auth_token of the head's machine to here")
    command = join_command(address, offer)
    if block:
        _become(command, host)
    _started(command, "worker", address, None)
    click.echo(f"this machine has joined {address}")


@cluster.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
def status(as_json: bool) -> None:
    """Show the nodes that run on this machine."""
    from cluster.local import nodes

    shown = [{"role": n.role, "address": n.address, "dashboard": n.dashboard, "pid": n.pid,
              "log": str(n.log)} for n in nodes()]  # fmt: skip
    if as_json:
        print_json(shown)
    elif not shown:
        click.echo("no node runs on this machine that tokenmill has started")
    else:
        from pipelines.display import print_table

        print_table(("role", "address", "dashboard", "pid", "log"), shown)


@cluster.command()
@click.option("--port", type=int, metavar="N", help="Only the node of the head at this port.")
def stop(port: int | None) -> None:
    """End the nodes on this machine that tokenmill has started, and what runs on them."""
    from cluster.local import nodes
    from cluster.local import stop as stop_node

    found = [n for n in nodes() if port is None or n.address.endswith(f":{port}")]
    if not found:
        click.echo("no node runs on this machine that tokenmill has started")
    for node in sorted(found, key=lambda n: n.role == "head"):
        stop_node(node)
        click.echo(f"stopped the {node.role} of {node.address}")


@click.command()
@click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    metavar="URL",
    help="A cluster's dashboard. Default: $RAY_API_SERVER_ADDRESS, else none is looked at.",
)
@store_options
def doctor(
    address: str | None, store_url: str | None, tracking_uri: str | None, as_json: bool
) -> None:
    """Look at the set-up: does it work, and who else may use it?

    Exit status 1 where something is wrong, or open to strangers.
    """
    from pipelines.doctor import examine, is_well

    findings = []
    marks = {"ok": click.style("ok   ", fg="green"), "open": click.style("OPEN ", fg="yellow"),
             "wrong": click.style("WRONG", fg="red")}  # fmt: skip
    for finding in examine(store_of(store_url), tracking_uri_of(tracking_uri), address, SPOOL):
        findings.append(finding)
        if not as_json:
            click.echo(f"{marks[finding.level]}  {finding.about}: {finding.says}")
            if finding.cure:
                click.echo(f"       {finding.cure}")
    if as_json:
        print_json([vars(finding) for finding in findings])
    raise SystemExit(OK if is_well(findings) else STAGE_FAILED)


def _offer(
    cpus: int | None, gpus: int | None, custom: tuple[str, ...], labels: tuple[str, ...]
) -> Offer:
    from cluster.local import Offer

    amounts = {}
    for name, value in _pairs("--resource", custom).items():
        try:
            amounts[name] = float(value)
        except ValueError:
            fail(f"--resource {name}={value}: {value} is no number")
    return Offer(cpus, gpus, amounts, _pairs("--label", labels))


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            fail(f"{option} {text}: expected NAME=VALUE")
        found[name] = value
    return found


def _started(command: list[str], role: Any, address: str, dashboard: str | None) -> LocalNode:
    from cluster.local import NodeError
    from cluster.local import start as start_node

    try:
        return start_node(command, role=role, address=address, dashboard=dashboard)
    except NodeError as error:
        fail(str(error))


def _become(command: list[str], host: str) -> NoReturn:
    from cluster.local import environment

    os.execvpe(command[0], command, environment(host))
