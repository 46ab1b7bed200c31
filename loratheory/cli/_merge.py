"""``loratheory merge`` and ``loratheory methods``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._inspect import Folders, Json
from loratheory.cli._output import console, progress, reachable, refused, save_json, show


def merge(
    folders: Folders,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    method: Annotated[str, typer.Option(help="One of `loratheory methods`.")] = "mean",
    weights: Annotated[
        str | None, typer.Option(help="Comma-separated, one a folder: `--weights=.7,-.3`.")
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank to keep.")] = None,
    coefficient: Annotated[float, typer.Option(help="Scales the merge.")] = 1.0,
    space: Annotated[str, typer.Option(help="For entrywise rules: full, knots or core.")] = "full",
    density: Annotated[float | None, typer.Option(help="Share of entries kept, in (0, 1].")] = None,
    ridge: Annotated[float | None, typer.Option(help="Relative ridge of `interpolate`.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="For rules that draw at random.")] = 0,
    dtype: Annotated[
        str | None, typer.Option(help="float16, bfloat16 or float32; the widest input's if not.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    any_base: Annotated[
        bool, typer.Option("--any-base", help="Accept different base model names.")
    ] = False,
    audit: Annotated[
        bool, typer.Option(help="Measure what was given away; without, `sum` runs at disk speed.")
    ] = True,
    json: Json = None,
) -> None:
    """Merge adapters into one folder that PEFT loads, and say what was given away in weights.

    Example: `loratheory merge adapter_1 adapter_2 --method svd --weights=.7,.3 --rank 16 -o merged`

    JSON: an object `method, output, folders, weights, written, dtype, rounding, notes, totals,
    modules`; each module, and the totals over them, has `energy, to_sum, sum_floor, to_adapters,
    adapters_floor`: squared Frobenius distances, the floors at the rank that the merge spends.
    """
    from dataclasses import asdict

    import numpy as np

    from loratheory import adapters as lib
    from loratheory.diagnosis import ModuleAudit, audited

    reachable(json)
    if json and json.absolute() == output.absolute():
        refused(f"--json {json} is the folder to write: name a file elsewhere")
    if not output.parent.is_dir():
        refused(f"{output}: there is no folder {output.parent}: make it, or write elsewhere")
    if output.exists() and not force:
        refused(f"{output} exists: choose another folder, or add --force to replace an adapter")
    shelf = [lib.read(folder) for folder in folders]
    together = lib.aligned(shelf, any_base=any_base)
    chosen = _numbers(weights) if weights is not None else None
    merged = lib.merge(
        together,
        method,
        weights=chosen,
        rank=rank,
        coefficient=coefficient,
        space=space,
        density=density,
        ridge=ridge,
        rng=np.random.default_rng(seed),
    )
    audits: list[ModuleAudit] = []
    with progress(count=len(merged), unit="module", desc=method) as bar:

        def note(one: ModuleAudit) -> None:
            audits.append(one)
            bar.update()

        compared = _reference(method, chosen, len(shelf), coefficient)
        watched = audited(merged, together, compared, note) if audit else _counted(merged, bar)
        written = lib.write(watched, output, dtype=dtype, force=force)
    totals = {
        key: sum(getattr(one, key) for one in audits)
        for key in ("energy", "to_sum", "sum_floor", "to_adapters", "adapters_floor")
    }
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
    save_json(json, result)
    if str(json) != "-":
        _report(result, max((one.width for one in audits), default=0))


def _counted(merged: Any, bar: Any) -> Any:
    """The same adapter; each module, when looked up, moves the bar."""
    from dataclasses import replace

    from loratheory.adapters import Lazy

    def _make(name: str) -> Any:
        bar.update()
        return merged[name]

    return replace(merged, modules=Lazy(tuple(merged), _make))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        refused(f"--weights={text} is not a list of numbers: write it as --weights=.7,-.3")


def _reference(method: str, weights: list[float] | None, count: int, factor: float) -> list[float]:
    """The weights of the sum that a merge is compared with: its own, or those of the mean."""
    base = weights or [1.0 / count if method in ("mean", "factor-mean") else 1.0] * count
    return [factor * weight for weight in base]


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


def _shown(distance: float, energy: float) -> float:
    """A squared distance, 0 where only rounding is left of it."""
    return distance if distance > 1e-13 * energy else 0.0


def _report(result: dict[str, Any], width: int) -> None:
    totals, out = result["totals"], console()
    count = len(result["folders"])
    out.print(
        f"[bold]{result['method']}[/bold] of {count} adapter{'s' * (count > 1)}, "
        f"{result['written']} modules → {result['output']}"
    )
    for note in result["notes"]:
        out.print(f"Note: {note}.", markup=False)
    if not result["modules"]:
        return
    weights = ", ".join(f"{weight:g}" for weight in result["weights"])
    rows = [
        (
            f"to the weighted sum ({weights})",
            _shown(totals["to_sum"], totals["energy"]),
            _shown(totals["sum_floor"], totals["energy"]),
            _shown(totals["to_sum"], totals["energy"]) / totals["energy"]
            if totals["energy"]
            else 0.0,
        ),
        (
            "mean, to the adapters",
            totals["to_adapters"],
            totals["adapters_floor"],
            None,
        ),
    ]
    columns = (
        "squared distance",
        "this merge",
        f"floor at rank {width}",
        "share of the sum's energy",
    )
    show("", columns, rows)
    if result["rounding"]:
        out.print(
            f"Written as {result['dtype']}: that moved each factor by up to "
            f"{result['rounding']:.1e} of its norm, not counted above.",
            markup=False,
        )
    out.print(
        "Both are distances between weights (Eckart–Young; thm:merge-floor), not between\n"
        "answers: the mean is nearest to the adapters and can still lose the two-hop answer\n"
        "(thm:two-read-region).",
        markup=False,
    )
