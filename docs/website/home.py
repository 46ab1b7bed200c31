"""Pages written by hand, their links turned to pages of the site, and the contents of the whole."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from website.rest import draggable

HAND = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
PLACES = HAND | {
    "loratheory/theorems/": "theorems/index.rst",
    "loratheory/adapters/_laws.py": "laws.rst",
    "paper/studies/": "experiments/index.rst",
    "paper/studies/window/figure.svg": "figures/window.svg",
}
"""Where a link into the checkout leads on the site."""

CONTENTS = {
    "Start": ("quickstart", "install", "glossary"),
    "Use it": (
        "advise",
        "portable",
        "own_rule",
        "formats",
        "scale",
        "sweeps",
        "speed",
    ),
    "What holds": ("theorems/index", "experiments/index", "language_model", "small_models"),
    "The course": ("teaching",),
    "Reference": ("commands", "laws", "reference/index", "README <readme>"),
}
"""The navigation; what is written by hand and not named here ends the last group."""


def home(root: Path, titles: Mapping[str, str], docs: Mapping[str, str]) -> dict[str, str]:
    """Return the hand-written pages; the first one ends with the contents of all."""
    written = {
        page: (root / name).read_text(encoding="utf-8")
        for name, page in HAND.items()
        if (root / name).is_file()
    }
    pages = {name: linked(text) for name, text in {**docs, **written}.items()}
    lessons = [f"{stem[:2]} {title} <course/{stem}>" for stem, title in titles.items()]
    groups = {**CONTENTS, "The course": [*lessons, *CONTENTS["The course"]]}
    named = {name.rpartition("<")[2].rstrip(">") for names in groups.values() for name in names}
    rest = [stem for page in pages if (stem := page[:-3]) not in {*named, "index"}]
    groups["Reference"] = [*groups["Reference"], *rest]
    still = r"^!\[.*\]\(figures/window\.svg\)$"
    first = re.sub(still, lambda found: draggable(found[0]), pages["index.md"], flags=re.MULTILINE)
    trees = [_tree(caption, names) for caption, names in groups.items()]
    return {**pages, "index.md": "\n".join([first, *trees])}


def linked(text: str) -> str:
    """Return Markdown of the checkout as Markdown of the site."""
    text = re.sub(r"\((?:\.\./)?notebooks/([\w-]+)\.ipynb\)", r"(course/\1.ipynb)", text)
    text = re.sub(r"\((?:docs/)([\w-]+\.md)\)", r"(\1)", text)
    for place, page in PLACES.items():
        text = re.sub(rf"\((?:\.\./)?{re.escape(place)}\)", f"({page})", text)
    return re.sub(r"(?<![\[`])`thm:([a-z-]+)`(?![`\]])", r"[`thm:\1`](theorems/\1.rst)", text)


def _tree(caption: str, names: Iterable[str]) -> str:
    inside = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{inside}\n```\n"
