"""The `loratheory` command: twelve commands that read options, call the package and print.

Each command imports what computes its result only when it runs. Exit codes: 0 if the command has
finished, whatever it found; 1 if a proved theorem or a control failed in ``verify``, or the work
crashed; 2 if the input is wrong. Results go to standard output, all messages to standard error.
"""

import errno
import io
import sys
import warnings
from functools import partial
from typing import Annotated, Any

import typer
from typer import Option
from typer.core import TyperGroup

from loratheory.cli import _advise, _check, _data, _evaluate, _merge, _theorems, _train, _weights
from loratheory.cli._shared import EXTRAS, refuse, spread_groups


class Commands(TyperGroup):
    """Turns errors that the user can mend into one line on standard error and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; other people's errors stay crashes with their traceback."""
        # A terminal or log of another encoding gets \u03a3 for Σ.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            # it puts `showwarning` back
            with warnings.catch_warnings():
                warnings.showwarning = partial(_show_warning, set())
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            for extra, packages in EXTRAS.items():
                if name in packages:
                    remedy = f"pip install 'loratheory[{extra}]'"
                    refuse(f"this needs {name}, which is not installed: {remedy}")
            raise
        except OSError as error:
            if error.errno == errno.ENOSPC and not error.filename:
                refuse("standard output: no space is left on its device")
            if error.filename is None:
                raise
            refuse(f"{error.filename}: {error.strerror or error}")
        except (ValueError, MemoryError, RuntimeError) as error:
            if type(error).__module__.startswith("loratheory."):
                refuse(str(error))
            # PyTorch says it in a RuntimeError: in words on the processor, by a class on a GPU.
            if isinstance(error, ValueError) or "memory" not in repr(error).lower():
                raise
            fact = str(error).partition("\n")[0]
            refuse(f"memory ran out ({fact}): give {ctx.invoked_subcommand} less at once")


def _show_warning(
    seen: set[str], message: Any, category: Any, filename: str, line: int, *_: Any
) -> None:
    """Print our own warnings as one line, once, without the line of code that met them."""
    if category.__module__.startswith("loratheory."):
        if str(message) not in seen:
            typer.echo(f"loratheory: note: {message}", err=True)
        seen.add(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, line))


def _show_version(wanted: bool) -> None:
    if wanted:
        from loratheory import __version__

        typer.echo(f"loratheory {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `loratheory theorems`, then `loratheory diagnose FOLDER FOLDER`.",
)


@app.callback()
def _root(
    version: Annotated[bool, Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Merge, route and train LoRA adapters, and check theorems about them."""


# Commands by what they are for, in the order of the help.
PANELS = {
    "Theorems": (_theorems.theorems, _theorems.verify),
    "Your adapters": (
        _weights.inspect,
        _weights.diagnose,
        _advise.advise,
        _merge.merge,
        _check.check,
    ),
    "Training": (_train.train, _train.augment),
    "Generate and evaluate": (_advise.generate, _evaluate.evaluate),
}

for panel, commands in PANELS.items():
    for command in commands:
        shared = _train.SHARED if command is _train.train else None
        app.command(rich_help_panel=panel, epilog=shared)(spread_groups(command))
data = typer.Typer(
    no_args_is_help=True,
    help="Write word problems or two-hop questions, split into training and test data.",
)
data.command()(spread_groups(_data.word_problems))
data.command()(spread_groups(_data.two_hop))
app.add_typer(data, name="data", rich_help_panel="Data")
