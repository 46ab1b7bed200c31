"""The look of all figures: names, colours, signs, lines, and light and dark pages.

Measured lines are solid, predicted ones dashed, chance is dotted (`LINES`). A band (`TAKEAWAY`)
marks what a figure's title is about. Legends stand below the panels. Text is drawn in `INK`, which
on a web page becomes the colour of the page's own text.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from html import escape
from importlib.resources import files
from io import BytesIO
from typing import Any, ParamSpec

from loratheory.bench.rules import RULES

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
"""The band that marks what the title is about; on coloured cells it is a frame (`OUTLINE`)."""
OUTLINE: dict[str, Any] = {"fill": False, "ec": ORANGE, "lw": 2, "clip_on": False}


@dataclass(frozen=True)
class Look:
    """How a series is drawn: its colour, its marker, and the line that joins the markers."""

    colour: str = INK
    sign: str = "o"
    line: str = ""
    filled: bool = True


MEASURED, FACTS, KEPT = Look(), Look(BLUE, "^"), Look(GREEN, "s")
SERIES = (Look(BLUE), Look(YELLOW, "s"), Look(GREEN, "^"), Look(PURPLE, "D"), Look(INK, "v"))
"""Looks for the values of a setting, from the least value on."""
LOOKS = {
    "base": Look(INK, "D"),
    "second alone": Look(GREY, "v"),
    "pair alone": Look(SKY, "D"),
    "beside noise": Look(YELLOW, "v"),
    "mean": Look(BLUE, "o"),
    "sum": Look(ORANGE, "s"),
    "ties": Look(YELLOW, "v"),
    "arrow": Look(SKY, "X"),
    "gates": Look(PURPLE, "P"),
    "oracle placement": Look(GREEN, "^"),
    "joint": Look(SKY, "X"),
    "composed": Look(GREEN, "^"),
}
"""Looks of rules that appear together in one panel."""

NAMES = {
    "arrow, by theory": "Arrow, by theory",
    "add alone": "adapter of + alone",
    "base, shown": "base, three examples",
    "beside noise": "pair beside noise",
    "best by read": "best one at each read",
    "best one": "best one adapter",
    "best split": "most confident split",
    "bridged, plain": "both, with examples",
    "bridged, written out": "both, with spelt-out ones",
    "composed": "trained on the task",
    "direct": "A→C adapter",
    "exchanged": "another edit's hop 1",
    "expert": "A→C adapter",
    "first alone": "first adapter alone",
    "joint": "one adapter for both",
    "mean of three": "mean with A→C",
    "noise": "random adapters",
    "one": "one adapter of rank r",
    "oracle placement": "each in its own pass",
    "reversed placement": "in the wrong order",
    "second alone": "second adapter alone",
    "subtract alone": "adapter of − alone",
    "third of direct": "a third of A→C",
    "wide": "one adapter of rank K r",
}
"""Names in figures of controls, and of adapters that were trained in another way."""

EDITED, UNEDITED = "edited two-hop questions", "unedited two-hop questions"
SINGLE, CONSTANT = "edited single facts", "chance (a constant answer)"
SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "percent": "%"}
"""Signs of the skills in word problems."""


def label(name: str) -> str:
    """Return the name in figures of a rule or control that has this name in tables."""
    if name.endswith(", layer split"):
        return f"{label(name.removesuffix(', layer split'))}, split"
    return NAMES.get(name) or (RULES[name].label if name in RULES else name)


def labels(*names: str) -> dict[str, str]:
    """Return the names in figures of several rules."""
    return {name: label(name) for name in names}


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
