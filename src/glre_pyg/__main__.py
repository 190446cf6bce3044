"""``glre`` or ``python -m glre_pyg`` lists the commands, and ``glre COMMAND ...`` runs one of them."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

from glre_pyg.utils.console import echo, echo_error
from glre_pyg.utils.interrupts import interruptible

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "serve",
    "merge",
    "compress",
    "pretrain",
    "stats",
    "convert",
    "report",
    "compare",
    "case_study",
    "errors",
    "submit",
)


def main() -> None:
    """Run the command that the first argument names; without arguments, list the commands."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        del sys.argv[1]
        with interruptible():  # while it is imported, too
            import_module(f"glre_pyg.{name}").main()
    elif name == "--version":
        echo(f"glre_pyg {version('glre_pyg')}")
    elif name in ("--help", "-h"):
        echo("glre COMMAND [SETTING=VALUE ...], with --help for the settings of a command:", "")
        for command in COMMANDS:
            echo(f"  {command:12s}{import_module(f'glre_pyg.{command}').main.__doc__.splitlines()[0]}")
    else:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        echo_error(f"error: '{name}' is not one of {', '.join(COMMANDS)}{hint}")
        sys.exit(2)


if __name__ == "__main__":
    main()
