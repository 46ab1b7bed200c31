"""The `loratheory` command. Its modules only read options and print; slow imports come late.

Each module holds the command of its name and imports what computes the result only when it runs.
Here are how every command ends (refusals in a line), and their list.

Exit codes: 0 if the command has finished, whatever it found; 1 if a proved theorem or a control
failed in ``verify``, or the work crashed; 2 if the input is wrong. Results go to stdout, all
messages to stderr.
"""

import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from loratheory.cli import (
    _advise,
    _check_model,
    _data,
    _diagnose,
    _evaluate,
    _inspect,
    _merge,
    _moments,
    _rehearse,
    _teach,
    _theorems,
)
from loratheory.cli._output import EXTRAS, refused

LOWER = {
    "advise": "take --dtype bfloat16 or --device auto, or give fewer prompts",
    "check-model": "name fewer --layers, or take --dtype bfloat16 or --device auto",
    "diagnose": "give fewer adapters at once",
    "merge": "lower --rank, leave the audit out with --no-audit, or give fewer adapters at once",
    "rehearse": "take --dtype bfloat16 or --device auto",
}


class Commands(TyperGroup):
    """Turns the package's own refusals into one paragraph on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; our ValueErrors and file errors are the user's to mend."""
        try:
            with warnings.catch_warnings():  # gives `showwarning` back
                warnings.showwarning = _noted
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except ValueError as error:
            if not type(error).__module__.startswith("loratheory."):
                raise
            refused(str(error))
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            extra = next((extra for extra, names in EXTRAS.items() if name in names), None)
            if extra is None:
                raise
            refused(f"this needs {name}, which is not installed: pip install 'loratheory[{extra}]'")
        except OSError as error:
            if error.filename is None:
                raise
            refused(f"{error.filename}: {error.strerror or error}")
        except (MemoryError, RuntimeError) as error:
            from loratheory.pretrained.models import is_out_of_memory

            if not is_out_of_memory(error):
                raise
            what = LOWER.get(ctx.invoked_subcommand, "give it less at once")
            refused(f"memory ran out ({str(error).partition(chr(10))[0]}): {what}")

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """In the order of a first visit, not of the alphabet."""
        return list(self.commands)


def _noted(message: Any, category: Any, filename: str, lineno: int, *_: Any, **__: Any) -> None:
    """Our own warnings as one line, without the line of code that met them."""
    if category.__module__.startswith("loratheory."):
        typer.echo(f"loratheory: note: {message}", err=True)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


app = typer.Typer(
    cls=Commands,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The limits of low-rank adapters and of reusing them, as things that can be run.",
    epilog="Start with `loratheory theorems`, then `loratheory diagnose FOLDER FOLDER`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from loratheory import __version__

        sys.stdout.write(f"loratheory {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


PANELS = {
    "Theorems": (_theorems.theorems, _theorems.verify),
    "Your adapters": (
        _inspect.inspect,
        _diagnose.diagnose,
        _advise.advise,
        _merge.merge,
        _check_model.check_model,
        _moments.moments,
        _advise.generate,
    ),
    "Adapters that others can combine": (_teach.teach, _rehearse.rehearse),
    "Rules of reuse": (
        _merge.methods,
        _evaluate.evaluate,
    ),
}
"""Commands by what they are for, in the order of the help."""

for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
data = typer.Typer(
    no_args_is_help=True,
    help="Write word problems or two-hop questions as JSON Lines, split by structure.",
)
data.command()(_data.word_problems)
data.command()(_data.two_hop)
app.add_typer(data, name="data", rich_help_panel="Data")
