"""Adapters larger than memory pass through module by module: a slice of a 70B pair."""

import json
import os
import subprocess
import sys

import pytest
from large import pair

SIZES = {"width": 512, "inner": 1792, "keys": 64}
WORK = """
import sys
from loratheory.cli import app
one, two, out = sys.argv[1:]
for words in (["inspect", one], ["diagnose", one, two],
              ["merge", one, two, "--method", "sum", "--no-audit", "-o", out + "/sum"],
              ["merge", one, two, "--method", "svd", "--rank", "64", "-o", out + "/svd"]):
    app([*words, "--json", out + "/result.json"], standalone_mode=False)
# Not `ru_maxrss`, which begins with the peak of the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def used(folder, layers):
    """Peak memory of four commands in one process and the size of what they read, in MiB."""
    folder.mkdir()
    places = pair(folder, 64, layers=layers, **SIZES)
    size = sum(file.stat().st_size for place in places for file in place.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WORK, *places, folder],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((folder / "result.json").read_text())["written"] == 7 * layers
    return int(done.stdout.split()[-1]) / 1024, size / 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has VmHWM")
def test_memory_does_not_grow_with_the_number_of_layers(tmp_path):
    few, small = used(tmp_path / "few", 2)
    many, large = used(tmp_path / "many", 24)
    assert large - small > 50
    assert many - few < (large - small) / 4
