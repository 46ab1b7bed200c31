"""``loratheory inspect``: what adapters look like from their weights alone."""

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import console, figure_file, progress, reachable, save_json, show

Folders = Annotated[
    list[Path], typer.Argument(metavar="FOLDER", help="Adapter folders as PEFT saves them.")
]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]
Figure = Annotated[
    Path | None,
    typer.Option("--figure", metavar="FILE", help="Draw it: .pdf, .png or .svg."),
]


def inspect(
    folders: Folders,
    every: Annotated[
        bool, typer.Option("--all", help="A line for every module, not for every kind.")
    ] = False,
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Show modules, ranks, spectra and where the energy lies; needs no base model.

    Example: `loratheory inspect my_adapter --figure spectra.png`

    JSON: a list of objects `folder, base, dtype, notes, modules`, where each module has `module,
    outputs, inputs, width, scale, rank, energy, spectral, stable_rank, effective_rank, sigma`.
    """
    from loratheory.adapters import read
    from loratheory.diagnosis import spectra

    reachable(json, figure=figure)
    results = []
    for folder in folders:
        adapter = read(folder)
        bar = progress(spectra(adapter), len(adapter), unit="module", desc="read")
        modules = [
            {**dataclasses.asdict(s), "scale": adapter.info.scales.get(s.module)} for s in bar
        ]
        info = adapter.info
        results.append(
            {
                "folder": str(folder),
                "base": info.base,
                "dtype": info.dtype,
                "notes": info.notes,
                "modules": modules,
            }
        )
    save_json(json, results)
    if figure:
        from loratheory.figures import spectra as drawing

        figure_file(figure, drawing.draw(results))
    if str(json) != "-":
        for result in results:
            _table(result, every)


def _table(result: dict[str, Any], every: bool) -> None:
    modules = result["modules"]
    energy = sum(m["energy"] for m in modules)
    out = console()
    out.print(f"[bold]{result['folder']}[/bold]", end="  ")
    about = f"{len(modules)} modules, {result['dtype']}, base {result['base'] or 'not named'}"
    out.print(f"{about}; squared norm {energy:.4g}", markup=False)
    for note in result["notes"]:
        out.print(f"Note: {note}.", markup=False)
    columns = ["outputs", "inputs", "width", "scale", "rank", "eff. rank", "σ₁", "energy %"]
    groups = defaultdict(list)
    for module in modules:
        groups[module["module"] if every else _kind(module["module"])].append(module)
    rows = [(name, len(group), *_summary(group, energy)) for name, group in groups.items()]
    show("", ("module" if every else "kind of module", "count", *columns), rows)
    _layers(modules, energy)


def _kind(name: str) -> str:
    from loratheory.diagnosis import kind_of

    return kind_of(name)


def _summary(group: list[dict[str, Any]], energy: float) -> tuple[Any, ...]:
    keys = ("outputs", "inputs", "width", "scale", "rank", "effective_rank", "spectral")
    share = 100 * sum(m["energy"] for m in group) / energy if energy else 0.0
    return (*(_span([m[key] for m in group]) for key in keys), share)


def _span(values: list[Any]) -> str:
    """One value, or the range of several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    low, high = f"{min(known):.4g}", f"{max(known):.4g}"
    return low if low == high else f"{low} … {high}"


def _layers(modules: list[dict[str, Any]], energy: float) -> None:
    """A bar for each layer: where in depth the adapter acts."""
    from loratheory.diagnosis import layer_of

    layers: dict[int, float] = defaultdict(float)
    for module in modules:
        layer = layer_of(module["module"])
        if layer is not None:
            layers[layer] += module["energy"]
    if not energy or len(layers) < 2:
        return
    top = max(layers.values())
    rows = [(n, 100 * e / energy, "█" * round(30 * e / top)) for n, e in sorted(layers.items())]
    show("energy by layer", ("layer", "%", ""), rows)
