"""Sphinx settings; the pages are written by ``docs/website`` (``make site``)."""

import re
from importlib.metadata import version as installed
from importlib.resources import files
from pathlib import Path

import jaxtyping  # noqa: F401  imported first, so that signatures keep their shapes
from docutils import nodes
from sphinx import addnodes

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
default_role = "code"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
nb_execution_mode = "off"
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]

copybutton_exclude = ".linenos, .gp, .go"  # what is copied can be run: no prompt, no output

html_theme = "furo"
html_title = "loratheory"
html_show_sphinx = False
html_copy_source = False
HERE = Path(__file__).parent
html_favicon = str(HERE / "_static" / "icon.svg")
html_search_scorer = str(HERE / "_static" / "scorer.js")
html_static_path = [str(HERE / "_static")]
html_css_files = ["site.css"]
mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = {"svg": {"fontCache": "global"}, "options": {"enableMenu": False}}

NO_SPACE = "\u200b"
SEVERAL = re.compile(r"^:(ivar|vartype) \w+(, \w+)+:")
THEOREM = re.compile(r"`{1,2}thm:([a-z-]+)`{1,2}")


def _labels_become_links(_app, what, _name, _value, _options, lines):
    lines[:] = [THEOREM.sub(r":doc:`thm:\1 </theorems/\1>`", line) for line in lines]
    if what in ("attribute", "property") and lines:  # or what follows a colon is taken for a type
        lines[0] = lines[0].replace(": ", " – ")


def _as_one_reads_it(_app, _what, _name, _value, _options, signature, returned):
    return tuple(text and _readable(text) for text in (signature, returned))


def _readable(text):
    """Arrays keep their name; private fields go; defaults are such that Sphinx can parse them."""
    text = re.sub(r"\[(~typing\.)?Any, ", "[Array, ", text)
    text = re.sub(r", _\w+: [^=]+ = <factory>", "", text)
    return re.sub(r"<(factory|function \w+)>", "...", text)


def _several_names_stay_names(_app, _what, _name, _value, _options, lines):
    """Of ``:ivar one, two:`` docutils would take what stands before a space for a type."""
    lines[:] = [
        SEVERAL.sub(lambda found: found[0].replace(", ", f",{NO_SPACE}"), line) for line in lines
    ]


def _with_their_spaces(_app, page):
    for name in page.findall(addnodes.literal_strong):
        for text in list(name.findall(nodes.Text)):
            name.replace(text, nodes.Text(text.replace(NO_SPACE, " ")))


def _fields_without_words(_app, _what, _name, value, skip, _options):
    return True if (getattr(value, "__doc__", "") or "").startswith("Alias for field") else skip


def _with_mathjax(app, error):
    if error is None:
        name = "tex-svg-full.js"
        target = Path(app.outdir) / "_static" / "mathjax"
        target.mkdir(parents=True, exist_ok=True)
        source = Path(str(files("mathjax"))) / "static" / "mathjax" / "es5" / name
        (target / name).write_bytes(source.read_bytes())


def setup(app):
    """Connect them."""
    app.connect("autodoc-process-docstring", _labels_become_links, priority=400)
    app.connect("autodoc-process-docstring", _several_names_stay_names, priority=600)
    app.connect("doctree-read", _with_their_spaces)
    app.connect("autodoc-process-signature", _as_one_reads_it)
    app.connect("autodoc-skip-member", _fields_without_words)
    app.connect("build-finished", _with_mathjax)
