"""The lock has a release of every dependency that `pyproject.toml` names, within its bounds."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_locked_within_its_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        named += extra
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {}
    for line in lines:
        if not line.lstrip().startswith("#"):
            pin = Requirement(line)
            locked[_normal(pin.name)] = str(pin.specifier).removeprefix("==")
    for dependency in map(Requirement, named):
        if dependency.name != project["name"]:  # an extra that names other extras
            assert dependency.specifier.contains(locked[_normal(dependency.name)]), dependency


def _normal(name):
    return name.lower().replace("_", "-")
