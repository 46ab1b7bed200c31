"""``loratheory inspect`` and ``loratheory diagnose``: what the weights of adapters tell."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

from loratheory.cli import _shared as out

HEADINGS = {
    "measured": "Measured on these weights",
    "needed": "What a merge would then need",
    "unknown": "What no look at the weights can tell",
}


def inspect(
    folders: out.Folders,
    *,
    source: out.Source,
    json: out.Json = None,
) -> None:
    """Show adapters' modules, ranks, spectra and energies.

    Example: `loratheory inspect my_adapter`

    JSON: a list of objects `folder, base, dtype, notes, modules`; each module has `module, outputs,
    inputs, width, scale, rank, energy, spectral, stable_rank, effective_rank, sigma`.
    """
    from loratheory.diagnosis import spectra

    out.check_outputs(json)
    results: list[dict[str, Any]] = []
    for folder in folders:
        adapter = source.read(folder)
        info = adapter.info
        result = {"folder": str(folder), "base": info.base, "dtype": info.dtype}
        results.append({**result, "notes": info.notes, "modules": []})
        for one in out.progress(spectra(adapter), len(adapter), unit="module", desc="read"):
            results[-1]["modules"].append({**asdict(one), "scale": info.scales.get(one.module)})
    if out.deliver(json, results):
        for result in results:
            _show_modules(result)


def _show_modules(result: dict[str, Any]) -> None:
    """Print a line for each kind of module."""
    from loratheory.diagnosis import kind_of

    modules, keys = result["modules"], ("outputs", "inputs", "width", "scale", "rank")
    energy = sum(map(itemgetter("energy"), modules))
    about = f"{len(modules)} modules, {result['dtype']}, base {result['base'] or 'not named'}"
    out.say(f"  {about}; squared norm {energy:.4g}", result["folder"], result["notes"])
    # adapters change the same modules in every layer: a row for each kind is enough
    groups = defaultdict(list)
    for module in modules:
        groups[kind_of(module["module"])].append(module)
    rows = []
    for name, group in groups.items():
        numbers = zip(*map(itemgetter(*keys, "effective_rank", "spectral"), group), strict=True)
        share = sum(map(itemgetter("energy"), group)) / (energy or 1.0)
        rows.append((name, len(group), *map(_span, numbers), 100 * share))
    out.show("", ("kind of module", "count", *keys, "effective rank", "σ₁", "energy %"), rows)


def _span(values: Sequence[Any]) -> str:
    """Return one value, or the range of several."""
    # files of other makers may not say what scale they were trained with
    if None in values:
        return "–"
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} … {high}"


def diagnose(
    folders: out.Folders,
    *,
    any_base: out.AnyBase = False,
    source: out.Source,
    json: out.Json = None,
) -> None:
    """Show what the weights tell about merging and routing adapters, and what they do not tell.

    Every sentence names the theorem it rests on; `loratheory theorems LABEL` shows it. Of the
    columns of the table, cross-talk is the answer of one adapter to the worst input of another,
    over the other's largest answer; bound is what size and angle allow; cos θ₁ is of the nearest
    directions that both read; floor is the least distance of one merge to all; gauge gap is how
    much a mean of factors depends on how the updates are factored.

    Example: `loratheory diagnose adapter_1 adapter_2`

    JSON: an object `adapters, findings, notes, modules, record`; a finding has `kind` (measured,
    needed or unknown), `text`, `label`; a module has `ranks, pair, row_cosine, crosstalk,
    ceiling, floors, gauge_gap, arrow_gap, arrow_blind, prototype_cosine`.
    """
    from loratheory.diagnosis import diagnose

    out.check_outputs(json)
    bar = partial(out.progress, unit="module", desc="diagnose")
    diagnosis = diagnose(*map(source.read, folders), any_base=any_base, progress=bar)
    if out.deliver(json, diagnosis):
        _show_diagnosis(diagnosis)


def _show_diagnosis(diagnosis: Any) -> None:
    names = ", ".join(diagnosis.adapters)
    out.say(f": {names}", f"{len(diagnosis.adapters)} adapters", diagnosis.notes)
    out.say(diagnosis.record)
    for kind, heading in HEADINGS.items():
        findings = [finding for finding in diagnosis.findings if finding.kind == kind]
        if findings:
            out.say(bold=f"\n{heading}")
        for finding in findings:
            out.say(f"• {finding.text} ({finding.label})")
    most = sorted(diagnosis.modules, key=attrgetter("crosstalk"), reverse=True)[:8]
    columns = out.columns("module")
    columns["ranks"] = lambda module: "/".join(map(str, module.ranks))
    columns |= {"cross-talk": "crosstalk", "bound": "ceiling", "cos θ₁": "row_cosine"}
    columns["floor, any rank"] = lambda module: module.floors[-1][1]
    out.show(
        "\nmodules with the most cross-talk (relative)", columns | out.columns("gauge_gap"), most
    )
