"""What PEFT makes of a folder, and what we read, merge and write: the same numbers."""

import json
import math
import resource

import array_api_strict
import numpy as np
import pytest
import torch
from folders import MODULES, bytes_of, changed, factors, folder, made, tensors
from language import adapted, deltas, loaded, logits, network, quiet
from peft import PeftModel
from peft.utils.other import get_pattern_key
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from loratheory.adapters import Adapter, AdapterError, Info, merge, read_adapter, write_adapter
from loratheory.adapters.adapter import DTYPES, join_dtypes
from loratheory.adapters.peft_io import CONFIG, WEIGHTS, Config
from loratheory.lowrank import LowRank, gaussian

Q, K = MODULES

# Each kind of adapter, read, written and merged, against PEFT's updates and its forward pass.

KINDS = {  # a model and what is trained on it
    "plain": ("llama", {"r": 4, "target_modules": ["q_proj", "down_proj", "lm_head"]}),
    "rank-stabilised, patterns": (
        "llama",
        {
            "r": 4,
            "use_rslora": True,
            "rank_pattern": {"layers.1.self_attn.q_proj": 7, r".*\.v_proj": 2},
            "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 11},
            "target_modules": ["embed_tokens", "q_proj", "v_proj"],
        },
    ),
    "embeddings": ("llama", {"r": 3, "target_modules": ["embed_tokens", "lm_head", "k_proj"]}),
    "every linear map": ("llama", {"r": 2, "target_modules": "all-linear"}),
    "an expression": ("llama", {"r": 2, "target_modules": r".*\.1\..*(q|down)_proj"}),
    "one layer": ("llama", {"r": 2, "target_modules": ["q_proj"], "layers_to_transform": [1]}),
    "transposed weights": (
        "gpt2",
        {
            "r": 3,
            "rank_pattern": {"h.0.attn.c_attn": 5},
            "target_modules": ["c_attn", "c_proj", "wte"],
            "fan_in_fan_out": True,
        },
    ),
    "a tied head": (
        "tied",
        {
            "r": 3,
            "target_modules": ["embed_tokens", "lm_head", "q_proj"],
            "ensure_weight_tying": True,
        },
    ),
    "bfloat16": ("llama", {"r": 4, "dtype": torch.bfloat16, "target_modules": ["q_proj"]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_merged_and_written_is_what_peft_has(kind, tmp_path):
    base, config = KINDS[kind]
    peft = adapted(network(base), lora_alpha=6, **config)
    with quiet():
        peft.save_pretrained(tmp_path / "theirs")
    adapter, expected = read_adapter(tmp_path / "theirs"), deltas(peft)
    assert set(adapter) == set(expected)
    rtol = 2**-7 if kind == "bfloat16" else 1e-6
    for module, dense in expected.items():
        low = adapter[module].dense().astype(float)
        assert adapter.shapes[module] == low.shape == dense.shape
        assert np.linalg.norm(low - dense) <= rtol * np.linalg.norm(dense)
    assert adapter.info.embeddings == {"model.embed_tokens", "transformer.wte"} & set(adapter)
    assert adapter.info.dtype == ("bfloat16" if kind == "bfloat16" else "float32")
    half = merge([adapter, adapter], "cat", weights=[0.75, 0.25])
    theirs, bare = logits(loaded(network(base), tmp_path / "theirs")), logits(network(base))
    assert float(abs(theirs - bare).max()) > 1e-2
    for name, own in (("read", adapter), ("merged", half)):
        write_adapter(own, tmp_path / name, dtype="float32")
        ours = loaded(network(base), tmp_path / name)
        assert set(deltas(ours)) == set(expected)
        room = 2e-5 * float(abs(theirs).max())
        assert float(abs(logits(ours) - theirs).max()) < room


def test_names_that_end_like_others_keep_their_own_rank(tmp_path):
    """`b` is the end of `a.b`, and `a.b` would match `aXb` as a regular expression."""
    ranks, rng = (
        {"b": 3, "a.b": 2, "c.a.b": 1, "aXb": 1, "d": 2, "c.d": 3},
        np.random.default_rng(0),
    )
    adapter = Adapter.of({name: gaussian(rng, 4, 4, r) for name, r in ranks.items()})
    write_adapter(adapter, tmp_path / "x")
    found = read_adapter(tmp_path / "x")
    assert {name: found[name].width for name in found} == ranks


def renamed(home):
    """Keys as older versions of PEFT wrote them, with the adapter's name."""
    stored = load_file(home / WEIGHTS)
    save_file(
        {k.replace(".weight", ".default.weight"): v for k, v in stored.items()}, home / WEIGHTS
    )


EDITS = {
    "keys with the adapter's name": renamed,
    "digits in a pattern": lambda home: changed(
        home / CONFIG, alpha_pattern={r"layers\.(?!0)\d+\..*": 20}
    ),
    "unknown keys": lambda home: changed(home / CONFIG, use_magic={"strength": 3}, plain=False),
    "no layers named": lambda home: changed(home / CONFIG, layers_to_transform=[]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_folder_is_read_as_peft_reads_it(name, tmp_path):
    with quiet():
        adapted(network("llama"), r=3, lora_alpha=5, target_modules=["q_proj"]).save_pretrained(
            tmp_path
        )
        expected = deltas(PeftModel.from_pretrained(network("llama"), tmp_path))
        EDITS[name](tmp_path)
        if name != "keys with the adapter's name":  # PEFT before 0.21 writes but does not read them
            expected = deltas(PeftModel.from_pretrained(network("llama"), tmp_path))
    adapter = read_adapter(tmp_path)
    assert set(adapter) == set(expected)
    for module, dense in expected.items():
        assert abs(dense).max() > 0
        np.testing.assert_allclose(adapter[module].dense(), dense, rtol=1e-5, atol=1e-6)
    assert ("use_magic" in " ".join(adapter.info.notes)) is (name == "unknown keys")


# Ranks and scales by hand, and as PEFT's own rule decides.


@pytest.fixture
def config(tmp_path):
    def made_config(**values):
        file = tmp_path / CONFIG
        file.write_text(json.dumps({"peft_type": "LORA"} | values))
        return Config(file)

    return made_config


def test_ranks_and_scales_by_hand(config):
    plain = config(r=4, lora_alpha=6)
    assert (plain.rank("q"), plain.scale("q")) == (4, 1.5)
    root = config(r=4, lora_alpha=6, use_rslora=True, rank_pattern={"k": 9})
    assert (root.scale("q"), root.scale("k")) == (3.0, 2.0)
    assert config(r=3, lora_alpha=1, use_rslora=True).scale("q") == 1 / math.sqrt(3)
    default = config(use_rslora=None)
    assert (default.rank("q"), default.scale("q")) == (8, 1.0)
    both = config(r=2, lora_alpha=2, rank_pattern={"q": 8}, alpha_pattern={"a.q": 4})
    assert [both.scale(name) for name in ("q", "a.q", "k")] == [0.25, 0.5, 1.0]
    assert config(r=2, rank_pattern={"q": 3, "a.q": 5}).rank("a.q") == 3  # the first one decides


NAMES = ["q", "a.q", "aq", "layers.1.q", "layers.11.q", "b.layers.1.q", "layers.1.q.k", "a.qq"]
PATTERNS = ["q", "a.q", "layers.1.q", r"layers\.1\.q", r"^layers\.1\.q", r".*\.q", "q|k", "x"]
PATTERNS += [r"1\d?.q", r"layers\.(?!0)\d+\..*", "a.{2}.k"]


def test_every_module_gets_the_rank_that_peft_gives_it(config):
    """Another road: PEFT's own look-up."""
    for seed in range(12):
        patterns = np.random.default_rng(seed).permutation(PATTERNS)[: seed + 1].tolist()
        ranks = {text: 10 + number for number, text in enumerate(patterns)}
        found = config(rank_pattern=ranks, alpha_pattern=ranks)
        for name in NAMES:
            assert found.rank(name) == ranks.get(get_pattern_key(ranks.keys(), name), 8)
            assert found.scale(name) == 1.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(3))
def test_the_library_reads_what_was_streamed_and_rounding_is_its_worst_relative_error(
    tmp_path, dtype, seed
):
    rng = np.random.default_rng(seed)
    modules = {f'"é{"x" * i}': rng.integers(1, 6, 3).tolist() for i in range(seed + 1)}
    exact = {name: gaussian(rng, *shape) for name, shape in modules.items()}
    for low in exact.values():
        low.up[0, 0] = 1 + 3 * 2.0**-8  # half way between two numbers of bfloat16
    done, worst = write_adapter(Adapter.of(exact), tmp_path / "x", dtype=dtype), 0.0
    with safe_open(tmp_path / "x" / WEIGHTS, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}
        for name, low in exact.items():
            for half, factor in (("A", low.down), ("B", low.up)):
                key = f"base_model.model.{name}.lora_{half}.weight"
                stored = opened.get_tensor(key)
                rounded = torch.asarray(factor).float().to(stored.dtype)
                rounded = torch.asarray(factor) if dtype == "float64" else rounded
                assert torch.equal(stored, rounded)
                gap = np.linalg.norm(stored.double().numpy() - factor)
                worst = max(worst, gap / np.linalg.norm(factor))
    assert done.rounding == pytest.approx(worst, rel=1e-12)
    start = 8 + int.from_bytes((tmp_path / "x" / WEIGHTS).read_bytes()[:8], "little")
    assert start % 8 == 0


@pytest.mark.parametrize(
    ("dtype", "value", "fine"),
    [("float16", 65520.0, 65504.0), ("bfloat16", 1e18, 9.9e17), ("float32", -1e39, -9.9e17)],
)
def test_a_value_too_large_or_not_finite_is_refused_by_place_and_nothing_is_left(
    tmp_path, dtype, value, fine
):
    for number in (value, np.nan):
        low = LowRank(np.array([[fine], [number]]), np.ones((1, 2)))
        with pytest.raises(AdapterError, match=r"a\.lora_B\.weight: .*(e\+|-1e|65520|nan)"):
            write_adapter(Adapter.of({"a": low}), tmp_path / "x", dtype=dtype)
        assert names(tmp_path) == []
    low = LowRank(np.array([[fine]]), np.ones((1, 2)))
    write_adapter(Adapter.of({"a": low}), tmp_path / "x", dtype=dtype)


# Writing: the effect that was read, whole or not at all.


def names(path):
    return sorted(place.name for place in path.iterdir())


def same(one, other, rtol=0.0):
    assert [*one] == [*other]
    for name in one:
        exact = one[name].dense().astype(float)
        close = np.linalg.norm(other[name].dense().astype(float) - exact)
        assert close <= rtol * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_what_is_read_is_written_and_read_without_loss(dtype, tmp_path):
    modules = {"a.2": (5, 4, 2), "a.10\nü": (4, 4, 3), "embed": (3, 9, 2), "z": (2, 2, 1)}
    one = read_adapter(
        folder(tmp_path / "one", modules, dtype=dtype, embeddings=["embed"], mine={"k": 1})
    )
    assert [*one] == [*modules]
    done = write_adapter(one, tmp_path / "two")
    two = read_adapter(tmp_path / "two")
    same(one, two)
    assert (done.dtype, done.rounding, done.folder) == (dtype, 0.0, tmp_path / "two")
    assert two.info.embeddings == {"embed"}
    assert (two.info.dtype, two.info.base) == (dtype, "tiny")
    assert two.info.config == {"task_type": "CAUSAL_LM", "mine": {"k": 1}}


def test_both_short_types_need_single_precision():
    assert join_dtypes(["float16", "bfloat16"]) == "float32"
    assert join_dtypes(["float16", "float64"]) == "float64"


def test_a_zero_update_becomes_rank_one_of_zeros(tmp_path):
    low = LowRank(np.zeros((3, 0)), np.zeros((0, 4)))
    write_adapter(
        Adapter.of({"a": gaussian(np.random.default_rng(0), 2, 2, 2), "z": low}), tmp_path / "x"
    )
    found = read_adapter(tmp_path / "x")["z"]
    assert (found.width, found.shape) == (1, (3, 4))
    assert not found.up.any()
    assert not found.down.any()


def test_a_config_from_elsewhere_cannot_change_the_effect(tmp_path):
    adapter = made(config={"use_dora": True, "lora_alpha": 99, "fan_in_fan_out": True})
    write_adapter(adapter, tmp_path / "x")
    written = json.loads((tmp_path / "x" / CONFIG).read_text())
    assert "use_dora" not in written
    assert written["fan_in_fan_out"] is True
    same(adapter, read_adapter(tmp_path / "x"))


def test_arrays_of_other_libraries_are_written_and_float64_as_float32_unless_told(tmp_path):
    exact = made()
    moves = {
        "half": lambda x: torch.asarray(x).bfloat16(),
        "strict": array_api_strict.asarray,
        "grad": lambda x: torch.asarray(x).requires_grad_(),
        "double": lambda x: x.astype(float),
    }
    for name, move in moves.items():
        write_adapter(exact.map(move), tmp_path / name)
        same(exact, read_adapter(tmp_path / name), rtol=2**-7 if name == "half" else 0)
    turned = Adapter.of({k: low.T for k, low in exact.items()})
    write_adapter(turned, tmp_path / "turned")
    same(turned, read_adapter(tmp_path / "turned"))
    wide = Adapter.of({"a": gaussian(np.random.default_rng(0), 3, 4, 2)}, Info(dtype="float64"))
    assert 0 < write_adapter(wide, tmp_path / "x").rounding < 1e-7
    assert write_adapter(wide, tmp_path / "y", dtype="float64").rounding == 0.0
    same(wide, read_adapter(tmp_path / "y"))
    same(wide, read_adapter(tmp_path / "x"), rtol=1e-6)


def test_what_cannot_be_written_is_refused(tmp_path):
    one, place = made(), tmp_path / "x"
    (tmp_path / "file").write_text("mine")
    refusals = {
        "int8": lambda: write_adapter(one, place, dtype="int8"),
        "has no module": lambda: write_adapter(Adapter.of({}), place),
        "is a file": lambda: write_adapter(one, tmp_path / "file", force=True),
        "parent folder does not exist": lambda: write_adapter(one, tmp_path / "no" / "x"),
    }
    for message, refused in refusals.items():
        with pytest.raises(AdapterError, match=message):
            refused()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_there_stays_unless_forced_and_nothing_but_an_adapter_is_replaced(tmp_path):
    home = tmp_path / "x"
    for name in ("x", "y"):  # twice the same bytes
        write_adapter(made(seed=1), tmp_path / name, card={"by": "me"})
    for file in (WEIGHTS, CONFIG, "adapter_card.json"):
        assert (home / file).read_bytes() == (tmp_path / "y" / file).read_bytes()
    with pytest.raises(AdapterError, match="x: exists already"):
        write_adapter(made(seed=2), home)
    same(made(seed=1), read_adapter(home))
    (home / "README.md").write_text("as PEFT writes it")
    (tmp_path / "link").symlink_to("x")
    assert write_adapter(made(seed=2), tmp_path / "link", force=True).folder == home
    same(made(seed=2), read_adapter(home))
    assert names(home) == [CONFIG, WEIGHTS]
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(AdapterError, match=r"thesis\.tex"):
        write_adapter(made(), home, force=True)
    assert (home / "thesis.tex").read_text() == "years of work"
    assert names(tmp_path) == ["link", "x", "y"]


def test_an_adapter_may_replace_the_folder_it_is_read_from(tmp_path):
    home = folder(tmp_path / "x", lora_alpha=8)
    before = {name: low.dense() for name, low in read_adapter(home).items()}
    lazy = read_adapter(home)
    write_adapter(lazy, home, force=True)
    after = read_adapter(home)
    assert all(np.array_equal(after[name].dense(), dense) for name, dense in before.items())
    with pytest.raises(AdapterError, match="changed while it was being read"):
        lazy[Q]


def test_a_failure_half_way_or_a_full_disk_leaves_what_was_there(tmp_path):
    """A real short write: the system refuses files beyond 16 KiB."""
    write_adapter(made(), tmp_path / "x")

    def broken(name):
        if name == K:
            message = "the second module cannot be made"
            raise ArithmeticError(message)
        return made()[name]

    with pytest.raises(ArithmeticError):
        write_adapter(Adapter(broken, made().shapes), tmp_path / "x", force=True)
    big = made({"a": (4000, 4, 2), "b": (4000, 4, 2)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try:
        with pytest.raises(AdapterError, match=r"x: .*File too large"):
            write_adapter(big, tmp_path / "x", force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    same(made(), read_adapter(tmp_path / "x"))
    assert names(tmp_path) == ["x"]


# Places: subfolders and ids of the hub.


def test_a_subfolder_and_a_snapshot_of_the_hub_are_read(tmp_path, monkeypatch):
    for task in "abcd":
        folder(tmp_path / "above" / f"task_{task}")
    with pytest.raises(AdapterError, match=r"name \S+task_a or \S+task_b or \S+task_c$"):
        read_adapter(tmp_path / "above")
    same(
        read_adapter(tmp_path / "above", subfolder="task_b"),
        read_adapter(tmp_path / "above" / "task_b"),
    )
    with pytest.raises(AdapterError, match="holds no folder 'nowhere'"):
        read_adapter(tmp_path / "above", subfolder="nowhere")
    with pytest.raises(AdapterError, match="is a folder, and there is a revision 'v1'; leave"):
        read_adapter(tmp_path / "above" / "task_b", revision="v1")
    asked = []

    def snapshot_download(name, **how):
        asked.append((name, how["revision"], how["local_files_only"], how["allow_patterns"]))
        if how["local_files_only"] or how["revision"] == "v0":
            message = "nothing found\nin the cache"
            raise FileNotFoundError(message)
        return str(tmp_path / "above")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(AdapterError, match="--download"):
        read_adapter("owner/name")
    with pytest.raises(AdapterError, match=r"could not be fetched \(nothing found\)"):
        read_adapter("owner/name", revision="v0", download=True)
    found = read_adapter("owner/name", subfolder="task_b", revision="v1", download=True)
    assert set(found) == set(MODULES)
    assert asked[2] == ("owner/name", "v1", False, [f"task_b/{CONFIG}", f"task_b/{WEIGHTS}"])


def test_a_base_weight_beside_an_embedding_is_set_aside_with_a_note(tmp_path):
    home = folder(tmp_path / "x", {"embed": (3, 9, 2)}, embeddings=["embed"])
    found = tensors(factors({"embed": (3, 9, 2)}), ["embed"])
    found["base_model.model.embed.base_layer.weight"] = np.ones((9, 3), "f4")
    (home / WEIGHTS).write_bytes(bytes_of(found))
    assert [*read_adapter(home)] == ["embed"]
    [note] = read_adapter(home).info.notes
    assert "embed.base_layer.weight" in note
