"""A page for each theorem: statement, proof, a check made now, what breaks it, where it is used."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from loratheory.figures import inline
from loratheory.figures.commands import theorem_graph
from loratheory.paper._appendix import chapter
from loratheory.theorems import CHAPTERS, Report, Theorem, load_cited, parts
from website.rest import Pages, escaped, grid, heading, indented, linked, toctree

SENSES = {
    "lower": "no witness lies below the bound",
    "upper": "no witness lies above the bound",
    "equal": "formula and simulation give one number",
}
INTRODUCTION = (
    "Each is an object with a case, a bound, a construction that meets it, rivals that try to beat "
    "it, and controls that break a hypothesis and so the conclusion. Its page opens with what it "
    "tells someone who merges adapters, and holds statement, proof and what was found when this "
    "site was built.\n\n"
)
MAP = "Point at a name to see its own lines.\n\n.. raw:: html\n\n"
HIGHLIGHT = """
<script>
for (const name of document.querySelectorAll(".theorem-graph a")) {
  const label = name.getAttribute("href").replace(".html", "");
  for (const [event, on] of [["mouseenter", 1], ["focus", 1], ["mouseleave", 0], ["blur", 0]])
    name.addEventListener(event, () => document
      .querySelectorAll(`.theorem-graph :is([id^="${label}--"], [id$="--${label}"])`)
      .forEach((line) => line.classList.toggle("on", on)));
}
</script>
"""
TELLS = "What it tells someone who merges adapters"


def theorem_pages(
    theorems: Sequence[Theorem[Any, Any]],
    reports: Mapping[str, Report],
    documents: Mapping[str, str],
) -> Pages:
    """Return the theorems' pages and their index."""
    names = [name_of(theorem) for theorem in theorems]
    pages = {
        f"theorems/{name}.rst": page(theorem, reports[theorem.label], theorems, documents)
        for name, theorem in zip(names, theorems, strict=True)
    }
    known = [(escaped(c.name), escaped(c.source), linked(c.reason)) for c in load_cited()]
    chapters = (_chapter(name, theorems, reports) for name in CHAPTERS)
    pages["theorems/index.rst"] = (
        heading("Theorems")
        + INTRODUCTION
        + "".join(chapters)
        + heading("Which rests on which", "-")
        + MAP
        + indented(graph(theorems))
        + "\n\n"
        + heading("Known results that are not run here", "-")
        + grid(("result", "source", "why not"), known)
        + toctree((f"{short_title(t)} <{name_of(t)}>" for t in theorems), hidden=True)
    )
    return pages


def graph(theorems: Sequence[Theorem[Any, Any]]) -> str:
    """Return HTML with the drawing of which rests on which; every name in it is a link."""
    titles = {name_of(t): escape(full_title(t)) for t in theorems}

    def _link(found: re.Match[str]) -> str:
        return f'<a href="{found[1]}.html"><title>{titles[found[1]]}</title>'

    drawn = inline(theorem_graph(theorems)).replace('role="img"', 'class="theorem-graph"', 1)
    return re.sub(r'<a xlink:href="([\w-]+)\.html"[^>]*>', _link, drawn) + HIGHLIGHT


def _chapter(
    name: str, theorems: Sequence[Theorem[Any, Any]], reports: Mapping[str, Report]
) -> str:
    """A chapter's section: for each result its title, what it tells, its standing, its clauses."""
    title, subject, introduction = chapter(name)
    entries = ""
    for theorem in (one for one in theorems if one.chapter == name and one.kind != "clause"):
        clauses = [f":doc:`{name_of(t)}`" for t in theorems if t.part_of == theorem.label]
        standing = f"{theorem.status}; {checked(reports[theorem.label])}"
        standing += f"; with {', '.join(clauses)}" if clauses else ""
        entries += f":doc:`{full_title(theorem)} <{name_of(theorem)}>`\n"
        entries += indented(f"{linked(theorem.tells)}\n\n{standing}") + "\n\n"
    opening = f"{subject[0].upper()}{subject[1:]} {introduction}"
    return heading(title, "-") + f"{linked(opening)}\n\n{entries}" if entries else ""


