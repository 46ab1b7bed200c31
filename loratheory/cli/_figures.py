"""``loratheory figure``: any figure from its stored table, in seconds."""

from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli._output import figure_file, refused

Name = Annotated[str, typer.Argument(metavar="NAME|all", help="A figure, or `all` of them.")]
Table = Annotated[
    Path | None,
    typer.Option("--table", metavar="CSV", help="Default: the project's own table."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="A .pdf, .png or .svg file, or a folder for `all`. Default: paper/figures/NAME.pdf.",
    ),
]


def figure(name: Name, table: Table = None, output: Output = None) -> None:
    """Draw a figure from its stored table; no TeX, the same bytes every time.

    A table of your own is one that `loratheory run` has written.

    Example: `loratheory figure window -o window.png`
    """
    from loratheory import figures

    known = figures.FIGURES
    if name == "all":
        if table is not None:
            refused(f"--table {table} cannot serve all figures: name the one it is for")
        folder = output or Path("paper/figures")
        if folder.suffix:
            refused(f"-o {folder} names a file: for all figures name a folder")
        tasks = [(each, figures.published(each), folder / f"{each}.pdf") for each in known]
    else:
        one = name.replace("-", "_")
        if one not in known:
            refused(f"there is no figure {name!r}: choose {', '.join(known)} or all")
        tasks = [(one, table or figures.published(one), output or Path(f"paper/figures/{one}.pdf"))]
    drawn = [(file, known[one](figures.table(source))) for one, source, file in tasks]
    for file, drawing in drawn:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure_file(file, drawing)
        typer.echo(f"drawn: {file}", err=True)
