"""The one look of all figures: names and signs of rules, colours, and the style of the page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import Any, ParamSpec

from loratheory.experiments.bench.rules import RULES

P = ParamSpec("P")

UNDATED: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None},
    "png": {},
    "svg": {"Date": None},
}
"""The kinds of file, and the metadata that would make two of them differ."""

# Okabe and Ito's colours, told apart by colour-blind readers; signs tell them apart in grey.
BLACK, GREY, BLUE, SKY = "#000000", "#777777", "#0072B2", "#56B4E9"
ORANGE, GREEN, PURPLE, YELLOW = "#D55E00", "#009E73", "#CC79A7", "#E69F00"


@dataclass(frozen=True)
class Look:
    """How something is drawn: its colour, its sign, the line that joins its signs."""

    colour: str = BLACK
    sign: str = "o"
    line: str = ""
    filled: bool = True


MEASURED, FACTS, KEPT = Look(), Look(BLUE, "^"), Look(GREEN, "s")
SERIES = (Look(BLUE), Look(YELLOW, "s"), Look(GREEN, "^"), Look(PURPLE, "D"), Look(BLACK, "v"))
"""Of a setting's values, the least first."""
LOOKS = {
    "base": Look(BLACK, "D"),
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
"""Of rules that are told apart within one panel."""

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
    "one": "one of rank r",
    "second alone": "second adapter alone",
    "subtract alone": "adapter of − alone",
    "third of direct": "a third of A→C",
    "wide": "one of rank K r",
}
"""Of what is no rule of reuse: controls, and adapters that were trained otherwise."""

EDITED, UNEDITED = "edited two-hop questions", "unedited two-hop questions"
SINGLE, CONSTANT = "edited single facts", "constant answer"
SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "percent": "%"}
"""Of the skills in word problems."""


def label(name: str) -> str:
    """Return what a rule or a control of a table is called in figures."""
    if name.endswith(", layer split"):
        return f"{label(name.removesuffix(', layer split'))}, split"
    return RULES[name].label if name in RULES else NAMES.get(name, name)


def labels(*names: str) -> dict[str, str]:
    """Return what each of several rules is called in figures."""
    return {name: label(name) for name in names}


@contextmanager
def _style() -> Iterator[None]:
    """The package's style and nothing of the user's own settings."""
    import matplotlib.style

    sheet = files("loratheory.figures") / "loratheory.mplstyle"
    with matplotlib.style.context(["default", str(sheet)]):
        yield


def styled(draw: Callable[P, Any]) -> Callable[P, Any]:
    """Run a drawing function under the package's style, whatever the user's own settings are."""
    return _style()(draw)


def rendered(figure: Any, kind: str) -> bytes:
    """Return a figure as a file of this kind, one of `UNDATED`: the same bytes every time."""
    buffer = BytesIO()
    with _style():  # type sizes, resolution and identifiers are settled only now
        figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
    return buffer.getvalue()
