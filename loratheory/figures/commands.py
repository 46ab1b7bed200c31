"""Drawings of the results of commands, such as diagnoses, bounds and report cards."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.diagnosis import Diagnosis, kind_of, layer_of
from loratheory.figures._look import BLUE, GREY, INK, LINES, ORANGE, SKY, styled


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _whole(axis: Any) -> None:
    """Layers and indices are whole numbers, few as they may be."""
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


@styled
def spectra(results: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the energy by layer and the normalised spectra of adapters, a row for each folder.

    `results` are those of ``loratheory inspect --json``.
    """
    figure = _figure(8.4, 2.9 * len(results))
    grid = figure.subplots(len(results), 2, squeeze=False, width_ratios=[1.5, 1])
    for (left, right), result in zip(grid, results, strict=True):
        total = sum(module["energy"] for module in result["modules"]) or 1.0
        kinds: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for module in result["modules"]:
            layer = layer_of(module["module"]) or 0
            kinds[kind_of(module["module"])][layer] += 100 * module["energy"] / total
        colours = {kind: f"C{number % 7}" for number, kind in enumerate(sorted(kinds))}
        floor: dict[int, float] = defaultdict(float)
        for kind, colour in colours.items():
            layers, heights = zip(*sorted(kinds[kind].items()), strict=True)
            bottom = [floor[layer] for layer in layers]
            name = kind.split(".")[-1]
            left.bar(layers, heights, bottom=bottom, label=name, color=colour)
            for layer, height in zip(layers, heights, strict=True):
                floor[layer] += height
        for module in result["modules"]:
            sigma, colour = module["sigma"], colours[kind_of(module["module"])]
            if sigma and sigma[0]:
                shares = [value / sigma[0] for value in sigma]
                right.plot(range(1, len(sigma) + 1), shares, color=colour, lw=0.8, alpha=0.4)
        left.set(title=f"{result['folder']}: where the energy lies")
        left.set(xlabel="layer", ylabel="share of the squared norm, %")
        left.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, -0.2))
        right.set(title="spectra of all modules", xlabel="index i", ylabel=r"$\sigma_i/\sigma_1$")
        right.set_ylim(0, 1.05)
        _whole(left.xaxis)
        _whole(right.xaxis)
    return figure


@styled
def overlap(diagnosis: Diagnosis) -> Any:
    """Draw a diagnosis: cross-talk and its bound over depth, and the merge floor against rank."""
    figure = _figure(8.4, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    kinds = defaultdict(list)
    for module in diagnosis.modules:
        kinds[kind_of(module.module)].append(module)
    for number, (kind, modules) in enumerate(sorted(kinds.items())):
        colour, name = f"C{number % 7}", kind.split(".")[-1]
        shared = [m for m in modules if sum(rank > 0 for rank in m.ranks) > 1]
        places = [layer_of(m.module) or 0 for m in shared]
        left.plot(places, [m.crosstalk for m in shared], "o-", color=colour, label=name)
        left.plot(places, [m.ceiling for m in shared], ls=LINES["predicted"], color=colour, lw=1)
        for module in modules:
            right.plot(*zip(*module.floors, strict=True), color=colour, lw=0.8, alpha=0.5)
    left.plot([], [], ls=LINES["predicted"], color=GREY, lw=1, label="predicted bound")
    left.set(title="cross-talk between adapters", xlabel="layer")
    left.set_ylabel("foreign answer / own largest")
    left.set_ylim(bottom=0)
    _whole(left.xaxis)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=8)
    right.set(title="how near one merge can come", xlabel="rank of the merge", ylim=(0, 1.02))
    right.set_ylabel("mean squared distance / energy")
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:g}")
    return figure


PANELS = {
    "base": ("is the base noise?", "largest singular value"),
    "thm:intruder-threshold": ("does an adapter intrude?", "squared overlap"),
    "thm:interference-angle": ("answers to what others read", "output / input"),
    "thm:covariance-floor": ("what one for all misses on inputs", "squared error"),
    "thm:arrow-margin": ("Arrow on the nearest token", "margin"),
    "thm:arrow-blind-spot": ("keys that Arrow sends right", "share"),
    "thm:arrow-law": ("facts that Arrow sends right", "share"),
    "thm:score-change-rank": ("attention scores move by rank", "rank"),
    "thm:averaging-survival": ("does a fact survive the merge?", "margin measured"),
}
DECADES = ("base", "thm:covariance-floor")
SHARES = ("thm:intruder-threshold", "thm:arrow-blind-spot", "thm:arrow-law")


