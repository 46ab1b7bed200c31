"""Every public name is described, and once."""

import re

from loratheory import lowrank
from loratheory.site import reference
from loratheory.site._reference import PACKAGES, package_page, public_names

MUTANTS = [
    ('not name.startswith("_") and', ""),
    ("and _own(value)", ""),
    (".. autofunction::", ".. autoclass::"),
    ("described.setdefault(id(value), name) != name", "False"),
    ("not isinstance(value, ModuleType)", "True"),
    ("toctree(PACKAGES)", "toctree(PACKAGES[1:])"),
]


def test_classes_functions_and_values_are_what_they_are():
    text = package_page("lowrank")
    assert ".. autoclass:: LowRank\n" in text
    assert ".. autofunction:: rank\n" in text
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
