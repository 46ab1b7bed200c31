"""Theorems on a real model at a glance: predicted against measured, layer by layer."""

from collections.abc import Sequence
from typing import Any

from loratheory.diagnosis import kind_of
from loratheory.figures._style import styled

PANELS = {
    "base": ("is the base noise?", "largest singular value"),
    "thm:intruder-threshold": ("does an adapter intrude?", "squared overlap"),
    "thm:interference-angle": ("answers to what others read", "output / input"),
    "thm:covariance-floor": ("error of one adapter for all", "on real inputs"),
    "thm:arrow-margin": ("Arrow on the nearest token", "lead"),
    "thm:arrow-blind-spot": ("keys that Arrow sends right", "share"),
    "thm:score-change-rank": ("attention scores move by rank", "rank"),
    "thm:averaging-survival": ("does a fact survive the merge?", "margin measured"),
}
DECADES = ("base", "thm:covariance-floor")
SHARES = ("thm:intruder-threshold", "thm:arrow-blind-spot")


@styled
def draw(check: Any) -> Any:
    """Draw a panel for each theorem that was read: its prediction and what was measured.

    Parameters
    ----------
    check : ModelCheck
        From ``loratheory.pretrained.check.checked``.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot. Hollow dots: a hypothesis fails there.
    """
    from matplotlib.figure import Figure

    groups: dict[str, list[Any]] = {key: [] for key in PANELS}
    for reading in check.readings:
        key = "base" if reading.outcome == "measured" else reading.label
        if key in groups and reading.bound is not None and reading.value is not None:
            groups[key].append(reading)
    shown = [key for key, here in groups.items() if here]
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(8.4, 2.5 * rows + 0.5))
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    kinds = sorted({kind_of(r.module) for here in groups.values() for r in here if r.module})
    for ax, key in zip(axes, shown, strict=False):
        title, unit = PANELS[key]
        (_margins if key == "thm:averaging-survival" else _layers)(ax, groups[key], kinds)
        ax.set(title=title, ylabel=unit)
        if key in DECADES:
            ax.set_yscale("log")
        if key in SHARES:
            ax.set_ylim(-0.04, 1.04)
    for ax in axes[len(shown) :]:
        ax.axis("off")
    _legend(figure, kinds)
    return figure


def _layers(ax: Any, here: Sequence[Any], kinds: Sequence[str]) -> None:
    for reading in here:
        colour = f"C{kinds.index(kind_of(reading.module)) % 7}"
        place = (reading.layer or 0) + 0.12 * (kinds.index(kind_of(reading.module)) % 7) - 0.2
        ax.plot([place], [reading.bound], "_", color="0.35", ms=5, zorder=3)
        hollow = reading.outcome == "not applicable"
        ax.plot([place], [reading.value], "o", color=colour, ms=3, mfc="none" if hollow else colour)
    ax.set(xlabel="layer")
    ax.xaxis.get_major_locator().set_params(integer=True)


def _margins(ax: Any, here: Sequence[Any], _: Sequence[str]) -> None:
    ends = [end for r in here for end in (r.bound, r.value)]
    ax.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", lw=1)
    ax.axhline(0, color="0.8", lw=0.8)
    ax.axvline(0, color="0.8", lw=0.8)
    weights = sorted({reading.about.partition(" ×")[0] for reading in here})
    for number, weight in enumerate(weights):
        some = [r for r in here if r.about.partition(" ×")[0] == weight]
        ax.plot([r.bound for r in some], [r.value for r in some], "o", color=f"C{number}", ms=3,
                mfc="none", label=f"coefficient {weight}")  # fmt: skip
    ax.set(xlabel="margin predicted")
    ax.legend(loc="upper left")


def _legend(figure: Any, kinds: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=f"C{i % 7}", marker="o", ls="", ms=4, label=kind.split(".")[-1])
        for i, kind in enumerate(kinds)
    ]
    marks += [
        Line2D([], [], color="0.35", marker="_", ls="", ms=7, label="predicted"),
        Line2D([], [], color="0.35", marker="o", ls="", ms=4, mfc="none", label="theorem silent"),
    ]
    figure.legend(handles=marks, loc="outside lower left", ncols=6)
