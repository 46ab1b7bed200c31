"""Count the code and hold it against the budgets in pyproject.toml, so that new code makes room.

``python tests/budget.py`` prints what is counted beside its budget; exit code 1 if one is exceeded.
Code is counted by the syntax tree, without docstrings, comments and blank lines.
"""

import ast
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, *FUNCTIONS)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            docstrings |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = set()
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#") and number not in docstrings:
            lines.add(number)
    return lines


def measure(root: Path) -> dict[str, float]:
    """Return what the budgets limit, by the names that they have in pyproject.toml."""
    package = sorted((root / "loratheory").rglob("*.py"))
    beside = [*(root / "paper").rglob("*.py"), *(root / "docs").rglob("*.py")]
    functions = comprehensions = longest = comments = 0
    for file in package:
        source = file.read_text(encoding="utf-8")
        comments += sum(line.strip().startswith("# ") for line in source.splitlines())
        lines = code_lines(source)
        for node in ast.walk(ast.parse(source)):
            comprehensions += isinstance(node, COMPREHENSIONS)
            if isinstance(node, FUNCTIONS):
                functions += 1
                inside = range(node.lineno, (node.end_lineno or 0) + 1)
                longest = max(longest, len(lines.intersection(inside)))
    code = sum(len(code_lines(file.read_text(encoding="utf-8"))) for file in package)
    return {
        "package_code": code,
        "package_files": len(package),
        "paper_and_docs_code": sum(len(code_lines(f.read_text(encoding="utf-8"))) for f in beside),
        "test_lines": sum(
            len(file.read_text(encoding="utf-8").splitlines())
            for file in (root / "tests").rglob("*.py")
        ),
        "longest_function": longest,
        "comprehensions_per_100_functions": round(100 * comprehensions / functions, 1),
        "comments_per_100_code_lines": round(100 * comments / code, 1),
    }


def main() -> int:
    """Print each count beside its budget; the exit code says whether one is exceeded."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    budget, exceeded = settings["tool"]["loratheory"]["budget"], 0
    for name, count in measure(ROOT).items():
        limit = budget.get(name)
        over = limit is not None and count > limit
        exceeded += over
        beside = "no budget" if limit is None else f"budget {limit:,}"
        sys.stdout.write(f"{name:33} {count:>8,}   {beside}{'   EXCEEDED' * over}\n")
    if exceeded:
        sys.stderr.write("make room, or raise a budget with a line in CHANGELOG.md that says why\n")
    return int(exceeded > 0)


if __name__ == "__main__":
    sys.exit(main())
