"""Where a table comes from: code, machine, versions, configs and seeds."""

import ast
import hashlib
import json
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("loratheory", "numpy", "scipy", "torch", "transformers", "peft")


def environment(module: str) -> dict[str, Any]:
    """What a cell of this module ran on, as seen by the process that ran it.

    Parameters
    ----------
    module : str
        The experiment's.

    Returns
    -------
    dict
        `commit` of the checkout, if there is one; `code`, a digest of the source that its
        cells run; `device`; `versions` of Python and of the packages it may use.
    """
    return {
        "commit": commit(),
        "code": code(module),
        "device": _device(),
        "versions": dict(_versions()),
    }


@cache
def code(module: str) -> str:
    """A digest of the module's source and of all source of the package that it can import."""
    digest = hashlib.sha256()
    for name, file in sorted(_imported(module).items()):
        digest.update(f"{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _imported(module: str) -> dict[str, Path]:
    """The files of a module and of what it imports, early or late, down to the last."""
    own = getattr(sys.modules.get(module), "__file__", None)
    found, waiting = {}, {module: Path(own) if own else _file(module)}
    while waiting:
        name, file = waiting.popitem()
        if file is None or name in found:
            continue
        found[name] = file
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                waiting |= {each.name: _file(each.name) for each in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    inner = f"{node.module}.{each.name}"
                    taken = inner if _file(inner) else node.module
                    waiting[taken] = _file(taken)
    return found


def _file(module: str) -> Path | None:
    """Where a module of this package is, None for any other name."""
    package, *parts = module.split(".")
    place = Path(__file__).parents[2].joinpath(*parts)
    files = (place.with_suffix(".py"), place / "__init__.py") if package == "loratheory" else ()
    return next((file for file in files if file.is_file()), None)


@cache
def commit() -> str | None:
    """The commit of the code that ran, marked where files differ; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    here = Path(__file__).parent
    try:
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def _device() -> str:
    """The GPU where this process has used one, else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} {_processor()}".strip()


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Of what is installed, loaded or not: the same in all processes of one machine."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append((name, version(name)))
    return tuple(found)


@cache
def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def laid_out(told: dict[str, Any]) -> str:
    """JSON with a line for each key, and for each item of a list."""
    lines = []
    for key, value in told.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value)
            text = f"[\n{items}\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
