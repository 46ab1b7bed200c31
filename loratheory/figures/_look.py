"""The look of these figures: colours, lines, and light and dark pages.

Measured lines are solid, predicted ones dashed, chance is dotted (`LINES`). A band (`TAKEAWAY`)
marks what a figure's title is about. Legends stand below the panels. Text is drawn in `INK`, which
on a web page becomes the colour of the page's own text.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from html import escape
from importlib.resources import files
from io import BytesIO
from typing import Any, ParamSpec

P = ParamSpec("P")

UNDATED: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None},
    "png": {},
    "svg": {"Date": None},
}
"""The kinds of file, with the metadata to leave out so that equal figures are equal files."""

LINES: dict[str, Any] = {"measured": "-", "predicted": (0, (4, 1.6)), "chance": ":"}
"""Line styles by meaning, in all figures; a border that theory draws counts as predicted."""

# Okabe and Ito's colours, told apart by colour-blind readers; signs tell them apart in grey. Black
# is for what lies on a coloured cell.
INK, BLACK = "#1a1a1a", "#000000"
GREY, BLUE, SKY = "#777777", "#0072B2", "#56B4E9"
ORANGE, GREEN, PURPLE, YELLOW = "#D55E00", "#009E73", "#CC79A7", "#E69F00"
TAKEAWAY: dict[str, Any] = {"color": YELLOW, "alpha": 0.22, "lw": 0, "zorder": 0}
"""The band that marks what the title is about."""

CONSTANT = "chance (a constant answer)"


@contextmanager
def _style() -> Iterator[None]:
    """The package's style and nothing of the user's own settings."""
    import matplotlib.style

    sheet = files("loratheory.figures") / "loratheory.mplstyle"
    with matplotlib.style.context(["default", str(sheet)]):
        yield


def styled(draw: Callable[P, Any]) -> Callable[P, Any]:
    """Decorate a drawing function to use the package's style and ignore the user's settings.

    Notebooks show the returned figure in the colours of their own theme.
    """

    @wraps(draw)
    def _drawn(*given: P.args, **more: P.kwargs) -> Any:
        with _style():
            figure = draw(*given, **more)
        figure._ipython_display_ = partial(_shown, figure)
        return figure

    return _drawn


def _shown(figure: Any) -> None:
    """Display a figure in a notebook, as SVG alone: a method for HTML would leave a PNG beside."""
    from IPython.display import HTML, display

    display(HTML(inline(figure)))  # type: ignore[no-untyped-call]


def rendered(figure: Any, kind: str) -> bytes:
    """Return the bytes of a figure as a file of this kind, a key of `UNDATED`; always the same.

    An SVG has no background and adapts to dark pages; other kinds have a white background.
    """
    buffer = BytesIO()
    with _style():  # type sizes, resolution and identifiers are settled only now
        clear = {"transparent": kind == "svg"}
        figure.savefig(buffer, format=kind, metadata=UNDATED[kind], **clear)
    if kind == "svg":
        return _themed(buffer.getvalue().decode(), STYLE).encode()
    return buffer.getvalue()


STYLE = (
    f"<style>svg{{color:{INK}}}@media(prefers-color-scheme:dark){{svg{{color:#d8d8d8}}}}</style>"
)
"""Colours of an SVG file, on light and dark pages; an inline SVG takes the text's colour."""


def inline(figure: Any) -> str:
    """Return a figure as SVG for an HTML page, drawn in the colour of the surrounding text."""
    svg = rendered(figure, "svg").decode().replace(STYLE, "")
    said = escape(figure.get_suptitle().replace("\n", " "), quote=True)
    tag = f'<svg role="img" aria-label="{said}" style="max-width:100%;height:auto" '
    return svg[svg.index("<svg ") :].replace("<svg ", tag, 1)


def _themed(svg: str, style: str) -> str:
    """Ink becomes the current colour."""
    svg = re.sub(rf"(?i){INK}", "currentColor", svg)
    return re.sub(r"(<svg [^>]*>)", rf"\1{style}", svg, count=1)
