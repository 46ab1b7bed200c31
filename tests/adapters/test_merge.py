"""merge: lazy, deterministic, module by module; every wrong request is refused in plain words."""

import subprocess
import sys

import array_api_strict
import numpy as np
import pytest
import torch

from loratheory.adapters import (
    METHODS,
    Adapter,
    AdapterError,
    Info,
    Lazy,
    MergeError,
    Options,
    merge,
)
from loratheory.lowrank import LowRank, NotFiniteError, gaussian

SETTINGS = {
    "interpolate": {"ridge": 0.5},
    "regmean": {"moments": [{name: np.eye(5)[:4] + 0.3 for name in "qvo"}], "ridge": 0.1},
    "svd": {"rank": 2},
    "ties": {"rank": 3, "density": 0.4},
    "magnitude": {"rank": 3, "density": 0.4},
    "dare": {"rank": 3, "density": 0.4},
    "dare-ties": {"rank": 3, "density": 0.4},
}


def library(rng, xp=np, modules=("q", "v", "o"), rank=2):
    """Two adapters over the same modules of several shapes."""
    return [
        Adapter.of(
            {
                name: gaussian(rng, 6 + place, 5, rank).map(xp.asarray)
                for place, name in enumerate(modules)
            },
            Info(f"adapter {number}"),
        )
        for number in range(2)
    ]


@pytest.mark.parametrize("name", METHODS)
def test_each_module_is_merged_by_the_rule_and_scaled(name):
    adapters, options = library(np.random.default_rng(0)), SETTINGS.get(name, {})
    weights = [0.7, -0.3] if "weights" in METHODS[name].options else None
    merged = merge(
        adapters, name, weights=weights, coefficient=-3.0, rng=np.random.default_rng(1), **options
    )
    seed = int(np.random.default_rng(1).integers(2**63))
    if "moments" in options:
        options = options | {"moments": (options["moments"][0]["q"],) * 2}
    for module in ("o", "q", "v"):
        updates = [adapter[module] for adapter in adapters]
        expected = METHODS[name].rule(
            updates, weights or [1.0, 1.0], Options(module, seed=seed, **options)
        )
        np.testing.assert_allclose(merged[module].dense(), -3 * expected.dense(), atol=1e-13)
        assert merged.shapes[module] == merged[module].shape == updates[0].shape
    assert list(merged) == ["q", "v", "o"]


KINDS = {
    "torch": torch.asarray,
    "strict": array_api_strict.asarray,
    "single": lambda array: array.astype(np.float32),
}


@pytest.mark.parametrize(
    ("name", "space"), [(name, space) for name, m in METHODS.items() for space in m.spaces]
)
@pytest.mark.parametrize("kind", KINDS)
def test_other_arrays_merge_in_double_to_the_same_numbers_and_stay_as_they_were(name, space, kind):
    plain = [
        Adapter.of({m: low.map(np.float32).map(np.float64) for m, low in a.items()}, a.info)
        for a in library(np.random.default_rng(0))
    ]
    moved = [Adapter.of({m: low.map(KINDS[kind]) for m, low in a.items()}) for a in plain]
    one, other = (
        merge(some, name, space=space, rng=np.random.default_rng(1), **SETTINGS.get(name, {}))["v"]
        for some in (plain, moved)
    )
    assert "float64" in str(other.up.dtype)
    assert kind == "single" or type(other.up) is type(KINDS[kind](np.ones(1)))
    np.testing.assert_allclose(np.asarray(other.dense()), one.dense(), rtol=1e-11, atol=1e-12)
    for before, after in zip(plain, moved, strict=True):
        for module, low in before.items():
            np.testing.assert_array_equal(np.asarray(after[module].up), low.up)
            np.testing.assert_array_equal(np.asarray(after[module].down), low.down)


def test_nothing_is_loaded_before_it_is_looked_up_and_only_that_module():
    seen, (first, second) = [], library(np.random.default_rng(0))
    lazy = Adapter(
        Lazy(tuple(first), lambda name: seen.append(name) or first[name]), first.shapes, first.info
    )
    merged = merge([lazy, second], "mean")
    assert (len(merged), seen) == (3, [])
    merged["v"]
    assert seen == ["v"]


