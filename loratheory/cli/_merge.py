"""``loratheory merge`` and ``loratheory methods``."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

TOTALS = ("energy", "to_sum", "sum_floor", "to_adapters", "adapters_floor")
ON_INPUTS = ("input_energy", "input_error", "input_floor")
DISTANCES = (
    "Both are distances between weights (Eckart–Young; thm:merge-floor), not between\n"
    "answers: the mean is nearest to the adapters and can still lose the two-hop answer\n"
    "(thm:two-read-region)."
)


NAMESAKES = (
    "ties, dare, dare-ties and magnitude act on the entries of whole updates, as PEFT's ties_svd,\n"
    "dare_linear_svd, dare_ties_svd and magnitude_prune_svd. PEFT's ties, dare_linear, dare_ties\n"
    "and magnitude_prune act on the two factors, and its linear is factor-linear here: they make\n"
    "other models, which depend on how the updates are factored."
)


def merge(
    folders: out.Folders,
    output: out.Output,
    method: Annotated[str, typer.Option(help="One of `loratheory methods`.")] = "mean",
    weights: Annotated[
        str | None, typer.Option(help="One for each adapter, with commas: `--weights=.7,-.3`.")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(min=1, help="Largest rank of a merged module.")
    ] = None,
    coefficient: Annotated[float, typer.Option(help="Multiplies the merge.")] = 1.0,
    space: Annotated[str, typer.Option(help="For entrywise rules: full, knots or core.")] = "full",
    density: Annotated[float | None, typer.Option(help="Share of entries kept, in (0, 1].")] = None,
    ridge: Annotated[
        float | None, typer.Option(help="Relative ridge of `interpolate` and `regmean`.")
    ] = None,
    moments: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="For `regmean`, from `loratheory moments`: one per adapter, or one for all.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of rules that draw at random.")] = 0,
    dtype: Annotated[
        str | None, typer.Option(help="float16, bfloat16 or float32; the widest input's if not.")
    ] = None,
    device: out.Device = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    any_base: out.AnyBase = False,
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    audit: Annotated[
        bool, typer.Option(help="Measure what was given away; without, `sum` runs at disk speed.")
    ] = True,
    json: out.Json = None,
) -> None:
    """Merge adapters into one, and show how far it is from their weighted sum and from each.

    The result is a folder that PEFT, vLLM and llama.cpp load (docs/formats.md).

    ties, dare, dare-ties and magnitude act on whole updates, but PEFT's merges of these names on
    the factors; `loratheory methods` says which agree. With `--device cuda` PyTorch does the work.

    Example: `loratheory merge adapter_1 adapter_2 --method svd --weights=.7,.3 --rank 16 -o merged`

    JSON: an object `method, output, folders, weights, written, dtype, rounding, notes, totals,
    modules`; each module, and the totals over them, has `energy, to_sum, sum_floor, to_adapters,
    adapters_floor`: squared Frobenius distances, and the least ones possible at the merge's rank.
    With `--moments` also `input_energy, input_error, input_floor`: those of outputs on its inputs.
    """
    import numpy as np

    import loratheory.adapters as lib
    from loratheory.audit import ModuleAudit, audited

    out.free(output, force=force, json=json)
    where: Any = {"subfolder": subfolder, "revision": revision, "download": download}
    adapters = [lib.read_adapter(folder, **where) for folder in folders]
    if device != "cpu":
        move = _mover(device)
        adapters = [adapter.map(move) for adapter in adapters]
    together = lib.aligned(adapters, any_base=any_base)
    chosen = _numbers(weights) if weights is not None else None
    options: dict[str, Any] = {"rank": rank, "space": space, "density": density, "ridge": ridge}
    if moments:
        options["moments"] = [lib.read_moments(file) for file in moments]
    rng = np.random.default_rng(seed)
    merged = lib.merge(
        together,
        method,
        weights=chosen,
        coefficient=coefficient,
        rng=rng,
        **options,
    )
    share = 1.0 / len(folders) if method in ("mean", "chebyshev", "factor-mean") else 1.0
    compared = [coefficient * weight for weight in chosen or [share] * len(folders)]
    audits: list[ModuleAudit] = []
    with out.progress(count=len(merged), unit="module", desc=method) as bar:

        def note(one: ModuleAudit) -> None:
            audits.append(one)
            bar.update()

        seen = lib.roots(options["moments"], together) if moments else None
        if audit:
            made = audited(merged, together, compared, note, seen)
        else:
            made = replace(merged, modules=lib.Lazy(tuple(merged), _watched(merged, bar)))
        written = lib.write_adapter(made, output, dtype=dtype, force=force)
    keys = TOTALS + ON_INPUTS * bool(moments)
    totals = {key: sum(getattr(one, key) for one in audits) for key in keys}
    result = {
        "method": method,
        "output": str(output),
        "folders": [str(folder) for folder in folders],
        "weights": compared,
        "written": len(merged),
        "dtype": written.dtype,
        "rounding": written.rounding,
        "notes": [
            *together.report,
            *together.info.notes,
            *_alone(method, compared, totals if audit else {}),
        ],
        "totals": totals,
        "modules": [asdict(one) for one in audits],
    }
    if out.delivered(json, result):
        _report(result)


def _watched(adapter: Any, bar: Any) -> Any:
    """A look-up that moves a progress bar."""

    def _look_up(module: str) -> Any:
        low = adapter[module]
        bar.update()
        return low

    return _look_up


def _mover(device: str) -> Any:
    """What brings factors to the device, by torch; in NumPy's place, on the processor too."""
    out.needs("torch", "--device")
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        out.refused(
            f"--device {device} cannot be used ({reason}): take cpu, cuda, cuda:1, … or auto"
        )
    return partial(torch.asarray, device=device)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        out.refused(f"--weights={text} is not a list of numbers: write it as --weights=.7,-.3")


