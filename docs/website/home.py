"""The first page, and what else is written by hand: README, changelog, contributing."""

import re
from collections.abc import Mapping
from pathlib import Path

HAND = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def home(root: Path, titles: Mapping[str, str], docs: Mapping[str, str]) -> dict[str, str]:
    """Return the hand-written pages, their links turned to pages of the site."""
    pages = {
        page: linked((root / name).read_text(encoding="utf-8"))
        for name, page in HAND.items()
        if (root / name).is_file()
    }
    readme = linked((root / "README.md").read_text(encoding="utf-8"))
    more = ["laws", "commands", "reference/index", *docs, *(p[:-3] for p in pages)]
    trees = (
        _tree(
            "The course", [f"{stem[:2]} {title} <course/{stem}>" for stem, title in titles.items()]
        ),
        _tree("Results", ["theorems/index", "experiments/index"]),
        _tree("Reference", [name.removesuffix(".md") for name in more]),
    )
    written = {name: text.replace("(../README.md)", "(index.md)") for name, text in docs.items()}
    return {**pages, **written, "index.md": readme + "\n" + "\n".join(trees)}


def linked(text: str) -> str:
    """Return Markdown of the checkout as Markdown of the site."""
    text = re.sub(r"\(notebooks/([\w-]+)\.ipynb\)", r"(course/\1.ipynb)", text)
    text = re.sub(r"\((?:docs/)([\w-]+\.md)\)", r"(\1)", text)
    text = text.replace("(paper/figures/window.png)", "(figures/window.png)")
    text = text.replace("(CONTRIBUTING.md)", "(contributing.md)")
    return re.sub(r"(?<![\[`])`thm:([a-z-]+)`(?![`\]])", r"[`thm:\1`](theorems/\1.rst)", text)


def _tree(caption: str, names: list[str]) -> str:
    inside = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{inside}\n```\n"
