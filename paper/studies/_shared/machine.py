"""The machine on which a cell ran, as far as it decides how numbers are rounded."""

import os
import platform
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
    *("neon", "asimd", "asimdhp", "sve", "sve2", "bf16", "i8mm"),
)
"""The instruction sets by which libraries choose their kernels, as Linux names them."""
CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Return the device, its instruction sets, and the thread count of this process.

    Returns
    -------
    dict
        ``device`` is the GPU if PyTorch uses one, else the processor; ``flags`` those of `FLAGS`
        that the processor has, in that order; ``threads`` how many threads PyTorch uses within an
        operation or, where it is not imported, how many a library may start. ``kernels`` names the
        instruction set for which PyTorch chose its kernels; it is empty without PyTorch. A training
        that differs in any of these rounds otherwise and ends in other weights.
    """
    torch = sys.modules.get("torch")
    name, flags = _processor()
    found = {"device": name, "flags": list(flags), "threads": _usable_threads(), "kernels": ""}
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        found["kernels"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_initialized():
            found["device"] = str(torch.cuda.get_device_name())
    return found


@cache
def _processor() -> tuple[str, tuple[str, ...]]:
    """The processor's architecture and name, and those of `FLAGS` that it has."""
    about = CPUINFO.read_text() if CPUINFO.is_file() else ""
    names = re.findall(r"model name\s*: (.*)", about)
    # x86 calls the line "flags", ARM "Features"; all cores of a machine have the same.
    listed = re.search(r"^(?:flags|Features)\s*: (.*)", about, re.MULTILINE)
    has = set(listed[1].split()) if listed else set()
    name = f"{platform.machine()} {names[0] if names else platform.processor()}".strip()
    return name, tuple(flag for flag in FLAGS if flag in has)


def _usable_threads() -> int:
    """How many threads a numerical library starts by default in this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
