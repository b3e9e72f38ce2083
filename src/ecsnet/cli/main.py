"""`ecsnet`: the command line. One line per command; errors are one clear line and a hint."""

from __future__ import annotations

import sys

import typer

from ecsnet.cli import demo, deploy, fault, flows, lifecycle, probe, show, standin, traffic, verify, why
from ecsnet.cli.errors import CliError
from ecsnet.cli.modes.command import modes

app = typer.Typer(
    name="ecsnet",
    help="Amazon ECS networking, run for real on this machine: real packets, the AWS APIs, no account.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel="Start and stop")(lifecycle.up)
app.command(rich_help_panel="Start and stop")(lifecycle.down)
app.command(rich_help_panel="Start and stop")(lifecycle.status)
app.command(rich_help_panel="Start and stop")(lifecycle.env)
app.command(rich_help_panel="Start and stop")(demo.demo)
app.command(rich_help_panel="Stacks")(deploy.deploy)
app.command(rich_help_panel="Stacks")(deploy.destroy)
app.command(rich_help_panel="Look")(show.ps)
app.command("map", rich_help_panel="Look")(show.network_map)
app.command(rich_help_panel="Look")(traffic.logs)
app.command(rich_help_panel="Look")(flows.flows)
app.command(rich_help_panel="Look")(traffic.nft)
app.command(rich_help_panel="Packets")(probe.probe)
app.command(rich_help_panel="Packets")(probe.capture)
app.command(rich_help_panel="Packets")(traffic.curl)
app.command(rich_help_panel="Packets")(why.why)
app.command(rich_help_panel="Packets")(verify.verify)
app.command(rich_help_panel="Packets")(modes)
app.command("exec", rich_help_panel="Packets")(traffic.execute)
app.command(rich_help_panel="Packets")(fault.fault)
app.command("stand-in", rich_help_panel="Packets")(standin.stand_in)


def main() -> None:
    """Entry point of the `ecsnet` command."""
    try:
        app()
    except CliError as error:
        print(f"ecsnet: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        sys.exit(error.code)
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
