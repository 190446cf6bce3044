"""``python -m glre_pyg`` lists the commands, and ``python -m glre_pyg COMMAND ...`` runs one of them."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = (
    "train",
    "evaluate",
    "predict",
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
        import_module(f"glre_pyg.{name}").main()
    elif name in ("--help", "-h"):
        print("python -m glre_pyg COMMAND [SETTING=VALUE ...], with --help for the settings of a command:\n")
        for command in COMMANDS:
            print(f"  {command:12s}{import_module(f'glre_pyg.{command}').main.__doc__.splitlines()[0]}")
    else:
        print(f"error: '{name}' is not one of {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
