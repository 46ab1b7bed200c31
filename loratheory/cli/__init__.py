"""The `loratheory` command. Its modules only read options and print; slow imports come late.

Each module holds the command of its name and imports what computes the result only when it runs.

Exit codes: 0 if the command has finished, whatever it found; 1 if a proved theorem or a control
failed in ``verify``, or the work crashed; 2 if the input is wrong. Results go to stdout, all
messages to stderr.
"""

import sys
from typing import Annotated

import typer

from loratheory.cli import (
    _advise,
    _bound,
    _check_model,
    _claim,
    _convert,
    _data,
    _diagnose,
    _evaluate,
    _experiments,
    _figures,
    _inspect,
    _interfere,
    _merge,
    _moments,
    _rehearse,
    _run,
    _teach,
    _theorems,
)
from loratheory.cli._commands import Commands

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
    "Theorems": (_theorems.theorems, _theorems.verify, _claim.claim, _bound.bound),
    "Your adapters": (
        _inspect.inspect,
        _diagnose.diagnose,
        _advise.advise,
        _merge.merge,
        _check_model.check_model,
        _interfere.interfere,
        _convert.convert,
        _convert.extract,
        _moments.moments,
        _advise.generate,
    ),
    "Adapters that others can combine": (_teach.teach, _rehearse.rehearse),
    "Rules of reuse": (_merge.methods, _evaluate.evaluate, _evaluate.leaderboard),
    "Experiments": (_experiments.experiments, _run.run, _figures.figure),
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
app.add_typer(data, name="data", rich_help_panel="Experiments")
