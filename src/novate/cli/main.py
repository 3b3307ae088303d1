"""The command ``novate``: a registry of subcommands, and errors as one line.

A subcommand is a module of COMMANDS that exposes either ``app`` (a typer.Typer) or ``command`` (one
function). It is imported only when asked for, so ``novate error`` does not wait for a compiler.
A rejection or a fault of the machine ends the command with exit code 2 and one line on stderr;
``--debug`` shows the traceback instead. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from novate import __version__
from novate.errors import Rejected

COMMANDS = {
    "demo": "novate.cli.demo",
    "verify": "novate.cli.verify",
    "exit": "novate.cli.exit",
    "bench": "novate.cli.bench",
    "price": "novate.cli.price",
    "surface": "novate.cli.surface",
    "margin": "novate.cli.margin",
    "up": "novate.cli.up",
    "standby": "novate.cli.standby",
    "venue": "novate.cli.venue",
    "account": "novate.cli.account",
    "order": "novate.cli.order",
    "position": "novate.cli.position",
    "oracle": "novate.cli.oracle",
    "auction": "novate.cli.auction",
    "governance": "novate.cli.governance",
    "signer": "novate.cli.signer",
    "index": "novate.cli.index",
    "error": "novate.cli.error",
}
EXAMPLES = """\
Examples:

  novate demo                 a real crash through the venue, start to finish

  novate error StalePrice     what a rejection means, by name, code or selector

  novate verify --help        replay a run and check every invariant
"""


class Registry(typer.core.TyperGroup):
    """Finds subcommands in COMMANDS and imports them on demand."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the subcommands whose module is installed, in the order of COMMANDS."""
        return [name for name, module in COMMANDS.items() if importlib.util.find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand, or None when there is no such one."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        app: typer.Typer | None = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            app.command(cmd_name, cls=getattr(module, "CLASS", None))(module.command)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command


application = typer.Typer(
    name="novate",
    cls=Registry,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXAMPLES,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"novate {__version__}")
        raise typer.Exit


@application.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Novate: an open clearing house for crypto derivatives."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line (the process's own by default) and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(application)
    try:
        command.main(args=given, prog_name="novate")
    except (Rejected, OSError) as error:
        if "--debug" in given:
            raise
        typer.echo(f"error: {one_line(str(error))}", err=True)
        sys.exit(2)


def called_as() -> str:
    """How this program was called, for lines that say what to type next."""
    name = sys.argv[0]
    return f"{sys.executable} -m novate" if name.endswith("__main__.py") else name


def one_line(text: str) -> str:
    """A message in one line; what a file could make a terminal do is a question mark."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in line)
