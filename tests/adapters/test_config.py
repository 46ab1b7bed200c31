"""Ranks and scales from `adapter_config.json`: by hand, and as PEFT's own rule decides."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.adapters import AdapterError
from loratheory.adapters._config import Config

NAMES = ["q", "a.q", "aq", "layers.1.q", "layers.11.q", "b.layers.1.q", "layers.1.q.k", "a.qq"]
PATTERNS = [
    "q",
    "a.q",
    "layers.1.q",
    r"layers\.1\.q",
    r"^layers\.1\.q",
    r".*\.q",
    "q|k",
    "x",
    r"1\d?.q",
]


@pytest.fixture
def told(tmp_path):
    def made(**values):
        file = tmp_path / "adapter_config.json"
        file.write_text(json.dumps({"peft_type": "LORA"} | values))
        return Config(file)

    return made


def test_the_scale_is_alpha_over_rank(told):
    found = told(r=4, lora_alpha=6)
    assert (found.rank("q"), found.scale("q")) == (4, 1.5)


def test_rank_stabilised_scale_divides_by_the_root_of_the_own_rank(told):
    found = told(r=4, lora_alpha=6, use_rslora=True, rank_pattern={"k": 9})
    assert found.scale("q") == 3.0
    assert found.scale("k") == 2.0


def test_without_numbers_the_defaults_of_peft_hold(told):
    found = told(use_rslora=None)
    assert (found.rank("q"), found.scale("q")) == (8, 1.0)


def test_patterns_give_rank_and_alpha_apart(told):
    found = told(r=2, lora_alpha=2, rank_pattern={"q": 8}, alpha_pattern={"a.q": 4})
    assert [found.scale(name) for name in ("q", "a.q", "k")] == [0.25, 0.5, 1.0]


def test_the_first_pattern_in_the_file_decides(told):
    found = told(r=2, rank_pattern={"q": 3, "a.q": 5})
    assert found.rank("a.q") == 3


@given(st.permutations(PATTERNS), st.integers(0, len(PATTERNS)))
def test_every_module_gets_the_rank_that_peft_gives_it(tmp_path_factory, patterns, count):
    """Another road: PEFT's own look-up."""
    from peft.utils.other import get_pattern_key

    ranks = {text: 10 + number for number, text in enumerate(patterns[:count])}
    file = tmp_path_factory.getbasetemp() / "adapter_config.json"
    file.write_text(
        json.dumps({"peft_type": "LORA", "rank_pattern": ranks, "alpha_pattern": ranks})
    )
    found = Config(file)
    for name in NAMES:
        expected = ranks.get(get_pattern_key(ranks.keys(), name), 8)
        assert found.rank(name) == expected
        assert found.scale(name) == 1.0


@pytest.mark.parametrize(
    "pattern",
    [
        r"model\.layers\.(?:[0-9]|1[0-9])\..*\.(q|k)_proj",
        r"layers\.(?!0)\d+\..*",
        r"\d+.k",
        "a.{2}.k",
        ".*a" * 9,
    ],
)
def test_patterns_of_daily_use_are_not_taken_for_hostile(told, pattern):
    assert told(rank_pattern={pattern: 3}).rank("q") == 8


@pytest.mark.parametrize("key", ["rank_pattern", "alpha_pattern", "target_modules"])
def test_a_pattern_that_takes_exponential_time_is_named(told, key):
    slow = r"(\w|\.|[a-z])+(?<!\w)"
    found = told(**{key: slow if key == "target_modules" else {slow: 3}})
    name = "model.layers.0.self_attn.q_proj_and_more"
    with pytest.raises(
        AdapterError, match=rf"{key}: the pattern .* over a second to match '{name}'"
    ):
        _ = found.scale(name), found.adapts(name)


@pytest.mark.parametrize(
    ("targets", "module", "expected"),
    [
        (["q"], "a.q", True),
        (["q"], "q", True),
        (["q"], "aq", False),
        (["a.q"], "q", False),
        ([], "q", False),
        (None, "q", True),
        ("all-linear", "q", True),
        (r".*\.q", "x", False),
        (r".*\.q", "a.q", True),
    ],
)
def test_target_modules_match_whole_dotted_ends(told, targets, module, expected):
    assert told(target_modules=targets).adapts(module) is expected


def test_what_does_not_touch_the_effect_is_carried_on(told):
    found = told(task_type="CAUSAL_LM", fan_in_fan_out=True, mine={"a": 1}, lora_dropout=0.5, r=3)
    assert found.rest == {"task_type": "CAUSAL_LM", "fan_in_fan_out": True, "mine": {"a": 1}}


def test_the_empty_values_that_peft_writes_are_no_reason_to_refuse(told):
    empty = dict.fromkeys(["use_dora", "lora_bias", "use_qalora"], False)
    empty |= dict.fromkeys(["modules_to_save", "use_bdlora", "kasa_config"])
    assert (
        told(**empty, bias="none", init_lora_weights="gaussian", layer_replication=[]).rank("q")
        == 8
    )


@pytest.mark.parametrize("start", ["pissa", "PISSA_niter_16", "olora", "corda", "lora_ga", "loftq"])
def test_starts_that_change_the_base_are_refused(told, start):
    with pytest.raises(AdapterError, match="changes the base weights"):
        told(init_lora_weights=start)


def test_without_targets_the_default_of_peft_for_the_base_holds_or_is_noted(told, tmp_path):
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFTS

    from loratheory.adapters._config import DEFAULTS

    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    found = told(base_model_name_or_path=str(tmp_path), target_modules=None)
    assert [found.adapts(f"layers.0.{name}") for name in ("q_proj", "v_proj", "k_proj")] == [
        True,
        True,
        False,
    ]
    assert not found.notes
    for names, kinds in DEFAULTS.items():
        assert all(set(names.split()) == {*PEFTS[kind]} for kind in kinds.split())
    for base in ("some/where", "x" * 999, "\0", "", None):
        found = told(base_model_name_or_path=base, target_modules=None)
        assert found.adapts("k_proj")
        assert "PEFT takes its default for the base: every module is counted" in found.notes[0]


def test_what_the_file_says_beside_the_numbers_is_noted(told):
    notes = told(
        target_modules=[], mine=3, yours=None, init_lora_weights="milora", corda_config={"a": 1}
    ).notes
    assert [next(w for w in ("'mine'", "'milora'", "corda_config") if w in n) for n in notes] == [
        "'mine'",
        "'milora'",
        "corda_config",
    ]
    assert (
        told(target_modules=[], init_lora_weights="eva", yours=False, loftq_config={}).notes == ()
    )


@pytest.mark.parametrize("start", [True, False, "eva", "orthogonal", "mica", "gaussian"])
def test_starts_that_leave_the_base_alone_are_read(told, start):
    assert told(init_lora_weights=start).rank("q") == 8


def test_no_refused_key_of_peft_is_unknown_to_it():
    """Our table speaks of PEFT's real fields, and knows every field that PEFT has."""
    import dataclasses

    from peft import LoraConfig

    from loratheory.adapters._config import KNOWN, REFUSED

    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    assert set(REFUSED) <= fields
    assert fields <= KNOWN


def test_a_scale_is_never_rounded_before_its_use(told):
    assert told(r=3, lora_alpha=1, use_rslora=True).scale("q") == 1 / math.sqrt(3)