def test_random_rules_depend_on_the_generator_and_the_module_alone():
    low = LowRank(np.ones((6, 1)), np.ones((1, 6)))
    adapters = [Adapter.of({"a": low, "b": low})] * 2
    one, again, other = (
        merge(adapters, "dare", rank=6, density=0.5, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    first = {name: one[name].dense() for name in ("a", "b")}
    for name in ("b", "a", "b"):
        np.testing.assert_array_equal(again[name].dense(), first[name])
    assert np.abs(first["a"] - first["b"]).max() > 1
    assert np.abs(first["a"] - other["a"].dense()).max() > 1


def test_a_module_that_one_adapter_lacks_counts_as_zero_there():
    first, second = library(np.random.default_rng(0))
    less = Adapter.of({"v": second["v"]}, second.info)
    merged = merge([less, first], "mean")
    assert list(merged) == ["v", "q", "o"]
    np.testing.assert_allclose(merged["q"].dense(), first["q"].dense() / 2)
    for name in METHODS:
        options = SETTINGS.get(name, {})
        lone = merge([less, first], name, rng=np.random.default_rng(0), **options)
        assert np.all(np.isfinite(lone["q"].dense()))


def test_not_a_number_is_refused_by_adapter_module_and_place():
    first, second = library(np.random.default_rng(0))
    up = first["q"].up.copy()
    up[2, 1] = np.nan
    broken = Adapter.of({"q": LowRank(up, first["q"].down)}, Info("mine"))
    with pytest.raises(
        NotFiniteError, match=r"mine, q, first factor holds nan at position \[2, 1\]"
    ):
        merge([second, broken], "sum")["q"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "average"}, "there is no merge method 'average': choose one of sum, mean"),
        ({"method": "tie"}, "did you mean ties. The methods are sum, mean"),
        ({"method": "sum", "weights": [1.0, 2.0]}, "sum takes no weights"),
        ({"method": "cat", "rank": 4}, "cat takes no rank: leave it out .it takes weights"),
        ({"method": "iso", "density": 0.5}, "iso takes no density"),
        ({"method": "ties", "density": 0.2, "rank": 2, "ridge": 0.1}, "ties takes no ridge"),
        ({"method": "svd"}, "svd in space 'full' needs rank: give the largest rank"),
        ({"method": "ties", "density": 0.2}, "ties in space 'full' needs rank"),
        ({"method": "ties", "space": "core"}, "ties in space 'core' needs density"),
        ({"method": "dare", "space": "core", "density": 0.2}, "dare in space 'core' needs rng"),
        ({"method": "mean", "space": "knots"}, "mean does not work in space 'knots'"),
        ({"method": "ties", "space": "knot"}, "'knot': choose one of full, knots, core"),
        ({"method": "cat", "weights": [1.0]}, "1 weights for 2 adapters"),
        ({"method": "cat", "weights": [1.0, float("inf")]}, "a weight is inf"),
        ({"method": "ties", "density": 0.0, "rank": 2}, "density is 0.0"),
        ({"method": "ties", "density": 1.5, "rank": 2}, "density is 1.5"),
        ({"method": "ties", "density": float("nan"), "rank": 2}, "density is nan"),
        ({"method": "svd", "rank": 0}, "rank is 0"),
        ({"method": "interpolate", "ridge": -1.0}, "ridge is -1.0"),
        ({"method": "interpolate", "ridge": float("inf")}, "ridge is inf"),
        ({"method": "sum", "coefficient": float("inf")}, "coefficient is inf"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_loaded(arguments, message):
    with pytest.raises(MergeError, match=message):
        merge(library(np.random.default_rng(0)), **arguments)


def test_adapters_that_do_not_fit_are_refused():
    first, second = library(np.random.default_rng(0))
    other = Adapter.of({"q": second["v"]}, Info("other"))
    with pytest.raises(AdapterError, match="q"):
        merge([first, other], "sum")
    bases = [Adapter(a.modules, a.shapes, Info(base=b)) for a, b in ((first, "x"), (second, "y"))]
    with pytest.raises(AdapterError, match="any_base"):
        merge(bases, "sum")
    assert len(merge(bases, "sum", any_base=True)) == 3
    with pytest.raises(AdapterError, match="none were given"):
        merge([], "sum")


def test_a_small_merge_loads_no_library_that_it_does_not_need():
    """SciPy, torch and all of NumPy at once take longer to load than such a merge takes."""
    code = (
        "import sys, numpy; from loratheory.adapters import Adapter, merge, read, write\n"
        "from loratheory.lowrank import LowRank\n"
        "one = Adapter.of({'q': LowRank(numpy.ones((9, 2)), numpy.ones((2, 8)))})\n"
        "assert merge([one, one], 'svd', rank=1)['q'].width == 1\n"
        "print({'scipy', 'torch', 'pandas', 'numpy.f2py', 'socket'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
