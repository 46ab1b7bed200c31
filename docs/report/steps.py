"""What ``make reproduce`` runs, one step a function; each returns a section of the page."""

import json
from pathlib import Path

from report.section import Section, command


def theorems(seed: int = 0) -> Section:
    """Verify the whole registry."""
    from loratheory.theorems import ALL, verify_all

    reports = list(verify_all([theorem.label for theorem in ALL], seed=seed))
    good = [report for report in reports if report.ok]
    cases, controls = sum(r.cases for r in reports), sum(r.controls for r in reports)
    line = (
        f"{len(good)} of {len(reports)} theorems behave as stated on {cases} checked witnesses; "
        f"{sum(r.controls for r in reports if r.controls_ok)} of {controls} controls break them."
    )
    return Section(
        "Theorems",
        "Each statement is checked on random cases by its construction, by rivals (some right next "
        "to the optimum) and by an optimiser that shares no code with it; then each hypothesis is "
        "broken, and the conclusion must break with it. Worst slack is in units of the allowance "
        "for rounding and sampling: -1 or more holds.",
        ("theorem", "statement", "status", "cases", "holds", "tight", "worst slack", "controls"),
        tuple(
            (r.label, t.statement, r.status, r.cases, r.holds, r.tight, r.worst_slack, r.controls)
            for r, t in zip(reports, ALL, strict=True)
        ),
        confirmed=(line,),
        deviated=tuple(f"{r.label}: {r.trouble}" for r in reports if not r.ok),
    )


def adapters(pair: tuple[Path, Path], build: Path) -> Section:
    """Inspect, diagnose and merge two real adapters by the command line."""
    figures = (build / "spectra.png", build / "overlap.png")
    command("inspect", *pair, "--figure", figures[0], "--json", build / "inspect.json")
    command("diagnose", *pair, "--figure", figures[1], "--json", build / "diagnosis.json")
    rows = []
    for method, more in MERGES.items():
        file, target = build / f"merge-{method}.json", build / f"merged-{method}"
        command("merge", *pair, "--method", method, *more, "-o", target, "--force", "--json", file)
        merge = json.loads(file.read_text())
        totals = merge["totals"]
        rows.append(
            (
                " ".join([method, *more]),
                max(m["width"] for m in merge["modules"]),
                *(totals[key] for key in ("to_sum", "sum_floor", "to_adapters", "adapters_floor")),
            )
        )
    broken = [row[0] for row in rows if row[4] < row[5] * (1 - 1e-9) or row[2] < row[3] - 1e-9]
    findings = json.loads((build / "diagnosis.json").read_text())["findings"]
    text = "\n\n".join(f"({f['kind']}) {f['text']} [{f['label']}]" for f in findings)
    return Section(
        "Two real adapters",
        "Trained with PEFT on SmolLM2-135M-Instruct, dequantised from 4 bits: invented persons and "
        "their countries, and the same countries' invented mascots. Squared distances below are "
        "between weights, not between answers; beside each stands the floor that no merge of that "
        f"rank can beat.\n\n{text}",
        ("merge", "rank", "to the sum", "floor", "to the adapters", "floor"),
        tuple(rows),
        figures,
        confirmed=() if broken else (f"{len(rows)} merges of real adapters respect their floors.",),
        deviated=tuple(f"{name} lies below its floor" for name in broken),
    )


MERGES: dict[str, tuple[str, ...]] = {
    "sum": (),
    "mean": (),
    "svd": ("--rank", "8"),
    "ties": ("--density", ".3", "--space", "knots"),
    "dare": ("--density", ".5", "--space", "knots"),
    "iso": (),
    "tsv": (),
    "interpolate": (),
}


def pictures(build: Path) -> Section:
    """Draw every figure of the paper from its stored table."""
    from paper.studies import NAMES
    from paper.style import drawing, file_bytes

    drawn = []
    for name in NAMES:
        drawn.append(build / f"{name}.png")
        drawn[-1].write_bytes(file_bytes(drawing(name), "png"))
    text = "Each is drawn from the stored table in paper/studies/."
    return Section(
        "Figures", text, figures=tuple(drawn), confirmed=(f"{len(drawn)} figures redrawn.",)
    )


def numbers(paper: Path = Path("paper")) -> Section:
    """Look up every number that the paper's text asks for."""
    from paper.build import typed
    from paper.numbers import latex_numbers

    source = (paper / "main.tex").read_text(encoding="utf-8")
    count = len(latex_numbers(source).splitlines())
    by_hand = typed(source)
    line = f"{count} numbers of the text are in the stored tables or follow from theorems."
    return Section(
        "The paper's numbers",
        "The text asks for each number by study and condition, and none is typed. `make paper` "
        "typesets it.",
        confirmed=() if by_hand else (line,),
        deviated=tuple(f"main.tex, line {one} is typed" for one in by_hand),
    )


def notebooks(names: tuple[Path, ...], build: Path) -> Section:
    """Run notebooks from a clean kernel; their assertions are the check."""
    import jupytext
    from execution import execute
    from nbclient.exceptions import CellExecutionError
    from nbconvert import HTMLExporter

    confirmed, deviated, links = [], [], []
    for source in names:
        notebook = jupytext.read(source)
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
        try:
            execute(notebook, timeout=60)
            confirmed.append(f"Notebook {source.stem}: every assertion holds.")
        except CellExecutionError as error:
            deviated.append(f"Notebook {source.stem}: {error.ename}: {error.evalue}")
        page = build / f"{source.stem}.html"
        page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
        links.append((title, page))
    return Section(
        "Notebooks",
        "Derivation, construction and check in one place; `make lab` opens them for editing.",
        links=tuple(links),
        confirmed=tuple(confirmed),
        deviated=tuple(deviated),
    )
