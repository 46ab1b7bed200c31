"""What the registry and the experiments' own modules say, as LaTeX: nothing is typed twice."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loratheory.experiments import experiment, finding
from loratheory.experiments.engine import stored_provenance
from loratheory.figures import FIGURES
from loratheory.paper._appendix import appendix, latex, linked
from loratheory.paper._numbers import command, stored
from loratheory.theorems import LABELS, Theorem, load_theorems, parts

PARAGRAPHS = ("Question", "Prediction", "Chance", "Controls")
KINDS = {"proved": "Theorem", "cited": "Cited theorem", "refuted": "Refuted claim"}
PARTS = {"clause": "Corollary", "lemma": "Lemma"}
SHORT = 12
"""How much of a commit is printed."""


def kind_of(theorem: Theorem[Any, Any]) -> str:
    """What the paper calls it."""
    kind = KINDS.get(theorem.status, "Conjecture")
    return PARTS.get(theorem.kind, kind) if kind == "Theorem" else kind


def proofs(source: str) -> str:
    """Return the appendix of all theorems, numbered in the order in which the text names them.

    Theorems that the text does not name follow, in the order of the appendix.
    """
    text = re.sub(r"(?<!\\)%[^\n]*", "", source)
    order = list(dict.fromkeys([*re.findall(r"thm:[\w-]+", text), *LABELS]))
    return re.sub(
        r"(?=\\begin\{\w+\}\[[^\n]*\]\\label\{(thm:[\w-]+)\})",
        lambda start: rf"\setcounter{{theorem}}{{{order.index(start[1])}}}",
        appendix(load_theorems()),
    )


def statements() -> str:
    r"""Return what ``\stated{thm:…}`` and ``\briefly{thm:…}`` stand for: statements without proof.

    The first has the precise statement if there is one, the second the statement in words.
    """
    lines = []
    for theorem in load_theorems():
        sections = parts(theorem.document)
        kind = kind_of(theorem)
        head = rf"\statement{{{kind}}}{{{theorem.label}}}{{{latex(sections['Title'])}}}"
        words = latex(sections["Statement"])
        text = linked(sections["Precisely"]) or words
        lines.append(command("stated", theorem.label, rf"{head}{{{text}}}"))
        lines.append(command("briefly", theorem.label, rf"{head}{{{words}}}"))
    return "\n".join(lines) + "\n"


def findings(results: Path) -> dict[str, str]:
    """What was found by each experiment that has a table, in the order of all; looked up once."""
    return {name: finding(results / name) for name in stored(results)}


def of_experiments(found: Mapping[str, str]) -> str:
    r"""Return what ``\stored``, ``\finding`` and their kin stand for, table by table."""
    lines = []
    for name, text in found.items():
        one = experiment(name)
        lines.append(command("stored", name, "yes"))
        lines.append(command("question", name, linked(one.paragraph("Question"))))
        lines.append(command("finding", name, linked(text)))
        if name in FIGURES:
            lines.append(command("drawn", name, rf"(Figure~\ref{{fig:{name}}})"))
    return "\n".join(lines) + "\n"


def experiments(found: Mapping[str, str], shown: Sequence[str]) -> str:
    """Return the appendix: what each asked, predicted and found, with its figure if not shown."""
    lines = []
    for name, text in found.items():
        one = experiment(name)
        title = name.replace("_", " ")
        lines.append(rf"\subsection{{{title[0].upper()}{title[1:]}}}\label{{exp:{name}}}")
        texts = {part: one.paragraph(part) for part in PARAGRAPHS} | {"Found": text}
        lines += [
            rf"\registered{{{part}}}{{{linked(said)}}}" for part, said in texts.items() if said
        ]
        if name in FIGURES and name not in shown:
            lines.append(rf"\appendixfigure{{{name}}}{{{linked(one.paragraph('Question'))}}}")
        elif name in shown:
            lines.append(rf"\seefigure{{{name}}}")
    return "\n".join(lines) + "\n"


def provenance(results: Path) -> str:
    """Return a row of the provenance table for each stored experiment."""
    lines = []
    for name in stored(results):
        about = stored_provenance(results / name)
        ran = about["environments"][0]
        machines = sorted({each["device"] for each in about["environments"]})
        cells = [
            latex(name),
            _ranges(about["seeds"]),
            str(len(about["cells"])),
            str(sum(cell["rows"] for cell in about["cells"])),
            f"{about['seconds'] / 60:.1f}",
            rf"\texttt{{{str(ran['commit'])[:SHORT]}}}",
            rf"\texttt{{{ran['code'][:SHORT]}}}",
            latex(", ".join(machines)),
        ]
        lines.append(" & ".join(cells) + r" \\")
        lines.append(rf"\settings{{{_settings([cell['config'] for cell in about['cells']])}}}")
    return "\n".join(lines) + "\n"


def _ranges(seeds: Sequence[int]) -> str:
    """Seeds in order; a run of them as its ends; a dash where nothing was drawn."""
    if not seeds:
        return "--"
    if list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2:
        return f"{seeds[0]}--{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _settings(configs: Sequence[dict[str, Any]]) -> str:
    """Each field of the configs with all values it takes; seeds have a column of their own."""
    shown, flat = [], [dict(_fields(config)) for config in configs]
    for key in dict.fromkeys(key for config in flat for key in config):
        if key in ("seed", "seeds"):
            continue
        values = list(dict.fromkeys(_spoken(config[key]) for config in flat if key in config))
        few = values if len(values) <= 8 else [*values[:3], "\\dots", values[-1]]
        text = ", ".join(value if value == "\\dots" else latex(value) for value in few)
        shown.append(rf"\mbox{{{latex(key)}}} {text}")
    return "; ".join(shown)


def _fields(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields; of a group of fields its own."""
    for key, value in config.items():
        yield from _fields(value) if isinstance(value, dict) else [(key, value)]


def _spoken(value: Any) -> str:
    """A value without Python's marks; what a list of lists groups is joined by hyphens."""
    if not isinstance(value, list):
        return str(value) or "default"
    parts = (part if isinstance(part, list) else [part] for part in value)
    return ", ".join("--".join(map(str, part)) for part in parts)
