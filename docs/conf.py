"""Sphinx settings. `make site` copies the pages as they lie, so that links work in both places."""

import re
from importlib import import_module
from importlib.metadata import version as installed
from importlib.resources import files
from pathlib import Path
from textwrap import indent

import jaxtyping  # noqa: F401  imported first, so that signatures keep their shapes
from docutils import nodes
from sphinx.addnodes import pending_xref

project = "loratheory"
author = "the loratheory contributors"
copyright = author  # noqa: A001  Sphinx's own name
release = version = installed("loratheory")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/how-to/*", "docs/reference/*", "docs/generated/*"]
include_patterns += ["notebooks/*.ipynb"]
default_role = "code"
napoleon_google_docstring = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
nb_execution_mode = "off"  # `make site` has the notebooks executed: -D nb_execution_mode=cache
nb_execution_timeout = 600
nb_execution_raise_on_error = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]

html_theme = "furo"
html_title = "loratheory"
html_show_sphinx = False
html_copy_source = False
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("two_hops.js", {"defer": "defer"})]  # fills elements of the class two-hops
mathjax_path = "mathjax/tex-svg-full.js"  # in the site itself: pages are read without a network
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}

WITNESS = "**Witness.** A case to check by hand, and a witness that reaches the value below."
LABEL = re.compile(r"thm:([a-z0-9-]+)")
API = ("loratheory.lowrank", "loratheory.adapters", "loratheory.toy", "loratheory.tasks")
API += ("loratheory.theorems", "loratheory.diagnosis", "loratheory.pretrained", "loratheory")


def write_generated_pages(app):
    """Write results by study, theorems by chapter, the commands and the Python names."""
    folder = Path(app.srcdir) / "docs" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {**result_pages(), **theorem_pages()}
    pages |= {"commands.md": command_page(), "api.rst": api_page()}
    for name, text in pages.items():
        file = folder / name
        # An unchanged page keeps its time stamp, or Sphinx would build it again.
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def result_pages():
    """Return a page for each study: its results with the numbers looked up, and its figure."""
    from paper.numbers import STUDIES, results

    pages = {}
    for file in sorted(STUDIES.glob("*/results.md")):
        study = file.parent.name
        summary, *sections = results(study).items()
        parts = [file.read_text(encoding="utf-8").partition("\n")[0], summary[1]]
        for name, body in sections:
            # The section's first words in bold say more than the name of a part of the table.
            bold = re.match(r"\*\*(.+?)\.?\*\*\s*", body)
            title, rest = (bold[1], body[bold.end() :]) if bold else (name, body)
            parts.append(f"({name})=\n## {title}\n\n{rest}")
        if "figure.svg" not in " ".join(parts):
            parts.append("![Figure of this study](figure.svg)")
        parts.append("[What was predicted](prediction.md), written before the runs.\n")
        # Links are relative to the study's folder, whose other texts are no pages here.
        text = re.sub(r"(?<!!)\[([^]]+)\]\((\w+\.md)\)", r"{download}`\1 <\2>`", "\n\n".join(parts))
        place = f"../../paper/studies/{study}/"
        pages[f"results_{study}.md"] = re.sub(r"(\]\(|<)(?=\w+(?:\.\w+)+[)>])", rf"\1{place}", text)
    return pages


def theorem_pages():
    """Return a page for each chapter: the modules' own docstrings, and the stored witnesses."""
    from loratheory.theorems import CHAPTERS, list_witnesses, theorem

    pages, stored = {}, list_witnesses()
    for chapter, modules in CHAPTERS.items():
        text = heading(chapter.capitalize(), "=")
        for label in " ".join(modules.values()).split():
            title, _, body = theorem(label).document.strip().partition("\n\n")
            # A section within an entry would close it, and bars would look up a name.
            body = re.sub(r"^References\n-+$", ".. rubric:: References\n", body, flags=re.MULTILINE)
            body = "\n".join(escape_bars(line) for line in body.splitlines())
            title = " ".join(title.split()).rstrip(".")
            text += f".. _thm:{label}:\n\n{heading(title, '-')}{body}\n\n"
            if witness := stored.get(f"thm:{label}"):
                code = indent(witness, "   ")
                text += f"{WITNESS}\n\n.. code-block:: toml\n\n{code}\n\n"
        pages[f"theorems_{chapter}.rst"] = text
    return pages


def command_page():
    """Return the commands with their options, as typer describes them."""
    import typer
    from typer.cli import get_docs_for_click

    from loratheory.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="loratheory")
    return get_docs_for_click(obj=command, ctx=context, name="loratheory")


def api_page():
    """Return the public names of each package, described by their docstrings."""
    text, described = heading("Python names", "="), set()
    for name in API:
        module, own = import_module(name), {}
        for one, value in sorted(vars(module).items()):
            home = getattr(value, "__module__", None) or ""
            public = callable(value) and home.startswith("loratheory") and one[0] != "_"
            # A name that two packages hand out is described once, in the package that has it.
            if public and id(value) not in described:
                described.add(id(value))
                own[one] = "autoclass" if isinstance(value, type) else "autofunction"
        text += heading(name, "-") + f".. automodule:: {name}\n\n.. currentmodule:: {name}\n\n"
        text += ".. autosummary::\n   :nosignatures:\n\n"
        text += "".join(f"   {one}\n" for one in own) + "\n"
        for one, kind in own.items():
            text += f".. {kind}:: {one}\n" + "   :members:\n" * (kind == "autoclass") + "\n"
    return text


def heading(text, line):
    """Return a heading in reStructuredText."""
    text = text.replace("`", "")
    return f"{text}\n{line * len(text)}\n\n"


def escape_bars(line):
    """Return a line in which bars outside formulas are absolute values and nothing else."""
    # Indented lines are displayed formulas or code.
    formula = line.startswith(" ") or ":math:" in line or "`" in line
    return line if formula else line.replace("|", r"\|")


def link_theorem_labels(_app, page):
    """Turn ``thm:label``, written as code on any page, into a link to the theorem."""
    for literal in list(page.findall(nodes.literal)):
        # Longer code that only contains a label stays code.
        found = LABEL.fullmatch(literal.astext())
        if found and not isinstance(literal.parent, nodes.reference | pending_xref):
            options = {"refdomain": "std", "reftype": "ref", "reftarget": found[0]}
            options |= {"refexplicit": True, "refwarn": True}
            literal.replace_self(pending_xref("", literal.deepcopy(), **options))


def copy_mathjax(app, error):
    """Copy MathJax into the site once it is built."""
    if error is None:
        target = Path(app.outdir) / "_static" / mathjax_path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = files("mathjax") / "static" / "mathjax" / "es5" / target.name
        target.write_bytes(source.read_bytes())


def setup(app):
    """Connect the functions above."""
    app.connect("builder-inited", write_generated_pages)
    app.connect("doctree-read", link_theorem_labels)
    app.connect("build-finished", copy_mathjax)
