"""Every public name is described, and once."""

import re
import runpy
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from website import reference
from website.reference import PACKAGES, package_page, public_names

from loratheory import lowrank

SETTINGS = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "conf.py"))


def test_classes_functions_and_values_are_what_they_are():
    text = package_page("lowrank")
    assert ".. autosummary::\n   :nosignatures:\n\n   Grams\n   LowRank\n" in text
    assert "\n   total\n" in text
    assert ".. autoclass:: LowRank\n" in text
    assert ".. autofunction:: total\n" in text
    assert "* ``EPS``: float" in text
    for name in public_names(lowrank):
        assert re.search(rf"(:: |``){name}\b", text)


def test_only_own_names_are_public():
    names = set(public_names(lowrank))
    assert "LowRank" in names
    assert not {name for name in names if name.startswith("_")}
    modules = {"Path", "dataclass", "Any", "partial", "Callable", "import_module"}
    assert not modules & {name for p in PACKAGES for name in _names(p)}


def _names(package):
    return re.findall(r"auto\w+:: (\w+)|``(\w+)``", reference()[f"reference/{package}.rst"])[0]


def test_what_two_packages_hand_out_is_described_once():
    pages = reference()
    described = re.findall(r"auto\w+:: (\w*Error)$", "\n".join(pages.values()), flags=re.MULTILINE)
    assert len(described) == len(set(described)) > 5
    assert "described in :doc:`experiments`" in pages["reference/figures.rst"]


def test_modules_are_no_names_and_the_index_lists_all():
    pages = reference()
    assert "merge_floor" not in pages["reference/theorems.rst"]
    for package in PACKAGES:
        assert f"   {package}\n" in pages["reference/index.rst"]
    told = ":doc:`loratheory.lowrank <lowrank>`\n   Low-rank matrices kept as factors: "
    assert told in pages["reference/index.rst"]


def test_signatures_show_what_a_caller_gives():
    """A default that is no Python would keep Sphinx from parsing, and the reader from reading."""
    readable = SETTINGS["_readable"]
    private = (
        "(names: ~m.Tuple[str], _sites: ~m.Map[str, ~m.Site] = <factory>, _all: list = <factory>)"
    )
    assert readable(private) == "(names: ~m.Tuple[str])"
    assert (
        readable("(a: ~m.Map = <factory>, b: f = <function _one>)")
        == "(a: ~m.Map = ..., b: f = ...)"
    )
    assert (
        readable("(x: ~jaxtyping.Float[Any, 'n']) -> int")
        == "(x: ~jaxtyping.Float[Array, 'n']) -> int"
    )


def test_attributes_described_together_keep_all_their_names():
    lines = [
        ":ivar one, two: Said of both, in turn.",
        ":vartype one, two: str",
        ":ivar one: a, b: c",
    ]
    SETTINGS["_several_names_stay_names"](*[None] * 5, lines)
    assert [line.split()[1] for line in lines] == ["one,\u200btwo:", "one,\u200btwo:", "one:"]
    page = nodes.paragraph()
    page += [addnodes.literal_strong("", "one"), addnodes.literal_strong("", ",\u200btwo")]
    SETTINGS["_with_their_spaces"](None, page)
    assert page.astext() == "one, two"
