"""The command's reference, out of the command."""

import re


def commands() -> str:
    """Return a page on every command in Markdown, as Typer itself describes them."""
    import typer
    from typer.cli import get_docs_for_click

    from loratheory.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(
        obj=command, ctx=typer.Context(command, info_name="loratheory"), name="loratheory"
    )
    for name, sub in command.commands.items():  # type: ignore[attr-defined]
        first = " ".join((sub.help or "").split("\n\n")[0].split())
        text = re.sub(rf"^\* `{name}`: .*$", f"* `{name}`: {first}", text, flags=re.MULTILINE)
    text = re.sub(r"^Example: `([^`]+)`$", _block, text, flags=re.MULTILINE)
    parts = text.split("`")  # every second one is code
    parts[::2] = [re.sub(r"(?<![\w-])--[a-z-]+", r"`\g<0>`", part) for part in parts[::2]]
    return re.sub(r"^# `loratheory`", "# The command `loratheory`", "`".join(parts))


def _block(example: re.Match[str]) -> str:
    """An example as what one copies, in one line."""
    return f"```console\n$ {' '.join(example[1].split())}\n```"
