"""The experiments, a page each with its figure, and all figures at a glance."""

import inspect
import re
from pathlib import Path

from loratheory.experiments import NAMES, experiment, finding, published
from loratheory.figures import FIGURES, rendered, table
from website.rest import Pages, escaped, heading, indented, linked, toctree

PICTURE = ".. image:: /figures/{0}.svg\n   :alt: {1}\n"
OTHERS = "Two-hop questions, in small transformers"  # all that stand under no other head
POINT = re.compile(r"(?<=[.:;])\s+(?=\([a-z]\)\s)")
HEADS = {
    "Exact models, without training": "merge_floor two_read_region window",
    "What a rank can express": "expressive_power construction_digits training_gap",
    OTHERS: "",
    "Word problems, in small transformers": (
        "template_overlap skill_coverage shallow_matching failing_step label_free_prediction"
    ),
    "A language model": " ".join(name for name in NAMES if name.startswith("real_")),
}
"""The gallery's heads, and whose cards stand under each."""


def drawings(folder: Path) -> dict[str, bytes]:
    """Return every figure whose table is stored, as SVG."""
    known = {name: folder / name / Path(published(name)).name for name in FIGURES}
    return {
        name: rendered(FIGURES[name](table(file)), "svg")
        for name, file in known.items()
        if file.is_file()
    }


def gallery(drawn: set[str]) -> Pages:
    """Return a page for each experiment and the gallery."""
    pages: Pages = {}
    heads = {name: head for head, names in HEADS.items() for name in names.split()}
    cards = dict.fromkeys(HEADS, "")
    for name in NAMES:
        one = experiment(name)
        title, _, body = inspect.cleandoc(one.document or "").partition("\n")
        text = heading(escaped(title.rstrip(".")))
        alt = f"Figure: {' '.join(title.rstrip('.').split())}"
        if name in drawn:
            text += PICTURE.format(name, alt) + "   :width: 100%\n\n"
        text += _body(body)
        if found := finding(published(name).parent):
            text += heading("Found", "-") + linked(_listed(found)) + "\n\n"
        provenance = f"\n\nRun it: ``loratheory run {name} --profile paper``.\n"
        pages[f"experiments/{name}.rst"] = text + provenance
        picture = _thumb(name, alt) if name in drawn else ""
        card = f"{picture}:doc:`{spoken(name)} <{name}>`\n\n{linked(one.paragraph('Question'))}"
        head = heads.get(name, OTHERS)
        cards[head] += ".. container:: card\n\n" + indented(card) + "\n\n"
    index = (
        heading("Experiments and figures")
        + "Each asks a question of small exact models or of trained ones; prediction, chance level "
        + "and controls were written down before the run.\n\n"
        + "".join(
            heading(head, "-") + ".. container:: cards\n\n" + indented(held)
            for head, held in cards.items()
        )
        + toctree([f"{spoken(name)} <{name}>" for name in NAMES], hidden=True)
    )
    return {**pages, "experiments/index.rst": index}


def spoken(name: str) -> str:
    """An experiment's name in words."""
    return name.replace("_", " ").replace("two ", "two-").capitalize()


def _body(text: str) -> str:
    """A document's paragraphs: each bold head opens a section."""
    parts = re.split(r"^\*\*([^*\n]+)\.\*\* ?", text.strip(), flags=re.MULTILINE)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    told = "".join(
        heading(name, "-") + f"{linked(_listed(part.strip()))}\n\n" for name, part in sections
    )
    return linked(parts[0]) + "\n\n" + told


def _listed(text: str) -> str:
    """Where sentences are counted (a), (b), … within a paragraph, each opens an entry of a list."""
    entries = (POINT.split(paragraph) for paragraph in text.split("\n\n"))
    return "\n\n".join(
        "\n\n".join(" ".join(entry.split()) for entry in one) if len(one) > 1 else one[0]
        for one in entries
    )


def _thumb(name: str, alt: str) -> str:
    """A picture that leads to the experiment's page."""
    return PICTURE.format(name, alt) + f"   :target: {name}.html\n   :loading: lazy\n\n"
