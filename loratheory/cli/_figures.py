"""``loratheory figure``: any figure from its stored table, in seconds."""

from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli import _output as out

WHERE = (
    "A .pdf, .png or .svg file, or a folder for `all`. Default: NAME.pdf here, `all` in figures; "
    "in a checkout paper/figures."
)


def figure(
    name: Annotated[str, typer.Argument(metavar="NAME|all", help="A figure, or `all` of them.")],
    table: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Default: the project's own table.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=WHERE)
    ] = None,
) -> None:
    """Draw a figure from its stored table, or a schematic; without TeX, the same bytes every time.

    `--table` takes a table that `loratheory run` has written; schematics, such as two_hops, have
    none. An .svg is readable on light and dark pages. The last line printed is the file's path.

    Example: `loratheory figure window -o window.png`
    """
    from loratheory import figures

    every = [*figures.FIGURES, *figures.SCHEMATICS]
    usual = Path("paper/figures") if Path("paper/results").is_dir() else None
    if name == "all":
        if table is not None:
            out.refused(f"--table {table} cannot serve all figures: name the one it is for")
        folder = output or usual or Path("figures")
        if folder.suffix:
            out.refused(f"-o {folder} names a file: for all figures name a folder")
        tasks = [(each, folder / f"{each}.pdf") for each in every]
    else:
        one = name.replace("-", "_")
        if one not in every:
            hint = out.nearest(one, every, f"choose {', '.join(every)} or all")
            out.refused(f"there is no figure {name!r}; {hint}")
        if table is not None and one in figures.SCHEMATICS:
            out.refused(
                f"--table {table}: {one} is a schematic, drawn from no table; leave --table out"
            )
        tasks = [(one, output or (usual or Path()) / f"{one}.pdf")]
    for _, file in tasks:
        there = next(p for p in (file.parent, *file.parents) if p.exists())
        if not there.is_dir():
            out.refused(f"{there} is a file: name a folder in its place")
    drawn = [(file, figures.drawing(one, table)) for one, file in tasks]
    for file, drawing in drawn:
        if file.suffix in out.FIGURE:
            file.parent.mkdir(parents=True, exist_ok=True)
        out.reachable(figure=file)
        out.figure_file(file, drawing)
        typer.echo(f"drawn: {file}", err=True)