@styled
def model_check(check: Any) -> Any:
    """Draw what theorems predict of a real model and what was measured, a panel for each theorem.

    `check` is what `loratheory.pretrained.check.checked` returns. Dots are hollow where a
    hypothesis of the theorem fails.
    """
    groups: dict[str, list[Any]] = {key: [] for key in PANELS}
    for reading in check.readings:
        key = "base" if reading.outcome == "measured" else reading.label
        if key in groups and reading.bound is not None and reading.value is not None:
            groups[key].append(reading)
    shown = [key for key, readings in groups.items() if readings]
    rows = -(-len(shown) // 2)
    figure = _figure(8.4, 2.5 * rows + 0.5)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    modules = [r.module for readings in groups.values() for r in readings if r.module]
    kinds = sorted(set(map(kind_of, modules)))
    for axes, key in zip(grid, shown, strict=False):
        title, unit = PANELS[key]
        if key == "thm:averaging-survival":
            _survival(axes, groups[key])
        else:
            _by_layer(axes, groups[key], kinds)
        axes.set(title=title, ylabel=unit)
        if key in DECADES:
            axes.set_yscale("log")
        if key in SHARES:
            axes.set_ylim(-0.04, 1.04)
    for axes in grid[len(shown) :]:
        axes.axis("off")
    dots = [(*_sign(i), None, kind.split(".")[-1]) for i, kind in enumerate(kinds)]
    silent = [(GREY, "_", None, "predicted"), (GREY, "o", "none", "theorem silent")]
    _signs(figure, [*dots, *silent])
    return figure


def _sign(number: int) -> tuple[str, str]:
    """Colour and marker of a kind of module: seven colours, then again with other markers."""
    return f"C{number % 7}", "os^D"[number // 7 % 4]


def _by_layer(axes: Any, readings: Sequence[Any], kinds: Sequence[str]) -> None:
    for reading in readings:
        number = kinds.index(kind_of(reading.module))
        place = [(reading.layer or 0) + 0.7 * ((number + 0.5) / len(kinds) - 0.5)]
        colour, marker = _sign(number)
        axes.plot(place, [reading.bound], "_", color=GREY, ms=5, zorder=3)
        fill = "none" if reading.outcome == "not applicable" else colour
        axes.plot(place, [reading.value], marker, color=colour, ms=3, mfc=fill)
    axes.set(xlabel="layer")
    _whole(axes.xaxis)


def _survival(axes: Any, readings: Sequence[Any]) -> None:
    """Margins, measured against predicted."""
    ends = [end for r in readings for end in (r.bound, r.value)]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=GREY, lw=1)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.axvline(0, color=GREY, lw=0.5)
    weights = sorted({reading.about.partition(" ×")[0] for reading in readings})
    for number, weight in enumerate(weights):
        some = [r for r in readings if r.about.partition(" ×")[0] == weight]
        look = {"color": f"C{number}", "ms": 3, "mfc": "none", "label": f"coefficient {weight}"}
        axes.plot([r.bound for r in some], [r.value for r in some], "o", **look)
    axes.set(xlabel="margin predicted")
    axes.legend(loc="upper left")


def _signs(figure: Any, signs: Sequence[tuple[str, str, str | None, str]]) -> None:
    """A legend of signs: colour, marker, fill and name of each."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=marker, mfc=fill or colour, ls="", label=name)
        for colour, marker, fill, name in signs
    ]
    figure.legend(handles=marks, loc="outside lower left", ncols=6)


CURVES = {
    "hop_1": ("first fact", BLUE, "^"),
    "hop_2": ("second fact", SKY, "v"),
    "two_hop": ("both in one question", ORANGE, "o"),
    "same_read": ("two adapters in one read", GREY, "s"),
}


@styled
def evaluation(card: Any) -> Any:
    """Draw the exact memories of a report card: what a rule does to facts and their composition."""
    figure = _figure(5.2, 4.4)
    axes = figure.subplots()
    coefficients = [row["coefficient"] for row in card.memories.curve]
    every = max(len(coefficients) // 8, 1)
    for number, (kind, (name, colour, sign)) in enumerate(CURVES.items()):
        margins = [row[kind] for row in card.memories.curve]
        turn = (number * every // 4, every)  # curves may lie on each other
        axes.plot(coefficients, margins, color=colour, marker=sign, markevery=turn, label=name)
    axes.axhline(0, color=INK, lw=0.9)
    axes.set(xlim=(0, coefficients[-1]), ylim=(-1.1, 2.1))
    axes.set(xlabel="coefficient of the result", ylabel="margin of the new answer")
    figure.legend(loc="outside lower left", ncols=4)
    figure.suptitle(f"{card.rule}: do facts survive, and do they compose?")
    return figure


@styled
def advice(found: Any) -> Any:
    """Draw what each way of reuse keeps of each adapter, with intervals, and which one is advised.

    `found` is what `loratheory.pretrained.advised` returns.
    """
    count = len(found.tried)
    figure = _figure(7.2, 0.4 * count + 1.3)
    axes = figure.subplots()
    marks = list(zip(*(one.marks for one in found.tried), strict=True))
    for number, column in enumerate(marks):
        shares = [mark.share for mark in column]
        rows = [count - 1 - i + 0.6 * (0.5 - (number + 0.5) / len(marks)) for i in range(count)]
        sides = [[s.part - s.low for s in shares], [s.high - s.part for s in shares]]
        colour, marker = _sign(number)
        look: Any = {"fmt": marker, "color": colour, "ms": 4, "lw": 1, "label": shares[0].what}
        axes.errorbar([s.part for s in shares], rows, xerr=sides, **look)
    names = [("→ " if one.way == found.best else "") + one.way for one in found.tried]
    axes.set_yticks(range(count)[::-1], names)
    axes.set(xlim=(-0.03, 1.03), xlabel="kept of what each adapter answers alone")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=6)
    return figure
