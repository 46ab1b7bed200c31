"""`adapter_config.json`: checked, with ranks and scales by PEFT's own matching rules."""

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratheory.adapters._document import json_file
from loratheory.adapters._error import refusal, shown

Patterns = tuple[tuple["re.Pattern[str]", int | float], ...]
NAME = "adapter_config.json"
LIMIT = 16 * 2**20

_EXPORT = "export it as a plain LoRA adapter first"
_CONVERT = (
    "convert it with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...)"
)
REFUSED = {
    "use_dora": ("DoRA rescales the base weight, which no added matrix does", _EXPORT),
    "lora_bias": ("a bias is not a low-rank update", "train with lora_bias=False"),
    "modules_to_save": ("whole modules were trained", "train without modules_to_save"),
    "trainable_token_indices": ("whole rows were trained", "train without trainable tokens"),
    "target_parameters": ("parameters outside linear layers were adapted", _EXPORT),
    "layer_replication": ("the layers of the base are repeated", "use a base with these layers"),
    "alora_invocation_tokens": ("the adapter acts on some tokens only", _EXPORT),
    "use_qalora": ("inputs are pooled before the adapter", _EXPORT),
    "use_bdlora": ("the factors are block-diagonal", _EXPORT),
    "kasa_config": ("the base weight is truncated", _EXPORT),
    "monteclora_config": ("the factors are random", _EXPORT),
    "arrow_config": ("the adapter is a router over others", "give the routed adapters instead"),
    "megatron_config": ("the factors are split over devices", _EXPORT),
}
CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
HANDED_ON = ("task_type", "auto_mapping", "revision", "fan_in_fan_out", "target_modules")
_READ = ("peft_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "bias")
_IDLE = """rank_pattern alpha_pattern exclude_modules init_lora_weights peft_version inference_mode
lora_dropout layers_to_transform layers_pattern megatron_core loftq_config eva_config corda_config
lora_ga_config velora_config qalora_group_size runtime_config ensure_weight_tying"""
KNOWN = frozenset([*REFUSED, *HANDED_ON, *_READ, *_IDLE.split()])


@dataclass(frozen=True)
class Config:
    """What the file says about ranks and scales, and what a written adapter hands on.

    Attributes
    ----------
    file : Path
        Where it was read.
    r : int
        The rank where no pattern matches.
    alpha : int or float
        `lora_alpha` where no pattern matches.
    rslora : bool
        Whether the scale is ``alpha / sqrt(r)`` instead of ``alpha / r``.
    ranks, alphas : tuple of (pattern, number)
        In the order of the file: the first match decides, as in PEFT.
    base : str
        The base model, empty where unknown.
    rest : mapping
        Keys that do not touch the effect, unknown ones included.
    """

    file: Path
    r: int
    alpha: int | float
    rslora: bool
    ranks: Patterns
    alphas: Patterns
    base: str
    rest: Mapping[str, Any]

    def rank(self, module: str) -> int:
        """The rank of one module."""
        return int(_first(self.ranks, module, self.r))

    def scale(self, module: str) -> float:
        """The number that multiplies ``up @ down`` of one module."""
        r = self.rank(module)
        return _first(self.alphas, module, self.alpha) / (math.sqrt(r) if self.rslora else r)

    def targets(self, module: str) -> bool:
        """Whether PEFT would adapt this module; a regular expression is taken at its word."""
        named = self.rest.get("target_modules")
        if not isinstance(named, list):
            return True
        return any(module == name or module.endswith(f".{name}") for name in named)


def _first(patterns: Patterns, module: str, default: int | float) -> int | float:
    return next((value for pattern, value in patterns if pattern.match(module)), default)


def config(file: Path) -> Config:
    """Return the checked content of an `adapter_config.json`.

    Parameters
    ----------
    file : Path
        The file, at most 16 MiB.

    Returns
    -------
    Config
        Such that PEFT's update of module ``x`` is ``scale(x)`` times its two factors.

    Raises
    ------
    AdapterError
        If a value has the wrong type, or the adapter's effect is more than a low-rank update.
    """
    values = json_file(file, LIMIT)
    _representable(file, values)
    rest = {k: v for k, v in values.items() if k in HANDED_ON or k not in KNOWN}
    _typed(file, values, "task_type", str, "")
    _typed(file, values, "fan_in_fan_out", bool, False)
    _typed(file, values, "auto_mapping", dict, {})
    targets = values.get("target_modules")
    if not (targets is None or isinstance(targets, str)) and not (
        isinstance(targets, list) and all(isinstance(name, str) for name in targets)
    ):
        fact = f"target_modules is {shown(targets)}"
        raise refusal(file, fact, "it must be a list of names, a regular expression or null")
    return Config(
        file,
        _positive(file, "r", values.get("r", 8)),
        _finite(file, "lora_alpha", values.get("lora_alpha", 8)),
        _typed(file, values, "use_rslora", bool, False),
        _patterns(file, values, "rank_pattern"),
        _patterns(file, values, "alpha_pattern"),
        _typed(file, values, "base_model_name_or_path", str, ""),
        rest,
    )


def _representable(file: Path, values: dict[str, Any]) -> None:
    """Refuse everything whose effect is not base + scale · up · down."""
    kind = values.get("peft_type")
    if kind != "LORA":
        raise refusal(file, f"peft_type is {shown(kind)}", 'only "LORA" adapters can be read')
    if values.get("bias", "none") != "none":
        fact = f"bias is {shown(values['bias'])}: biases of the base were trained"
        raise refusal(file, fact, 'train with bias="none"')
    for key, (reason, remedy) in REFUSED.items():
        if values.get(key):
            raise refusal(file, f"{key} is {shown(values[key])}: {reason}", remedy)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        fact = f"init_lora_weights is {shown(start)}: this start changes the base weights"
        raise refusal(file, fact, _CONVERT)


def _typed(file: Path, values: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise refusal(file, f"{key} is {shown(value)}", f"it must be a {kind.__name__} or null")
    return value


def _positive(file: Path, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refusal(file, f"{key} is {shown(value)}", "it must be a whole number, 1 or more")
    return value


def _finite(file: Path, key: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise refusal(file, f"{key} is {shown(value)}", "it must be a finite number below 1e30")
    return value


def _patterns(file: Path, values: dict[str, Any], key: str) -> Patterns:
    check = _positive if key == "rank_pattern" else _finite
    found = _typed(file, values, key, dict, {})
    return tuple(
        (_compiled(file, key, text), check(file, f"{key}[{shown(text)}]", value))
        for text, value in found.items()
    )


def _compiled(file: Path, key: str, text: str) -> "re.Pattern[str]":
    """PEFT's rule: the pattern, from the start or after a dot, up to the end of the name."""
    bare = re.sub(r"\\.", "", text)
    loops, forks = len(re.findall(r"[*+{]", bare)), len(re.findall(r"[(?]", bare))
    if re.search(r"\)[*+{]", bare) or loops > 4 or forks > 16:
        fact = f"{key} has the pattern {shown(text)}, which could take for ever to match"
        raise refusal(file, fact, "write the module's name or a simpler pattern")
    try:
        with warnings.catch_warnings(action="ignore"):
            return re.compile(rf"(.*\.)?({text})$")
    except (re.error, RecursionError, OverflowError) as error:
        fact = f"{key} has the pattern {shown(text)}, no regular expression ({error})"
        raise refusal(file, fact, "correct the pattern or write the module's name") from None
