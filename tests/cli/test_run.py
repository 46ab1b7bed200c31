"""run, experiments and figure: what they write, and thirty kills."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import toy_sweep

from loratheory import figures
from loratheory.experiments import NAMES, csv_text

TESTS = Path(__file__).parents[1]
FAST = ("merge_floor", "two_read_region", "window")


def command(*words, **environment):
    """The arguments and environment of a real process with the tests' modules at hand."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from loratheory.cli import app; app()"
    )
    path = f"{TESTS.parent}{os.pathsep}{TESTS}"
    variables = {**os.environ, "PYTHONPATH": path, "COLUMNS": "100", **environment}
    return [sys.executable, "-c", code, *map(str, words)], variables


def expected(sweep, profile="quick"):
    return csv_text([row for c in sweep.profiles[profile] for row in sweep.cell(c)]).encode()


def test_a_run_writes_table_and_provenance_and_says_where(run):
    code, out, err = run("run", "toy_sweep:EXPERIMENT", "--workers", 2, "--json", "entries.json")
    folder = Path("results/toy_sweep")
    assert code == 0
    assert "results/toy_sweep/table.csv" in out
    assert not err, "a bar has no place in a log"
    assert (folder / "table.csv").read_bytes() == expected(toy_sweep.EXPERIMENT)
    (entry,) = json.loads(Path("entries.json").read_text())
    provenance = json.loads((folder / "provenance.json").read_text())
    assert entry == {
        "experiment": "toy_sweep",
        "profile": "quick",
        "cells": 6,
        "rows": 12,
        "seconds": provenance["seconds"],
        "table": "results/toy_sweep/table.csv",
    }


def test_a_table_is_compared_with_the_stored_one(run, monkeypatch):
    run("run", "toy_sweep:SEEDED", "--profile", "paper", "-o", "paper")
    words = ("run", "toy_sweep:SEEDED", "--against", "paper", "--json", "entries.json")
    code, out, err = run(*words, "-o", "same")
    assert (code, "OUTSIDE" in err) == (0, False)
    assert "outside" in out
    (entry,) = json.loads(Path("entries.json").read_text())
    assert (entry["means"], entry["outside"]) == (1, [])
    monkeypatch.setenv("TOY_SWEEP_SHIFT", "5")
    code, _, err = run(*words, "-o", "other")
    assert code == 1
    assert "OUTSIDE   toy_sweep: mean: two_hop is 5.05, stored 0.15" in err
    assert len(json.loads(Path("entries.json").read_text())[0]["outside"]) == 1
    monkeypatch.delenv("TOY_SWEEP_SHIFT")
    Path("empty").mkdir()
    code, _, _ = run("run", "toy_sweep:SEEDED", "--against", "empty", "--json", "entries.json")
    assert (code, json.loads(Path("entries.json").read_text())[0]["means"]) == (0, 0)


def test_a_setting_that_the_paper_lacks_is_compared_with_the_small_table(run, monkeypatch):
    words = ("run", "toy_sweep:SIZED", "--against", "paper", "--json", "entries.json")
    for profile, folder, means in (("paper", "paper", 0), ("small", "paper/small", 1)):
        run("run", "toy_sweep:SIZED", "--profile", profile, "-o", folder)
        code, _, _ = run(*words, "-o", f"beside-{profile}")
        (entry,) = json.loads(Path("entries.json").read_text())
        assert (code, entry["means"], entry["outside"]) == (0, means, [])
    monkeypatch.setenv("TOY_SWEEP_SHIFT", "1")  # what the paper's size has
    code, _, err = run(*words, "-o", "other")
    assert code == 1
    assert "OUTSIDE   toy_sweep: sum: stepwise is 2.00, stored 1.03" in err


def test_numbers_of_workers_and_profiles_give_the_bytes_they_should(run):
    for workers in (1, 3):
        words = ("--workers", workers, "-o", f"o{workers}", "--json", "-", "--profile", "paper")
        code, out, _ = run("run", "toy_sweep:EXPERIMENT", *words)
        assert code == 0
        assert json.loads(out)[0]["cells"] == 7
        made = Path(f"o{workers}/toy_sweep/table.csv").read_bytes()
        assert made == expected(toy_sweep.EXPERIMENT, "paper")


def test_resume_is_asked_for_where_something_is_and_fine_everywhere_else(run):
    assert run("run", "window", "--resume")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*")}
    code, _, err = run("run", "window")
    assert code == 2
    assert "results/window holds a finished table: go on with --resume" in err
    code, out, err = run("run", "window", "--resume")
    assert code == 0
    assert "finished already: results/window" in err
    assert "results/window/table.csv" in out
    assert {path: path.stat().st_mtime_ns for path in Path("results").rglob("*")} == before


