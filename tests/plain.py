"""An environment with the wheel and the core dependencies, as `pip install loratheory` makes it."""

import re
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

from loratheory.cli import app, data

ROOT = Path(__file__).parent.parent
COMMANDS = [
    [*group, command.callback.__name__.replace("_", "-")]
    for group, commands in (([], app), (["data"], data))
    for command in commands.registered_commands
]
"""The words of every command."""


def needed(lines):
    """The distributions that these requirements ask for and, in turn, all that those need."""
    waiting, found = list(_names(lines)), {}
    while waiting:
        key = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(key)
        except PackageNotFoundError:  # of another system, or built by hand
            continue
        waiting += _names(found[key].requires or ())
    return [*found.values()]


def _names(lines):
    """The names of what is required without extras."""
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def environment(folder):
    """Make the environment and return its `loratheory` command; nothing is downloaded.

    The core dependencies are links to those that are installed where this runs, so that it takes
    seconds; nothing else of that environment can be imported.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (own,) = distributions(name="loratheory", path=[str(packages)])
    for each in needed(own.requires):
        for top in {file.parts[0] for file in each.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(each.locate_file(top))))
    return folder / "env" / "bin" / "loratheory"
