"""Run the report's steps without a language model: theorems, merges, notebooks."""

from contextlib import redirect_stdout
from io import StringIO
from operator import attrgetter
from pathlib import Path
from typing import Any

import jupytext
import numpy as np

from loratheory.adapters import aligned, interference, merge, read_adapter, write_adapter
from loratheory.audit import ModuleAudit, audit_on_lookup
from loratheory.theorems import load_theorems, verify_all
from report.claims import Section

PAIR = (Path("tests/data/persons"), Path("tests/data/mascots"))
RANKS = {"sum": None, "mean": None, "svd": 6, "iso": None, "tsv": None, "interpolate": None}
"""Merge methods, and the rank of the merge, or None for the method's own rank."""
DISTANCES = ("to_sum", "sum_floor", "to_adapters", "adapters_floor")
NOTEBOOKS = ("01_one_adapter_many_tasks", "02_two_hop_averaging")


def verify_theorems() -> Section:
    """Verify the whole registry and run its controls."""
    rows, failed = list[tuple[Any, ...]](), 0
    theorems = {theorem.label: theorem for theorem in load_theorems()}
    for r in verify_all([*theorems]):
        named = (r.label, theorems[r.label].statement, r.status)
        rows.append((*named, r.cases, r.worst_slack, r.controls, r.trouble))
        failed += not r.ok
    return Section(tuple(rows), {"failed": failed})


def merge_pair(build: Path) -> Section:
    """Merge two real adapters by several methods, and compare each merge with its floors."""
    one, two = (read_adapter(folder) for folder in PAIR)
    together, rows, short = aligned([one, two]), list[tuple[Any, ...]](), 0.0
    for method, rank in RANKS.items():
        merged = merge(together, method, rank=rank, rng=np.random.default_rng(0))
        # The mean is compared with the mean, all other merges with the sum.
        weight, audits = (0.5 if method == "mean" else 1.0), list[ModuleAudit]()
        made = audit_on_lookup(merged, together, [weight, weight], audits.append)
        write_adapter(made, build / f"merged-{method}", force=True)
        energy = sum(audit.energy for audit in audits)
        found = np.sum(list(map(attrgetter(*DISTANCES), audits)), axis=0).tolist()
        rows.append((method, max(audit.width for audit in audits), *found))
        gaps = (found[1] - found[0], found[3] - found[2])
        short = float(np.max([short, *(gap / energy for gap in gaps)]))
    svd = next(row for row in rows if row[0] == "svd")
    shared = [interference([one[name], two[name]]).crosstalk for name in one if name in two]
    spill = 100 * max(float(each[0, 1] / each[0, 0]) for each in shared)
    values = {"short": short, "excess": svd[2] / svd[3] - 1, "spill": spill}
    return Section(tuple(rows), values)


def run_notebooks(folder: Path = Path("notebooks")) -> Section:
    """Run the cells of two notebooks in this process; their assertions are the check."""
    rows = []
    for name in NOTEBOOKS:
        trouble, names = "", {"display": lambda *_: None, "__name__": "notebook"}
        for number, cell in enumerate(jupytext.read(folder / f"{name}.py").cells, 1):
            if cell.cell_type != "code" or trouble:
                continue
            try:
                # The output of cells is for readers of the notebook.
                with redirect_stdout(StringIO()):
                    exec(compile(cell.source, f"{name}, cell {number}", "exec"), names)
            except Exception as error:  # any error of a cell is the result
                trouble = f"cell {number}: {type(error).__name__}: {error}"
        rows.append((name, trouble or "all assertions hold"))
    failed = sum(not result.startswith("all") for _, result in rows)
    return Section(tuple(rows), {"failed": failed})
