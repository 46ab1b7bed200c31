"""Against PEFT and LAPACK: ratios of CPU time on one thread, both sides in one run.

``make bench``. The stored numbers are in ``extra_info`` of the JSON that
``--benchmark-json FILE`` writes. No test asserts a time, only ratios, memory and start-up.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ALONE = os.environ | dict.fromkeys(THREADS, "1")
ALONE.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode


def fresh(name, side, size, repeats, folder="."):
    """Measure one side in a process of its own."""
    command = [sys.executable, HERE / "work.py", name, side, str(size), str(repeats), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ALONE)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def compared(benchmark, name, peer, size, repeats, peer_repeats, ours="ours", folder="."):
    """Both sides, the ratio of their CPU times and of their extra memory, kept as extra_info."""
    ours = benchmark.pedantic(fresh, args=(name, ours, size, repeats, folder), rounds=1)
    theirs = fresh(name, peer, size, peer_repeats, folder)
    ratio = {"cpu": theirs["cpu"] / ours["cpu"], "memory": theirs["mib"] / max(ours["mib"], 0.1)}
    benchmark.extra_info.update(ours=ours, theirs=theirs, ratio=ratio)
    sys.stdout.write(f"\n{name} {size}: {benchmark.extra_info}\n")
    return ours, ratio


def test_exact_merge_of_a_2048_layer(benchmark):
    _, ratio = compared(benchmark, "merge", "peft", 2048, repeats=50, peer_repeats=2)
    # Runs on two processors gave 932 to 1,283; the rest is room for load.
    assert ratio["cpu"] >= 800


def test_exact_merge_of_a_4096_layer(benchmark):
    ours, ratio = compared(benchmark, "merge", "peft", 4096, repeats=50, peer_repeats=1)
    assert ratio["cpu"] >= 4000  # runs gave 4,970 to 6,523
    assert ours["mib"] <= 10


@pytest.mark.parametrize(("peer", "least"), [("dense", 10), ("peft", 5)])
def test_ties_of_whole_updates_of_a_4096_layer(benchmark, peer, least):
    """Against the plainest way in float64, and PEFT's `ties_svd`, which works in float32."""
    ours, ratio = compared(benchmark, "ties", peer, 4096, repeats=1, peer_repeats=1)
    assert ratio["cpu"] >= least
    assert ours["mib"] <= 800


@pytest.mark.parametrize("side", ["diagnose", "merge"])
def test_a_layer_of_a_70b_model_against_the_factorisations_it_needs(benchmark, side, tmp_path):
    """From folders to the last line printed, at most twice as long as LAPACK alone."""
    given = {"ours": side, "folder": str(tmp_path)}
    _, ratio = compared(benchmark, "layer", "lapack", 8192, repeats=3, peer_repeats=3, **given)
    assert ratio["cpu"] >= 0.5


def test_knots_basis_of_a_2048_layer(benchmark):
    _, ratio = compared(benchmark, "knots", "dense", 2048, repeats=50, peer_repeats=1)
    assert ratio["cpu"] >= 1000


def test_intruders_of_a_further_adapter_of_a_1024_layer(benchmark):
    _, ratio = compared(benchmark, "intruders", "peft", 1024, repeats=20, peer_repeats=2)
    assert ratio["cpu"] >= 30


def test_arrow_forward_of_512_tokens_and_32_experts(benchmark):
    _, ratio = compared(benchmark, "arrow", "peft", 4096, repeats=10, peer_repeats=3)
    assert ratio["cpu"] >= 10
    assert ratio["memory"] >= 20


def test_one_of_six_adapters_a_token_all_at_once(benchmark):
    """Picking the tokens of each adapter costs more than multiplying by some zeros."""
    _, ratio = compared(benchmark, "routed", "each", 576, repeats=200, peer_repeats=200)
    assert ratio["cpu"] >= 1.1


@pytest.mark.parametrize(("width", "least"), [(64, 2.0), (128, 1.1)])
def test_64_adapters_trained_together_and_one_by_one(benchmark, width, least):
    """Rank 8 on all linear maps, 60 prompts of 3 tokens, ten steps.

    Matrix products set the limit: at width 64 they leave about half of a lone replica's time to
    save, at width 128 a fifth, and a neighbour that shares the cache takes more from the many.
    """
    _, ratio = compared(benchmark, "replicas", "alone", width, repeats=2, peer_repeats=2)
    assert ratio["cpu"] >= least


def test_56_modules_from_folders_to_a_folder(benchmark, tmp_path):
    """Whole processes, imports included."""
    fresh("folders", "made", 1024, 1, str(tmp_path))
    fresh("folders", "ours", 1024, 1, str(tmp_path))  # writes bytecode
    ours = benchmark.pedantic(fresh, args=("folders", "ours", 1024, 1, str(tmp_path)), rounds=1)
    theirs = fresh("folders", "peft", 1024, 1, str(tmp_path))
    ratio = theirs["whole"] / ours["whole"]
    benchmark.extra_info.update(ours=ours, theirs=theirs, ratio=ratio)
    sys.stdout.write(f"\nfolders: {benchmark.extra_info}\n")
    assert ratio >= 90
    assert ours["peak"] <= 300


@pytest.mark.parametrize(("peer", "least"), [("weighted", 1e4), ("switched", 100)])
def test_new_coefficients_of_two_adapters_on_56_maps(benchmark, peer, least):
    """PEFT builds a third adapter, or at the least switches from one to the other."""
    _, ratio = compared(benchmark, "coefficients", peer, 512, repeats=5, peer_repeats=5)
    assert 1000 * ratio["cpu"] >= least  # ours is a thousand times that


@pytest.mark.parametrize(("peer", "least"), [("peft", 0.9), ("base", 0.5)])
def test_a_forward_pass_with_two_adapters_attached(benchmark, peer, least):
    """96 tokens through 8 blocks: as fast as PEFT but for noise, at most twice the base alone."""
    _, ratio = compared(benchmark, "hooks", peer, 512, repeats=10, peer_repeats=10)
    assert ratio["cpu"] >= least


@pytest.mark.parametrize(("count", "most"), [(2, 300), (3, 350), (8, 500)])
def test_advice_in_passes_over_all_prompts(benchmark, count, most):
    """All ways and their coefficients, sixteen prompts an adapter, on a model of width 128."""
    _, ratio = compared(benchmark, "advise", "passes", count, repeats=1, peer_repeats=1)
    assert 100 / ratio["cpu"] <= most  # the peer makes a hundred passes


@pytest.mark.parametrize(
    ("arguments", "ceiling"),
    [
        (["-c", "import loratheory, sys; assert 'torch' not in sys.modules"], 0.5),
        (["-c", "from loratheory.cli import app; app()", "--help"], 0.4),
    ],
    ids=["import", "help"],
)
def test_starting_up_is_cheap(benchmark, arguments, ceiling):
    """CPU seconds of a child process; the least of five."""

    def spent():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds = [benchmark.pedantic(spent, rounds=1), *(spent() for _ in range(4))]
    benchmark.extra_info.update(cpu=min(seconds))
    assert min(seconds) < ceiling
