"""Standard streams of every kind, and signals: no traceback, nothing half said, nothing left."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from folders import folder

ROOT = Path(__file__).parents[2]
CODE = "from loratheory.cli import app; app()"
SHAPES = {f"model.layers.{layer}.q_proj": (12, 10, 2) for layer in range(3)}


def shell(line, cwd, **environment):
    """Run a line in which `lt` is the command."""
    command = f"{sys.executable} -c '{CODE}'"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", line.replace("lt ", f"{command} ")],
        cwd=cwd,
        env=environment,
        capture_output=True,
    )


@pytest.fixture
def pair(tmp_path):
    for number, name in enumerate(("één", "two")):
        folder(tmp_path / name, SHAPES, seed=number)
    return tmp_path


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_any_encoding_says_all_of_it(pair, encoding):
    done = shell("lt inspect één", pair, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert (r"\xe9\xe9n" if encoding == "ascii" else "één") in text
    assert ("σ₁" if encoding == "utf-8" else "sigma1") in text
    assert "?" not in text


def test_json_is_json_in_any_encoding(pair):
    printed = shell("lt inspect één --json -", pair, PYTHONIOENCODING="ascii")
    assert json.loads(printed.stdout)[0]["folder"] == "één"


def test_a_name_that_is_no_text_can_be_shown(pair):
    odd = os.fsdecode(b"odd\xff")
    try:
        shutil.copytree(pair / "two", pair / odd)
    except OSError:
        pytest.skip("this file system wants text")
    done = shell("lt inspect odd* --json out.json", pair, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"odd\udcff" in done.stdout
    assert json.loads((pair / "out.json").read_text())[0]["folder"] == odd


def test_a_closed_standard_output_is_no_crash(pair):
    done = shell("lt merge één two -o merged >&-", pair)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (pair / "merged" / "adapter_model.safetensors").exists()
    done = shell("lt inspect two --json - >&-", pair)
    assert done.returncode == 2
    assert b"--json -: standard output is closed" in done.stderr
    assert shell("lt inspect two --json out.json >&- 2>&- <&-", pair).returncode == 0
    assert json.loads((pair / "out.json").read_text())


def test_a_reader_that_leaves_ends_it_quietly(pair):
    for line in ("lt theorems", "lt theorems --json -", "lt --help"):
        done = shell(f"{line} | true; exit ${{PIPESTATUS[0]}}", pair)
        assert (done.returncode in (0, 1), done.stderr) == (True, b""), line


def test_a_full_disk_behind_standard_output_is_named(pair):
    try:
        os.mknod(pair / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
        (pair / "full").open("wb").close()
    except OSError:
        pytest.skip("this user or file system may not make device nodes")
    for line in ("lt inspect two", "lt theorems --json -", "lt --help"):
        done = shell(f"{line} > full", pair)
        assert done.returncode == 2, line
        assert done.stderr.endswith(b"a temporary file): No space left on device\n")
        assert done.stderr.count(b"\n") == 1


def test_json_goes_through_a_pipe_of_the_shell(pair):
    done = shell("lt inspect two --json >(cat > copy.json); sleep .2", pair)
    assert (done.returncode, done.stderr) == (0, b"")
    for _ in range(600):  # `cat` may end after the shell
        if (pair / "copy.json").stat().st_size:
            break
        time.sleep(0.1)
    assert json.loads((pair / "copy.json").read_text())[0]["folder"] == "two"


def test_a_log_holds_no_progress_bar(pair):
    assert shell("lt merge één two -o merged", pair).stderr == b""


@pytest.mark.parametrize("date", ["x", "", "-1", "9" * 12])
def test_a_date_that_is_none_is_refused_before_numpy_meets_it(pair, date):
    done = shell("lt methods", pair, SOURCE_DATE_EPOCH=date)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(f"loratheory: SOURCE_DATE_EPOCH is '{date}': set it".encode())
    assert done.stderr.count(b"\n") == 1


def test_a_python_without_docstrings_is_refused(pair):
    done = shell("lt methods", pair, PYTHONOPTIMIZE="2")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"loratheory: Python runs with -OO")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_nothing_behind(pair, name):
    """The disk is as slow as can be, so that the signal comes while the draft is there."""
    slow = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # nohup has it ignored
        f"os.fsync = lambda _: time.sleep(3600)\n{CODE}"
    )
    command = [sys.executable, "-c", slow, "merge", "één", "two", "-o", "merged"]
    before = sorted(pair.iterdir())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=pair, env=environment, stdout=-1, stderr=-1) as process:
        while not any(pair.glob(".merged*")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate()
    assert process.returncode == 128 + getattr(signal, name)
    assert err.decode() == f"loratheory: ended by {name}\n"
    assert sorted(pair.iterdir()) == before


def test_a_signal_that_is_ignored_stays_so(pair):
    done = shell("trap '' HUP; lt inspect two --json out.json", pair)
    assert done.returncode == 0
    code = (
        "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        f"os.fsync = lambda _: os.kill(os.getpid(), signal.SIGHUP)\n{CODE}"
    )
    words = [sys.executable, "-c", code, "inspect", "two", "--json", "out.json"]
    assert subprocess.run(words, cwd=pair, stdout=-1, check=True).returncode == 0
