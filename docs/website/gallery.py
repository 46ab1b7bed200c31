"""The studies, a page each with its figure, and all figures at a glance."""

import re
from pathlib import Path

from paper.numbers import results, sections
from paper.studies import FOLDER, NAMES
from website.rest import Pages, heading, indented, linked, toctree

HEADS = {
    "A language model": tuple(name for name in NAMES if name.startswith("lm_")),
    "Exact models, without training": ("window", "merge_floor", "expressive_power"),
    "Word problems, in small transformers": ("word_problems",),
}
"""The gallery's heads, and whose cards stand under each; all others are of small transformers."""
OTHERS = "Two-hop questions, in small transformers"


def drawings(folder: Path = FOLDER) -> dict[str, bytes]:
    """Return every study's stored figure, as SVG."""
    return {file.parent.name: file.read_bytes() for file in sorted(folder.glob("*/figure.svg"))}


def gallery() -> Pages:
    """Return a page for each study, and the gallery."""
    pages: Pages = {}
    heads = {name: head for head, names in HEADS.items() for name in names}
    cards = dict.fromkeys([*HEADS, OTHERS], "")
    for name in NAMES:
        asked = sections((FOLDER / name / "prediction.md").read_text(encoding="utf-8"))
        found = results(name)
        text = f"# {spoken(name)}\n\n![{spoken(name)}](/figures/{name}.svg)\n\n"
        for part in dict.fromkeys([*asked, *found]):
            text += f"## {spoken(part)}\n\n" if part else ""
            text += asked.get(part, "") + "\n\n"
            if found.get(part):
                text += f"**Found.** {found[part]}\n\n"
        text += f"Run it again in a checkout: `make results STUDY={name}`.\n"
        pages[f"experiments/{name}.md"] = _labels(text)
        question = re.search(r"\*\*Question\.\*\*(.*?)\n\n", "\n\n".join(asked.values()), re.S)
        picture = f".. image:: /figures/{name}.svg\n   :target: {name}.html\n   :loading: lazy\n\n"
        said = linked(question[1].strip()) if question else ""
        card = f"{picture}:doc:`{spoken(name)} <{name}>`\n\n{said}"
        cards[heads.get(name, OTHERS)] += ".. container:: card\n\n" + indented(card) + "\n\n"
    index = heading("Studies and figures") + "".join(
        heading(head, "-") + ".. container:: cards\n\n" + indented(held)
        for head, held in cards.items()
    )
    index += toctree([f"{spoken(name)} <{name}>" for name in NAMES], hidden=True)
    return {**pages, "experiments/index.rst": index}


def spoken(name: str) -> str:
    """Return a study's name in words."""
    words = name.replace("lm_", "language model: ").replace("_", " ").replace("two ", "two-")
    return words.capitalize()


def _labels(text: str) -> str:
    """Labels of theorems as links, other names in literals as Markdown has them."""
    text = text.replace("``", "`")
    return re.sub(r"`thm:([a-z-]+)`", r"[`thm:\1`](/theorems/\1.rst)", text)
