"""Plots of notebooks: dashed lines for bounds, points for measurements.

A figure is drawn by matplotlib in one style, whatever the user's own settings are. Equal figures
are equal files. In notebooks and on pages a figure takes the colour of the text around it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

# the ink of the style file, by which an SVG is told where to take the page's colour
INK = "#1a1a1a"
MARKERS = "os^Dv"
DASHED = (0, (4, 1.6))
LOOK = ["default", str(Path(__file__).with_name("figures.mplstyle"))]
# Colours of an SVG on light and dark pages; an inline SVG takes the text's colour.
DARK = f"<style>svg{{color:{INK}}}@media(prefers-color-scheme:dark){{svg{{color:#d8d8d8}}}}</style>"


def draw(
    curves: Mapping[str, tuple[Sequence[Any], Sequence[float]]],
    across: str,
    up: str,
    *,
    points: Collection[str] = (),
    share: bool = False,
) -> Any:
    """Draw curves by name, each given by its positions and heights.

    Parameters
    ----------
    curves : mapping of str to pair of sequences
        The name of each curve for the legend, its positions and its heights.
    across, up : str
        Labels of the axes.
    points : collection of str
        The curves that are drawn as points and not as lines.
    share : bool
        Whether the vertical axis runs from 0 to 1.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it as SVG; pyplot does not know it.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(LOOK):
        figure = Figure(figsize=(5.6, 2.9))
        axes = figure.subplots()
        for number, (name, (places, heights)) in enumerate(curves.items()):
            marker = MARKERS[number % len(MARKERS)] if name in points else None
            line: Any = {"marker": marker, "ls": ""} if marker else {"ls": DASHED}
            axes.plot(places, heights, label=name, clip_on=False, **line)
        axes.set(xlabel=across, ylabel=up)
        if share:
            axes.set_ylim(0, 1)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    # A display as HTML alone: matplotlib's own would leave a PNG beside it.
    figure._ipython_display_ = partial(_display, figure)  # type: ignore[attr-defined]
    return figure


def _display(figure: Any) -> None:
    from IPython.display import HTML, display

    display(HTML(render_inline(figure)))  # type: ignore[no-untyped-call]


def render(figure: Any) -> str:
    """Return a figure as SVG without a ground, the same every time, which adapts to dark pages."""
    from matplotlib import style

    buffer = BytesIO()
    # resolution and identifiers are settled only now, and without a date equal figures are equal
    with style.context(LOOK):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = re.sub(rf"(?i){INK}", "currentColor", buffer.getvalue().decode())
    return re.sub(r"(<svg [^>]*>)", rf"\1{DARK}", svg, count=1)


def render_inline(figure: Any) -> str:
    """Return a figure as SVG for an HTML page, drawn in the colour of the surrounding text."""
    svg = render(figure).replace(DARK, "")
    title = escape(figure.get_suptitle().replace("\n", " "), quote=True)
    tag = f'<svg role="img" aria-label="{title}" style="max-width:100%;height:auto" '
    return svg[svg.index("<svg ") :].replace("<svg ", tag, 1)