def _alone(method: str, weights: list[float], totals: dict[str, float]) -> list[str]:
    """What to know of a merge of one; what the rule made of it is known after an audit."""
    if len(weights) > 1:
        return []
    scaled = "" if weights[0] == 1 else f", times {weights[0]:g}"
    same = f"a merge of one is that adapter{scaled}"
    if not totals:
        same += f", unless {method} changes it"
    elif totals["to_sum"] > 1e-6 * totals["energy"]:
        same = f"but {method} changed it"
    return [f"only one adapter was given, so nothing was put together: {same}"]


def _report(result: dict[str, Any]) -> None:
    totals, count = result["totals"], len(result["folders"])
    what = f" of {count} adapter{'s' * (count > 1)}, {result['written']} modules"
    out.say(f"{what} → {result['output']}", result["method"], result["notes"])
    if not result["modules"]:
        return
    energy, width = totals["energy"], max(one["width"] for one in result["modules"])
    seen = 1e-13 * energy  # what is less is rounding
    lost, floor = (totals[k] * (totals[k] > seen) for k in ("to_sum", "sum_floor"))
    weights = ", ".join(f"{weight:g}" for weight in result["weights"])
    out.show(
        "",
        ("squared distance", "this merge", f"floor at rank {width}", "share of the sum's energy"),
        [
            (f"to the weighted sum ({weights})", lost, floor, lost / energy if energy else 0.0),
            ("mean, to the adapters", totals["to_adapters"], totals["adapters_floor"], None),
        ],
    )
    if "input_error" in totals:
        answered, missed, least = (totals[key] for key in ON_INPUTS)
        out.show(
            "",
            (
                "on the inputs of the moments",
                "this merge",
                f"floor at rank {width}",
                "share missed",
            ),
            [("squared error", missed, least, missed / answered if answered else 0.0)],
        )
    if result["rounding"]:
        moved = f"that moved each factor by up to {result['rounding']:.1e} of its norm"
        out.say(f"Written as {result['dtype']}: {moved}, not counted above.")
    out.say(DISTANCES)


def methods(json: out.Json = None) -> None:
    """List the merge methods and compute which algebraic laws each of them obeys.

    A law is broken if a random case is a counterexample; – means that it does not apply.

    Example: `loratheory methods --json laws.json`

    JSON: an object `methods` (each with `name, formula, reference, cost, options, required,
    spaces`) and `laws` (each with `method, space, cells`; a cell has `holds`, true, false or
    null, `reason`, `seed` of the counterexample and the largest relative `gap` seen).
    """
    from loratheory.adapters import MERGE_METHODS, laws

    rows = laws()
    entries = [
        {
            **{key: getattr(m, key) for key in ("name", "formula", "reference", "cost")},
            "options": sorted(m.options),
            "required": sorted(m.required),
            "spaces": m.spaces,
        }
        for m in MERGE_METHODS.values()
    ]
    if not out.delivered(json, {"methods": entries, "laws": rows}):
        return
    columns = {key: key for key in ("name", "formula", "reference")}
    out.show("merge methods", {**columns, "takes": _takes}, entries)
    out.say(NAMESAKES)
    names = list(rows[0].cells)
    table = [(row.method, row.space, *(row.cells[name].holds for name in names)) for row in rows]
    out.show("laws, by counterexample", ("method", "space", *names), table)
    for row in rows:
        for name, cell in row.cells.items():
            if cell.reason and cell.holds is not None and row.space == "full":
                out.say(f"{row.method}, {row.space}, {name}: {cell.reason}.")


def _takes(method: dict[str, Any]) -> str:
    entrywise, words = "space" in method["options"], []
    for option in method["options"]:
        word = "seed" if option == "rng" else option
        if option == "rank" and entrywise:
            word += " (needed in full)"
        elif option in method["required"] and option != "rng":
            word += " (needed)"
        words.append(word)
    return ", ".join([*words, "coefficient"])