def test_a_cell_that_raises_is_named_the_others_stay_and_exit_is_one(run):
    code, out, err = run("run", "toy_sweep:BAD", "--workers", 1)
    assert (code, out) == (1, "")
    assert "1 failed; what was finished is kept: go on with --resume" in err
    assert "toy_sweep, Config(number=1" in err
    assert "RuntimeError: number 1 is not wanted" in err
    assert "Traceback" not in err
    assert len(list(Path("results/toy_sweep/cells").glob("*.json"))) == 2
    code, _, err = run("run", "toy_sweep:BAD", "--workers", 1)
    assert code == 2
    assert "2 finished cells" in err
    assert run("run", "toy_sweep:BAD", "--workers", 1, "--resume")[0] == 1


def test_a_worker_that_is_killed_ends_it_with_the_remedy(run):
    code, out, err = run("run", "toy_sweep:DEADLY", "--workers", 2)
    assert (code, out) == (1, "")
    assert "a worker process died (killed, or out of memory)" in err
    assert "go on with --resume" in err
    assert list(Path("results/toy_sweep/cells").glob("*.json"))


def test_all_is_every_experiment_that_needs_no_language_model(run, monkeypatch):
    monkeypatch.setattr("loratheory.experiments.NAMES", (*FAST, "real_nothing"))
    code, out, err = run("run", "all", "-o", "deep/er", "--json", "-")
    assert code == 0
    assert [entry["experiment"] for entry in json.loads(out)] == list(FAST)
    assert not err
    for name in FAST:
        stored = TESTS.parent / "paper" / "results" / name / "table.csv"
        assert Path(f"deep/er/{name}/table.csv").read_bytes() == stored.read_bytes()
    shutil.rmtree("deep/er/window")
    code, _, err = run("run", "all", "-o", "deep/er")
    assert code == 2
    assert not Path("deep/er/window").exists()


def test_real_is_the_others(run, monkeypatch):
    monkeypatch.setattr("loratheory.experiments.NAMES", FAST)
    monkeypatch.setattr("loratheory.cli._run.REAL", "wind")
    code, out, err = run("run", "real", "--json", "-")
    assert code == 0, err
    assert [entry["experiment"] for entry in json.loads(out)] == ["window"]


def test_small_transformers_ask_for_pytorch_before_any_work(run, monkeypatch):
    monkeypatch.setattr("loratheory.cli._output.find_spec", lambda _: None)
    code, _, err = run("run", "gating", "-o", "out")
    assert code == 2
    assert "pip install 'loratheory[torch]'" in " ".join(err.split())
    assert not list(Path().glob("out/*"))


def test_control_c_keeps_what_was_finished_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, variables = command("run", "toy_sweep:KILLED", "--workers", 1, "-o", "out")
    with subprocess.Popen(words, env=variables, stderr=subprocess.PIPE, text=True) as process:
        cells = Path("out/toy_sweep/cells")
        while not list(cells.glob("*.json")):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted; what was finished is kept: go on with --resume" in err
    assert "Traceback" not in err


FORKS = """
import os, sys
import loratheory.experiments, rich.table, toy_sweep, tqdm.auto
from loratheory.cli import app
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        app(line.split())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs the command again and again, without the time its imports take."""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs fork and kill -9")
def test_thirty_kills_lose_no_finished_cell_and_change_no_byte(tmp_path, monkeypatch):
    """Killed at a random moment, gone on with, killed again; a whole table starts a new round."""
    monkeypatch.chdir(tmp_path)
    folder, log = Path("results/toy_sweep"), tmp_path / "log"
    draw, kills, rounds, caught = random.Random(0), 0, 0, []
    finished, pids = set(), set()
    options = {"env": command(TOY_SWEEP_LOG=str(log))[1], "text": True}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        (tmp_path / "err").open("w") as err,
        subprocess.Popen([sys.executable, "-c", FORKS], stderr=err, **pipes, **options) as forks,
    ):
        while kills < 30 or rounds < 3:  # on a busy machine kills often come before a cell's end
            assert kills < 1000
            log.write_text("")
            workers = draw.choice((1, 2))
            forks.stdin.write(f"run toy_sweep:KILLED --workers {workers} --resume\n")
            forks.stdin.flush()
            child = int(forks.stdout.readline())
            if len(finished) < 12:  # else let it come to its end
                begun, end = draw.randint(0, 12 - len(finished)), time.monotonic() + 20
                while _begun(log) < begun and time.monotonic() < end:
                    time.sleep(0.002)
                time.sleep(draw.uniform(0, 0.05))
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            code = int(forks.stdout.readline())
            assert code in (0, -9), (tmp_path / "err").read_text()
            kills += code != 0
            lines = [line.split() for line in log.read_text().splitlines()]
            pids |= {int(pid) for pid, _ in lines}
            assert not finished & {int(number) for _, number in lines}, "a cell was run again"
            cells = [json.loads(file.read_text()) for file in folder.glob("cells/*.json")]
            found = {cell["rows"][0]["number"] for cell in cells}
            tabled = (folder / "table.csv").exists()
            assert tabled or finished <= found, "a finished cell was lost"
            finished = set(range(12)) if tabled else found
            caught.append(len(found))
            if tabled:
                assert (folder / "table.csv").read_bytes() == expected(toy_sweep.KILLED)
            if code == 0:
                assert sorted(p.name for p in folder.iterdir()) == ["provenance.json", "table.csv"]
                shutil.rmtree(folder)
                rounds, finished = rounds + 1, set()
        forks.stdin.close()
    assert len(set(caught)) > 4, "the kills did not come in the middle of things"
    assert all(_ended(pid) for pid in pids)


