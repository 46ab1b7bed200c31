"""Adapters that fit each other, and those that do not."""

import numpy as np
import pytest
from folders import MODULES, folder, made

from loratheory.adapters import AdapterError, Info, aligned, read_adapter

Q, K = MODULES


def test_the_union_keeps_the_order_of_first_appearance():
    one, other = made({"b": (2, 3, 1), "a": (3, 2, 1)}), made({"c": (1, 1, 1), "a": (3, 2, 2)})
    assert aligned([one, other]).shapes == {"b": (2, 3), "a": (3, 2), "c": (1, 1)}
    assert [*aligned([one, other]).shapes] == ["b", "a", "c"]


def test_a_missing_module_is_zero_and_reported():
    one, other = made(name="one"), made({K: (6, 4, 3)}, name="other")
    both = aligned([one, other, one])
    first, zero, third = both.updates(Q)
    assert zero.shape == (6, 4)
    assert zero.width == 0
    assert np.array_equal(first.dense() + zero.dense(), third.dense())
    assert [low.width for low in both.updates(K)] == [2, 3, 2]
    (sentence,) = both.report
    assert sentence == f"other has no update of 1 of 2 modules ({Q}): it counts as zero there"
    _, sentence = aligned([one, made({"z": (6, 4, 3)}, name="third")]).report
    assert sentence == f"third has no update of 2 of 3 modules ({Q}, …): it counts as zero there"


def test_one_adapter_twice_is_fine_and_nothing_is_loaded(tmp_path):
    adapter = read_adapter(folder(tmp_path))
    twice = aligned([adapter, adapter])
    assert twice.report == ()
    one, other = twice.updates(Q)
    np.testing.assert_array_equal(one.dense(), other.dense())
    (tmp_path / "adapter_model.safetensors").unlink()
    assert aligned([adapter, adapter]).shapes == adapter.shapes


@pytest.mark.parametrize("shape", [(6, 5, 2), (5, 4, 2)])
def test_different_shapes_are_refused_whatever_the_base(shape):
    one, other = made(name="one"), made({Q: shape}, name="other")
    with pytest.raises(AdapterError) as caught:
        aligned([one, other], any_base=True)
    for word in (Q, "one", "other", "(6, 4)", str(shape[:2]), "; combine adapters"):
        assert word in str(caught.value)


def test_different_revisions_of_a_base_are_refused_unless_any_base_will_do():
    one, other = (made(name=n, config={"revision": n * 4}) for n in "ab")
    with pytest.raises(
        AdapterError, match="revision of the base model is 'bbbb', that of a is 'aa"
    ):
        aligned([one, made(name="silent"), other])
    assert aligned([one, other], any_base=True).shapes == aligned([one, one]).shapes


def test_a_module_that_is_an_embedding_in_one_alone_is_refused():
    of = {"embeddings": frozenset([Q])}
    with pytest.raises(AdapterError, match=f"module {Q!r}: an embedding in only one of"):
        aligned([made(name="one"), made(name="other", **of)])
    assert aligned([made(**of), made(**of)]).shapes == {Q: (6, 4), K: (6, 4)}


@pytest.mark.parametrize("bases", [("x", "y"), ("y", "x"), ("", "y", "x"), ("y", "", "x")])
def test_different_bases_are_refused_unless_told(bases):
    library = [made(name=f"n{base}", base=base) for base in bases]
    with pytest.raises(AdapterError, match=r"base model is '[xy]', .* is '[xy]'; .*--any-base"):
        aligned(library)
    named = next(base for base in bases if base)
    assert aligned(library, any_base=True).info.base == named


def test_an_unknown_base_fits_any():
    assert aligned([made(base=""), made(base="x"), made(base="x")]).info.base == "x"


def test_no_adapter_is_refused():
    with pytest.raises(AdapterError, match="none were given; give at least one"):
        aligned([])


def test_a_merge_has_the_digest_that_all_have_and_a_type_that_holds_all_numbers():
    one, other = made(dtype="float16", base_digest="d"), made(dtype="bfloat16", base_digest="d")
    info = aligned([one, other]).info
    assert (info.dtype, info.base_digest) == ("float32", "d")
    info = aligned([one, made(dtype="float16", base_digest="")]).info
    assert (info.dtype, info.base_digest) == ("float16", "")


def test_what_all_agree_on_is_handed_on():
    one = made(
        name="one", dtype="bfloat16", config={"task_type": "CAUSAL_LM", "a": 1}, notes=("n",)
    )
    other = made(
        name="other",
        dtype="float32",
        embeddings=frozenset(["e"]),
        config={"task_type": "CAUSAL_LM", "a": 2, "fan_in_fan_out": True},
    )
    assert aligned([one, other]).info == Info(
        name="one + other",
        dtype="float32",
        embeddings=frozenset(["e"]),
        config={"task_type": "CAUSAL_LM", "fan_in_fan_out": True},
        notes=("n",),
    )
