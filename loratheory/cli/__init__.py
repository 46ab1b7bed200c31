"""The `loratheory` command. Its modules only read options and print; slow imports come late.

Each module holds the command of its name and imports what computes the result only when it runs.
Here are how every command begins and ends (streams, signals, refusals in a line), and their list.

Exit codes: 0 if the command has finished, whatever it found; 1 if a proved theorem or a control
failed in ``verify``, or the work crashed; 2 if the input is wrong. Results go to stdout, all
messages to stderr.
"""

import codecs
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from loratheory.cli import (
    _advise,
    _bound,
    _check_model,
    _convert,
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
PLAIN = {
    "–": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "·": "*", "×": "x", "•": "*", "█": "#",
    "σ": "sigma", "θ": "theta", "Δ": "delta", "‖": "||", "²": "^2", "₁": "1", "−": "-",
}  # fmt: skip


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; what cleans up after Ctrl-C cleans up after this too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Commands(TyperGroup):
    """Turns the package's own refusals into one paragraph on stderr and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run from the command line, with streams that can be written and signals that clean up."""
        _open_streams()
        with _signals_stop():
            try:
                try:
                    _environment_fits()
                    return super().main(*args, **kwargs)
                finally:
                    sys.stdout.flush()
            except OSError as error:  # what a file is to blame for has been said by `invoke`
                _lost(error)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; our ValueErrors and file errors are the user's to mend."""
        try:
            with warnings.catch_warnings():  # gives `showwarning` back
                warnings.showwarning = _noted
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            typer.echo(f"loratheory: ended by {signal.Signals(number).name}", err=True)
            raise typer.Exit(128 + number) from None
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
            from loratheory.pretrained._model import spent

            if not spent(error):
                raise
            what = LOWER.get(ctx.invoked_subcommand, "give it less at once")
            refused(f"memory ran out ({str(error).partition(chr(10))[0]}): {what}")

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """In the order of a first visit, not of the alphabet."""
        return list(self.commands)


def _open_streams() -> None:
    """Standard streams that take any text, and that exist even where they were closed.

    A closed one is given to /dev/null: the next file that is opened would get its number, and
    whatever prints would print into that file.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (number := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    codecs.register_error("loratheory", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="loratheory")


def _in_plain_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Signs that the encoding lacks in ASCII; letters of names by their numbers, as Python does."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    plain = "".join(PLAIN.get(sign, sign) for sign in signs)
    return plain.encode("ascii", "backslashreplace").decode(), error.end


def _environment_fits() -> None:
    """Refuse a date without which NumPy is not imported, and a Python that drops statements."""
    date, message = os.environ.get("SOURCE_DATE_EPOCH", "0"), ""
    if not (date.isascii() and date.isdecimal() and len(date) < 12):
        message = f"SOURCE_DATE_EPOCH is {date!r}: set it to whole seconds since 1970, or unset it"
    elif sys.flags.optimize > 1:
        message = "Python runs with -OO, which drops the docstrings that theorems are stated in: "
        message += "unset PYTHONOPTIMIZE, or set it to 1"
    if message:
        typer.echo(f"loratheory: {message}", err=True)
        raise SystemExit(2)


@contextmanager
def _signals_stop() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise `Stopped`, once; one that is ignored (nohup) stays so."""

    def _stop(number: int, _: Any) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    main = threading.current_thread() is threading.main_thread()
    changed = [n for n in numbers if n and main and signal.getsignal(n) == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _lost(error: OSError) -> NoReturn:
    """Leave without standard output: quietly, like any filter, where its reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
    if isinstance(error, BrokenPipeError):
        raise SystemExit(1) from None
    fact = error.strerror or str(error)
    typer.echo(f"loratheory: standard output (or a temporary file): {fact}", err=True)
    raise SystemExit(2) from None


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
    "Theorems": (_theorems.theorems, _theorems.verify, _bound.bound),
    "Your adapters": (
        _inspect.inspect,
        _diagnose.diagnose,
        _advise.advise,
        _merge.merge,
        _check_model.check_model,
        _convert.convert,
        _convert.extract,
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
