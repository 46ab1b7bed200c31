"""How every command ends: refusals, spent memory and notes in a line, crashes as they are."""

import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from loratheory.cli._output import refused

LOWER = {
    "check-model": "name fewer --layers, or take --dtype bfloat16 or --device auto",
    "diagnose": "give fewer adapters at once",
    "interfere": "make --block smaller, or take fewer --workers; --resume goes on",
    "merge": "lower --rank, leave the audit out with --no-audit, or give fewer adapters at once",
    "run": "take fewer --workers; --resume goes on",
}
EXTRAS = {"distributed": "dask", "matplotlib": "notebooks", "torch": "torch"}


class Commands(TyperGroup):
    """Turns the package's own refusals into one paragraph on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; our ValueErrors and file errors are the user's to mend."""
        try:
            with warnings.catch_warnings():  # gives `showwarning` back
                warnings.showwarning = _noted
                return super().invoke(ctx)
        except ValueError as error:
            if not type(error).__module__.startswith("loratheory."):
                raise
            refused(str(error))
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            extra = f"pip install 'loratheory[{EXTRAS[error.name]}]'"
            refused(f"this needs {error.name}, which is not installed: {extra}")
        except OSError as error:
            refused(f"{error.filename or 'file'}: {error.strerror or error}")
        except (MemoryError, RuntimeError) as error:
            from loratheory.pretrained._error import spent

            if not spent(error):
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
