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
    "needed": "What a merge needs by the theorems",
    "unknown": "What weights cannot show",
}


def inspect(folders: out.Folders, *, source: out.Source, json: out.Json = None) -> None:
    """Show which modules an adapter changes, with the rank and the norm of each update.

    Use this command to see what a folder contains. The update of a module is the change of its
    weight matrix, `scale * B @ A`. The table has a row for each kind of module, such as
    `model.layers.*.self_attn.q_proj`. A cell shows the range of values over the layers:

    - outputs, inputs: the shape of the weight matrix

    - width: the number of rows of A, in PEFT `r`

    - scale: in PEFT `lora_alpha / r`; "–" if the file does not contain it

    - rank: the numerical rank of the update

    - effective rank: the exponential of the entropy of the singular values; roughly the number of
      large singular values

    - σ₁: the largest singular value

    - energy %: the part of the adapter's squared Frobenius norm that lies in these modules

    Example: `loratheory inspect my_adapter`

    JSON: a list of objects `folder, base, dtype, notes, modules`. The list has one object for each
    adapter, and `modules` has one object for each module. Besides the columns of the table, a
    module has these keys:

    - `energy`: the squared Frobenius norm

    - `spectral`: the largest singular value; `sigma`: all singular values

    - `stable_rank`: the squared Frobenius norm, divided by the squared largest singular value
    """
    from loratheory.diagnosis import spectra

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
    """Print a row for each kind of module."""
    from loratheory.diagnosis import kind_of

    modules, keys = result["modules"], ("outputs", "inputs", "width", "scale", "rank")
    energy = sum(map(itemgetter("energy"), modules))
    what = (
        f"{len(modules)} modules ({result['dtype']}) of {result['base'] or 'a base without name'}"
    )
    out.say(f" changes {what}; squared norm {energy:.4g}.", result["folder"], result["notes"])
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
    """Show from the weights how adapters can disturb each other in a merge or a router.

    Use this command before you merge. It needs no language model. Weights do not show which answers
    an adapter retains in a merge. `loratheory advise` measures the retained answers. Each sentence
    of the output ends with the label of a theorem. `loratheory theorems LABEL` shows the theorem.

    The table has the eight modules with the most cross-talk:

    - cross-talk: the largest response of one adapter to inputs of another adapter, divided by the
      largest response of this other adapter

    - bound: an upper bound on the cross-talk, computed from norms and angles

    - cos θ₁: the cosine of the smallest angle between the input subspaces of the two adapters

    - floor: the smallest possible mean squared distance from one merge to the adapters, divided by
      the mean squared norm of the adapters

    - gauge gap: how much the averages of A and B change if the same updates are factored in another
      way; "–" if the ranks differ

    Example: `loratheory diagnose adapter_1 adapter_2`

    JSON: an object `adapters, findings, notes, modules, record`. A finding has `text`,
    `label` and `kind`. The kind is "measured", "needed" (what a merge needs by the theorems) or
    "unknown". `record` says what a study of other adapters found. The keys of a module that are not
    obvious:

    - `pair`: the positions of the two adapters with the most cross-talk, counted from 0

    - `crosstalk, ceiling, row_cosine`: cross-talk, bound and cos θ₁ of this pair

    - `energy`: the mean squared norm of the adapters

    - `floors`: a list of pairs; each pair holds a rank, and the floor of merges with this rank

    - `arrow_gap`: 1 - σ₂/σ₁ of each adapter; a value near 0 means that the adapter's Arrow
      prototype (its first right singular vector) is poorly determined

    - `arrow_blind`: the part of each adapter's squared norm outside its Arrow prototype

    - `prototype_cosine`: the largest cosine between the Arrow prototypes of two adapters
    """
    from loratheory.diagnosis import diagnose

    bar = partial(out.progress, unit="module", desc="diagnose")
    diagnosis = diagnose(*map(source.read, folders), any_base=any_base, progress=bar)
    if out.deliver(json, diagnosis):
        _show_diagnosis(diagnosis)


def _show_diagnosis(diagnosis: Any) -> None:
    # the first finding is about cross-talk, as the table is
    main, *others = diagnosis.findings
    out.say(f" {main.text} ({main.label})\n", f"{', '.join(diagnosis.adapters)}:")
    most = sorted(diagnosis.modules, key=attrgetter("crosstalk"), reverse=True)[:8]
    columns = out.columns("module")
    columns |= {"cross-talk": "crosstalk", "bound": "ceiling", "cos θ₁": "row_cosine"}
    columns["floor"] = lambda module: module.floors[-1][1]
    out.show("Modules with the most cross-talk", columns | out.columns("gauge_gap"), most)
    for kind, heading in HEADINGS.items():
        findings = [finding for finding in others if finding.kind == kind]
        if findings:
            out.say(bold=f"\n{heading}")
        for finding in findings:
            out.say(f"• {finding.text} ({finding.label})")
    out.say(f" {diagnosis.record}", "\nFor comparison:", diagnosis.notes)
