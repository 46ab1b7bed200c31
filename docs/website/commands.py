"""The command's reference, out of the command: a page for each of its commands, and their index."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from website.rest import Pages

LIST = "**Commands**:\n\n"


def commands() -> Pages:
    """Return the index and a page for each command in Markdown, as Typer itself describes them."""
    import typer
    from typer.cli import get_docs_for_click

    from loratheory.cli import app

    command = typer.main.get_command(app)
    whole = get_docs_for_click(
        obj=command, ctx=typer.Context(command, info_name="loratheory"), name="loratheory"
    )
    opening, *parts = re.split(r"^## ", _readable(whole), flags=re.MULTILINE)
    pages = {}
    for name, part in zip(command.commands, parts, strict=True):  # type: ignore[attr-defined]
        part = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", part)  # cut short; they follow
        pages[f"commands/{name}.md"] = "# " + part.replace("\n### ", "\n## ")
    first = opening.partition(LIST)[0].replace("# `loratheory`", "# The command `loratheory`", 1)
    panels = groupby(command.commands.items(), key=lambda one: one[1].rich_help_panel)  # type: ignore[attr-defined]
    listed = "\n".join(
        f"## {panel}\n\n" + "".join(_line(*one) for one in _flat(dict(some)))
        for panel, some in panels
    )
    tree = "\n".join(page.removesuffix(".md") for page in pages)
    first += f"{_readable(listed)}\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
    return {"commands.md": first, **pages}


def _flat(commands: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Each command with its page and its name, those of a group after their group."""
    for name, sub in commands.items():
        yield f"commands/{name}.md", name, sub
        for inner, one in getattr(sub, "commands", {}).items():
            yield f"commands/{name}.md#loratheory-{name}-{inner}", f"{name} {inner}", one


def _line(page: str, name: str, command: Any) -> str:
    """A command in one line; its place is where its description was when all were one page."""
    place = f"loratheory-{name.replace(' ', '-')}"
    first = " ".join((command.help or "").split("\n\n")[0].split())
    return f'* <span id="{place}"></span>[`{name}`]({page}): {first}\n'


def _readable(text: str) -> str:
    """The same with examples that can be copied and options as code."""
    text = re.sub(r"^Example: `([^`]+)`$", _block, text, flags=re.MULTILINE)
    parts = text.split("`")  # every second one is code
    parts[::2] = [re.sub(r"(?<![\w-])--[a-z-]+", r"`\g<0>`", part) for part in parts[::2]]
    return "`".join(parts)


def _block(example: re.Match[str]) -> str:
    """An example as what one copies, in one line."""
    return f"```console\n$ {' '.join(example[1].split())}\n```"