def _begun(log):
    return len(log.read_text().splitlines())


def _ended(pid):
    """Whether a process is no more, waiting a little."""
    for _ in range(12000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_language_model_is_chosen_for_the_experiments_of_one(run, monkeypatch):
    seen = []

    def _seen(chosen, profile, *_, **__):
        seen.append(chosen.profiles[profile])
        raise KeyboardInterrupt

    monkeypatch.setattr("loratheory.experiments.planned", _seen)
    with suppress(KeyboardInterrupt):
        run("run", "real_two_hop", "--model", "some/model", "--device", "cuda")
    [(config,)] = seen
    assert (config.model, config.device, config.seed) == ("some/model", "cuda", 0)
    with suppress(KeyboardInterrupt):
        run("run", "real_two_hop", "--profile", "paper", "--model", "other")
    assert {(config.model, config.device) for config in seen[1]} == {("other", "cpu")}


def test_a_cell_that_went_to_another_worker_is_named(capsys, tmp_path):
    from loratheory.cli._run import _swept
    from loratheory.experiments import planned, prepared

    class Loses(ThreadPoolExecutor):
        """Loses the first thing that it is given."""

        lost = False

        def submit(self, fn, /, *args, **kwargs):
            future = super().submit((lambda *_: "gone") if not self.lost else fn, *args, **kwargs)
            self.lost = True
            return future

    plan = planned(toy_sweep.EXPERIMENT, "quick", tmp_path)
    prepared(plan)
    with Loses(1) as executor:
        _swept([plan], executor, False)
    assert "Config(number=0" in (err := capsys.readouterr().err)
    assert "given to another worker (the executor returned 'gone')" in err


def test_experiments_are_listed_and_shown_in_full(run):
    entries = json.loads(run("experiments", "--json", "-")[1])
    assert [entry["name"] for entry in entries] == list(NAMES)
    for entry in entries:
        assert entry["question"].endswith("?")
        assert all(entry[title] for title in ("prediction", "chance", "controls"))
        assert {*entry["minutes"]} == {*entry["cells"]} >= {"quick", "paper"}
    assert all(name in run("experiments")[1] for name in NAMES)
    out = run("experiments", "window")[1]
    assert "golden ratio" in out
    assert "1 cell Config(size=32" in out
    assert "merge_floor" not in out
    assert "6 cells, the first is Config(number=0" in run("experiments", "toy_sweep:EXPERIMENT")[1]


def test_figures_go_to_their_usual_places_and_are_the_same_each_time(run, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"window": figures.FIGURES["window"]})
    monkeypatch.setattr(figures, "SCHEMATICS", {})
    assert run("figure", "window")[1:] == ("", "drawn: window.pdf\n")
    assert run("figure", "all")[2] == "drawn: figures/window.pdf\n"
    Path("paper").mkdir()
    Path("paper/results").symlink_to(TESTS.parent / "paper" / "results")
    assert run("figure", "all")[2] == "drawn: paper/figures/window.pdf\n"
    assert run("figure", "all", "-o", "b/c")[0] == 0
    made = ("window.pdf", "figures/window.pdf", "paper/figures/window.pdf", "b/c/window.pdf")
    assert len({Path(file).read_bytes() for file in made}) == 1


def test_a_schematic_needs_no_table(run):
    assert run("figure", "old-facts", "-o", "cases.svg")[2] == "drawn: cases.svg\n"
    assert "currentColor" in Path("cases.svg").read_text(encoding="utf-8")


def test_hyphens_and_another_table_are_fine(run):
    rows = (TESTS.parent / "paper/results/merge_floor/table.csv").read_text().splitlines()
    Path("mine.csv").write_text("\n".join(rows[:22]))
    assert run("figure", "merge-floor", "--table", "mine.csv", "-o", "mine.png")[0] == 0
    assert run("figure", "merge_floor", "-o", "all.png")[0] == 0
    assert Path("mine.png").read_bytes() != Path("all.png").read_bytes()
