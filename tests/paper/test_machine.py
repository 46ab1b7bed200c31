"""What provenance tells of a machine: processor, instruction sets and threads."""

import json
import os
import platform
import subprocess
import sys

import pytest

from paper.studies._shared import machine as described_by
from paper.studies._shared.machine import FLAGS, machine

INTEL = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu sse2 amx_bf16 avx2 avx512f amx_tile avx512_bf16
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU part\t: 0xd40\n"


@pytest.fixture
def described(tmp_path, monkeypatch):
    """Have the processor be one that this text describes; None for a system that has no text."""

    def _describe(text):
        file = tmp_path / "cpuinfo"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(described_by, "CPUINFO", file)
        described_by._processor.cache_clear()
        return machine()

    yield _describe
    described_by._processor.cache_clear()


def test_flags_are_those_that_decide_rounding(described):
    found = described(INTEL)
    assert found["flags"] == ["avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"]
    assert found["device"] == f"{platform.machine()} Intel(R) Xeon(R) Platinum 8481C"
    assert described(ARM)["flags"] == ["asimd", "sve", "bf16"]
    unknown = described(None)
    assert unknown["flags"] == []
    assert unknown["device"].startswith(platform.machine())


def test_flags_are_this_processors():
    found = machine()
    assert set(found["flags"]) <= set(FLAGS)
    assert json.loads(json.dumps(found)) == found
    if platform.machine() == "x86_64" and sys.platform == "linux":
        assert "avx" in found["flags"]  # no wheel of NumPy 2 runs on less


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_that_operations_use(threads):
    """Of a process without PyTorch by what was asked for; of one with it by what it answers."""
    read = "from paper.studies._shared.machine import machine; print(machine()['threads'])"
    asked = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    set_later = f"import torch; torch.set_num_threads({threads + 1}); {read}"
    for code, count in ((read, threads), (set_later, threads + 1)):
        done = subprocess.run(
            [sys.executable, "-c", code], env=asked, capture_output=True, text=True
        )
        assert done.stdout.split() == [str(count)], done.stderr


def test_kernels_are_named_where_pytorch_is_imported():
    torch = pytest.importorskip("torch")
    assert machine()["kernels"] == torch.backends.cpu.get_cpu_capability()
    code = "from paper.studies._shared.machine import machine; print(machine()['kernels'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