def full_title(theorem: Theorem[Any, Any]) -> str:
    """A theorem's name and what it is about; of a clause the name."""
    first = " ".join(theorem.document.strip().partition("\n\n")[0].split())
    name = str(parts(theorem.document)["Title"])
    return name if theorem.kind == "clause" else first.rstrip(".").replace("`", "")


def short_title(theorem: Theorem[Any, Any]) -> str:
    """A theorem's name."""
    return full_title(theorem).partition(":")[0]


def name_of(theorem: Theorem[Any, Any]) -> str:
    """The label without its prefix."""
    return theorem.label.removeprefix("thm:")


def checked(report: Report) -> str:
    """One line on a verification."""
    verdict = "as stated" if report.ok else f"**not as stated**: {escaped(report.trouble)}"
    controls = "1 control" if report.controls == 1 else f"{report.controls} controls"
    return f"{verdict}, {report.cases} witnesses, {controls}"


def page(
    theorem: Theorem[Any, Any],
    report: Report,
    theorems: Sequence[Theorem[Any, Any]],
    documents: Mapping[str, str],
) -> str:
    """Return one theorem's page."""
    found = parts(theorem.document)
    _, formal, sources = (found.pop(part) for part in ("Title", "Precisely", "References"))
    plain = escaped(found.pop("Statement"))
    text = heading(full_title(theorem))
    text += f"``{theorem.label}`` · {theorem.status} · {escaped(theorem.source)}\n\n"
    if told := found.pop(TELLS, ""):
        text += f".. admonition:: {TELLS}\n   :class: tip\n\n" + indented(linked(told)) + "\n\n"
    text += ".. admonition:: Statement\n\n" + indented(f"{plain}\n\n{linked(formal)}") + "\n\n"
    if theorem.assumptions:
        lines = [f"* {escaped(str(assumption))}" for assumption in theorem.assumptions]
        text += "It needs\n\n" + "\n".join(lines) + "\n\n"
    for name, part in found.items():
        text += heading(escaped(name), "-") + linked(part) + "\n\n"
    text += heading("Checked", "-") + _checked(theorem, report)
    if theorem.controls:
        text += heading("What breaks it", "-") + _broken(theorem)
    text += heading("Where it is used", "-") + _used(theorem, theorems, documents)
    return text + (heading("References", "-") + linked(sources) + "\n" if sources else "")


def _checked(theorem: Theorem[Any, Any], report: Report) -> str:
    tight = {True: "met every time", False: "**missed**", None: "there is no construction"}
    rows = [
        ("verdict", checked(report)),
        ("sense", SENSES[theorem.sense]),
        ("the construction meets the bound", tight[report.tight]),
        ("smallest slack", f"{report.worst_slack:.2g} allowances for rounding (−1 or more holds)"),
    ]
    again = f"Run it again: ``loratheory verify {name_of(theorem)}``.\n\n"
    return grid(("", "found when this page was built"), rows) + again


def _broken(theorem: Theorem[Any, Any]) -> str:
    rows = []
    for control in theorem.controls:
        verdict = theorem.judge(*control.example())
        names = (control.name, control.breaks)
        rows.append((*map(escaped, names), f"{verdict.bound:.4g}", f"{verdict.value:.4g}"))
    return grid(("done to it", "hypothesis that fails", "the bound", "found"), rows)


def _used(
    theorem: Theorem[Any, Any],
    theorems: Sequence[Theorem[Any, Any]],
    documents: Mapping[str, str],
) -> str:
    label = re.compile(rf"{theorem.label}(?![\w-])")
    ends = {
        "It rests on": [t for t in theorems if t.label in theorem.uses],
        "What rests on it:": [t for t in theorems if theorem.label in t.uses],
    }
    text = ""
    for head, group in ends.items():
        names = ", ".join(f":doc:`{short_title(t)} <{name_of(t)}>`" for t in group)
        text += f"{head} {names}.\n\n" if names else ""
    pages = [f"* :doc:`/{place}`\n" for place, told in documents.items() if label.search(told)]
    text += "Pages that name it:\n\n" + "".join(pages) + "\n" if pages else ""
    return text or "It stands for itself: no other page names it.\n\n"
