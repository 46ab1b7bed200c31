"""Check that each notebook's ``.ipynb`` is its ``.py``, stripped, byte for byte.

``python tests/pairs.py`` says which pairs differ and how to mend them (exit code 1);
``python tests/pairs.py --write`` makes every ``.ipynb`` anew from its ``.py``.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CONFIG = NOTEBOOKS.parent / "jupytext.toml"
MEND = "python tests/pairs.py --write"


def stripped(sources: list[Path]) -> dict[str, bytes]:
    """By stem, the notebooks that ``jupytext --to ipynb`` and ``nbstripout`` make of scripts."""
    if not sources:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        scripts = [shutil.copy(source, folder) for source in sources]
        shutil.copy(CONFIG, folder)
        convert = ["jupytext", "--quiet", "--to", "ipynb", *scripts]
        fresh = [Path(script).with_suffix(".ipynb") for script in scripts]
        for command in (convert, ["nbstripout", *map(str, fresh)]):
            subprocess.run([sys.executable, "-m", *command], check=True)
        return {path.stem: path.read_bytes() for path in fresh}


def differences(folder: Path = NOTEBOOKS) -> list[str]:
    """What is wrong with the pairs in a folder, a line each; empty where all agree."""
    sources, pairs = ({p.stem: p for p in folder.glob(f"*.{kind}")} for kind in ("py", "ipynb"))
    lines = [f"{pairs[stem]} has no .py source" for stem in sorted(pairs.keys() - sources.keys())]
    lines += [f"{sources[stem]} has no .ipynb" for stem in sorted(sources.keys() - pairs.keys())]
    both = sorted(sources.keys() & pairs.keys())
    wanted = stripped([sources[stem] for stem in both])
    differ = [pairs[stem] for stem in both if pairs[stem].read_bytes() != wanted[stem]]
    return lines + [f"{pair} is not what {pair.stem}.py makes" for pair in differ]


def main(arguments: list[str]) -> int:
    """Check, or write with ``--write``; the exit code."""
    if arguments == ["--write"]:
        for stem, content in stripped(sorted(NOTEBOOKS.glob("*.py"))).items():
            (NOTEBOOKS / f"{stem}.ipynb").write_bytes(content)
        return 0
    if arguments:
        sys.stderr.write(f"pairs: {' '.join(arguments)}: the one option is --write\n")
        return 2
    lines = differences()
    if lines:
        sys.stderr.write("\n".join([*lines, f"the .py is the source; mend with: {MEND}\n"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
