"""
`meshlens`: one command for everything an operator does; each subcommand is a file in `commands/`.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from deploy.local import commands
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CONFIG: Final = 2
EXIT_UNAVAILABLE: Final = 3
ORDER: Final = ("up", "demo", "status", "top", "probes", "doctor", "migrate")


class Command(Protocol):
    """
    What a file in `commands/` offers.
    """

    SAYS: str
    """One line for the list of commands."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """
        Declare its arguments.
        """

    @staticmethod
    def run(arguments: argparse.Namespace) -> int:
        """
        Do it, and return the exit status.
        """


def parser() -> argparse.ArgumentParser:
    """
    Return the parser with every subcommand in it.
    """
    top = argparse.ArgumentParser(
        prog="meshlens",
        description="See what microservices do, without touching them.",
        epilog="Exit status: 0 done, 1 something is wrong with what was looked at, 2 you must act, 3 nobody answers.",
    )
    top.add_argument("--version", action="version", version=f"meshlens {metadata.version('meshlens')}")
    choices = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    for name in sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        command: Command = importlib.import_module(f"{commands.__name__}.{name}")  # type: ignore[assignment] # a module
        one = choices.add_parser(name, help=command.SAYS, description=command.SAYS)
        one.add_argument("--data-dir", type=Path, help="folder that holds everything (default: MESHLENS_DATA_DIR, "
                         "else /var/lib/meshlens for root, ./var for others)")  # fmt: skip
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line and return its exit status.
    """
    parsed = parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except ConfigError as error:
        print(f"meshlens: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except Unavailable as error:
        print(f"meshlens: {error}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
