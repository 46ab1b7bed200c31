"""The Python door: names by Tab, theorems by name, folders for adapters, wrong types refused."""

import pickle
import subprocess
import sys
from dataclasses import is_dataclass, replace
from inspect import isclass, isfunction, signature

import numpy as np
import pytest
from folders import folder

import loratheory as lt
from loratheory.arguments import ArgumentError, accepts
from loratheory.theorems.expressiveness.rank_floor import Tasks


class Odd:
    """No argument of any function."""


def handed_out():
    """Every function and dataclass of the packages that a user meets, by name."""
    found = {"principal_angles": lt.principal_angles, "diagnose": lt.diagnose}
    for package in (lt.adapters, lt.theorems, lt.toy, lt.pretrained):
        for name, value in vars(package).items():
            own = getattr(value, "__module__", "").startswith(package.__name__)
            if own and (isfunction(value) or (isclass(value) and is_dataclass(value))):
                found[name] = value
    return {name: value for name, value in found.items() if name[0] != "_"}


PUBLIC = handed_out()


@pytest.mark.parametrize("name", PUBLIC)
def test_an_argument_of_a_wrong_type_is_named_with_its_value_and_what_to_give(name):
    checked = 0
    for parameter in signature(PUBLIC[name]).parameters.values():
        # What is annotated by Any or by a class of functions takes everything.
        if parameter.annotation is parameter.empty or accepts(parameter.annotation, Odd()):
            continue
        checked += 1
        starred = parameter.kind is parameter.VAR_POSITIONAL
        with pytest.raises(ArgumentError) as caught:
            PUBLIC[name](*[Odd()] * starred, **{} if starred else {parameter.name: Odd()})
        message = str(caught.value)
        assert message.startswith(f"{name}: {parameter.name} is <")
        assert "of type Odd; give " in message
        assert "\n" not in message
    assert checked or name in ("load_theorems", "load_cited", "chosen")


NUMBERS = {"weights": (np.array([0.5, 0.5]), [0.5, np.float32(1)]), "rank": (np.int64(2), None)}
NO_NUMBERS = {"weights": ("ab", [0.5, "b"]), "rank": (2.5, "2")}


def test_items_of_lists_are_looked_at_and_numbers_may_be_numpys():
    for name, parameter in signature(lt.merge).parameters.items():
        assert all(accepts(parameter.annotation, one) for one in NUMBERS.get(name, ()))
        assert not any(accepts(parameter.annotation, one) for one in NO_NUMBERS.get(name, ()))


def test_names_are_listed_and_reached_and_nothing_is_loaded_before():
    for name in dir(lt):
        assert getattr(lt, name) is not None
    assert pickle.loads(pickle.dumps(lt.read_adapter)) is lt.read_adapter
    code = (
        "import sys, loratheory as lt; names = dir(lt)\n"
        "assert not {'numpy', 'torch', 'loratheory.adapters'} & {*sys.modules}\n"
        "assert 'merge_floor' in dir(lt.theorems)\n"
        "assert 'loratheory.theorems.expressiveness' not in sys.modules\n"
        "lt.LowRank(3, 4)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ArgumentError: LowRank: up is 3, of type int; give (m, r) array" in done.stderr
    for place in (lt, lt.theorems):
        with pytest.raises(AttributeError):
            _ = place.nonsense


def test_theorems_go_by_name_and_show_their_verdict():
    floor = lt.theorems.merge_floor
    assert floor is lt.theorem("merge-floor") is lt.theorem("thm:merge_floor")
    broken = replace(floor, bound=lambda case: 2 * floor.bound(case) + 1)
    for theorem, fine in ((floor, True), ("merge-floor", True), (broken, False)):
        report = lt.verify(theorem, cases=5)
        assert report.ok is fine
        assert ("NOT" in repr(report)) is not fine
    low = lt.LowRank(np.eye(3)[:, :1], np.eye(3)[:1])
    case = Tasks((low, 3.0 * low), rank=1)
    for factor, words in ((2.0, "tight"), (0.5, "holds"), (2.0, "violated")):
        theorem = broken if words == "violated" else "merge-floor"
        assert words in repr(lt.check(theorem, case, factor * low))
    for wrong in ((low, low), (case, case)):
        with pytest.raises(ArgumentError, match=r"thm:merge-floor: (case|witness) is"):
            lt.check("merge-floor", *wrong)


def test_folders_do_for_adapters(tmp_path):
    places = [folder(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    read = [lt.read_adapter(place) for place in places]
    merged = lt.merge([places[0], str(places[1])], weights=[2, 1])
    for name, low in merged.items():
        wanted = (2 * read[0][name].dense() + read[1][name].dense()) / 3
        np.testing.assert_allclose(low.dense(), wanted, atol=1e-6)
