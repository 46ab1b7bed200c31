"""``loratheory inspect``: ranks, spectra and energies of adapters' weights."""

import dataclasses
from collections import defaultdict
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out


def inspect(
    folders: out.Folders,
    every: Annotated[
        bool, typer.Option("--all", help="One line per module, not per type of module.")
    ] = False,
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Show adapters' modules, ranks, spectra and energies.

    Example: `loratheory inspect my_adapter --figure spectra.png`

    JSON: a list of objects `folder, base, dtype, notes, modules`, where each module has `module,
    outputs, inputs, width, scale, rank, energy, spectral, stable_rank, effective_rank, sigma`.
    """
    from loratheory.adapters import read_adapter
    from loratheory.diagnosis import spectra

    out.reachable(json, figure=figure)
    results = []
    for folder in folders:
        adapter = read_adapter(folder, subfolder=subfolder, revision=revision, download=download)
        info = adapter.info
        bar = out.progress(spectra(adapter), len(adapter), unit="module", desc="read")
        modules = [{**dataclasses.asdict(s), "scale": info.scales.get(s.module)} for s in bar]
        about = {"base": info.base, "dtype": info.dtype, "notes": info.notes}
        results.append({"folder": str(folder), **about, "modules": modules})
    if out.delivered(json, results, figure, "spectra", results):
        for result in results:
            _table(result, every)


def _table(result: dict[str, Any], every: bool) -> None:
    from loratheory.diagnosis import kind_of

    modules = result["modules"]
    energy = sum(m["energy"] for m in modules)
    about = f"{len(modules)} modules, {result['dtype']}, base {result['base'] or 'not named'}"
    out.say(f"  {about}; squared norm {energy:.4g}", result["folder"], result["notes"])
    groups = defaultdict(list)
    for module in modules:
        groups[module["module"] if every else kind_of(module["module"])].append(module)
    columns: out.Columns = {"module" if every else "kind of module": lambda item: item[0]}
    columns["count"] = lambda item: len(item[1])
    for name, key in {
        **{key: key for key in ("outputs", "inputs", "width", "scale", "rank")},
        "eff. rank": "effective_rank",
        "σ₁": "spectral",
    }.items():
        columns[name] = lambda item, key=key: _span([m[key] for m in item[1]])
    columns["energy %"] = lambda item: _share(item[1], energy)
    out.show("", columns, groups.items())
    _layers(modules, energy)


def _share(modules: list[dict[str, Any]], energy: float) -> float:
    return 100 * sum(m["energy"] for m in modules) / energy if energy else 0.0


def _span(values: list[Any]) -> str:
    """One value, or the range of several."""
    there = [value for value in values if value is not None]
    if not there:
        return "–"
    low, high = f"{min(there):.4g}", f"{max(there):.4g}"
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
    out.show("energy by layer", ("layer", "%", ""), rows)
