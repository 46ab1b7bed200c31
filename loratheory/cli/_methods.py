"""``loratheory methods``: the merge rules and the laws that each obeys."""

from typing import Any

from loratheory.cli._inspect import Json
from loratheory.cli._output import console, save_json, show


def methods(json: Json = None) -> None:
    """List the merge methods and the laws that each obeys: computed now, not written down.

    A law counts as broken where a counterexample was found; – means that it does not arise.

    Example: `loratheory methods --json laws.json`

    JSON: an object `methods` (each with `name, formula, reference, cost, options, required,
    spaces`) and `laws` (each with `method, space, cells`; a cell has `holds`, true, false or
    null, `reason`, `seed` of the counterexample and the largest relative `gap` seen).
    """
    from loratheory.adapters import METHODS, laws

    rows = laws()
    known = [
        {
            "name": m.name,
            "formula": m.formula,
            "reference": m.reference,
            "cost": m.cost,
            "options": sorted(m.options),
            "required": sorted(m.required),
            "spaces": m.spaces,
        }
        for m in METHODS.values()
    ]
    save_json(json, {"methods": known, "laws": rows})
    if str(json) == "-":
        return
    columns = ("name", "formula", "reference", "takes")
    show("merge methods", columns, [[_cell(m, c) for c in columns] for m in known])
    names = list(rows[0].cells)
    table = [
        (row.method, row.space, *(_mark(row.cells[name].holds) for name in names)) for row in rows
    ]
    show("laws, by counterexample", ("method", "space", *names), table)
    notes = [
        f"{row.method}, {row.space}, {name}: {cell.reason}."
        for row in rows
        for name, cell in row.cells.items()
        if cell.reason and cell.holds is not None and row.space == "full"
    ]
    console().print("\n".join(notes), markup=False)


def _cell(method: dict[str, Any], column: str) -> str:
    if column != "takes":
        return str(method[column])
    needs, entrywise = set(method["required"]), "space" in method["options"]
    words = []
    for option in method["options"]:
        word = "seed" if option == "rng" else option
        if option == "rank" and entrywise:
            word += " (needed in full)"
        elif option in needs and option != "rng":
            word += " (needed)"
        words.append(word)
    return ", ".join([*words, "coefficient"])


def _mark(holds: bool | None) -> str:
    return "–" if holds is None else ("yes" if holds else "no")
