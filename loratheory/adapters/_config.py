"""PEFT's folders: the names in them, and ranks, scales and targets by PEFT's own rules."""

import math
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratheory.adapters._adapter import refusal, shown
from loratheory.adapters._files import json_file

NAME = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = "adapter_model.safetensors.index.json"
PREFIX = "base_model.model."
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
IS_ON_WHEN_EMPTY = (  # in PEFT
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "trainable_token_indices",
    "use_bdlora",
)
TASKS = ["SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"]
CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
KEEPS_BASE = ("gaussian", "eva", "orthogonal", "mica")
DEFAULTS = {
    "q_proj v_proj": "gpt_neo gptj llama mistral mixtral opt stablelm gemma gemma2 qwen2 qwen3",
    "q_proj v_proj fc1 fc2": "phi",
    "c_attn": "gpt2 gpt_bigcode",
    "query_key_value": "bloom falcon gpt_neox",
}
"""PEFT's targets where a file names none, by the base's `model_type`."""
HANDED_ON = ("task_type", "auto_mapping", "revision", "fan_in_fan_out", "target_modules")
_READ = """peft_type base_model_name_or_path r lora_alpha use_rslora bias rank_pattern alpha_pattern
exclude_modules layers_to_transform layers_pattern ensure_weight_tying init_lora_weights
corda_config lora_ga_config loftq_config"""
_IDLE = """peft_version inference_mode lora_dropout megatron_core eva_config velora_config
qalora_group_size runtime_config"""
PROJECTION = ".base_layer.out_proj"  # of an nn.MultiheadAttention; its block decides for it
TWICE = 2.0  # PEFT 0.21 adds the update of that projection twice: in the block and in the layer
KNOWN = frozenset([*REFUSED, *HANDED_ON, *_READ.split(), *_IDLE.split()])


class Pattern:
    """A regular expression from a stranger's file, matched as PEFT does but never for ever.

    Parameters
    ----------
    place : str
        The file and the key, for messages.
    text : str
        What the file says.
    form : str
        The expression around it, which need not match to the end of a name; ``{}`` stands for
        `text`. Without a form the whole name must match.

    Raises
    ------
    AdapterError
        If `text` is no regular expression.
    """

    def __init__(self, place: str, text: str, form: str = "") -> None:
        self._place, self._text, self._entire = place, text, not form
        expression = form.replace("{}", text) or text
        try:
            with warnings.catch_warnings(action="ignore"):
                self._plain = re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            fact = f"the pattern {shown(text)} is no regular expression ({error})"
            raise refusal(place, fact, "correct it or write the module's name") from None
        self._slow = None
        if re.search(r"[*+?{]", text):  # only repetition can take long; `re` knows no time limit
            import regex

            with warnings.catch_warnings(action="ignore"):
                self._slow = regex.compile(expression)

    def match(self, name: str) -> Any:
        """The match from the start of `name`, if any; refused where it takes over a second."""
        if self._slow is None:
            return self._plain.fullmatch(name) if self._entire else self._plain.match(name)
        try:
            search = self._slow.fullmatch if self._entire else self._slow.match
            return search(name, timeout=1.0)
        except TimeoutError:
            fact = f"the pattern {shown(self._text)} takes over a second to match {shown(name)}"
            raise refusal(self._place, fact, "write the module's name or a simpler one") from None


Patterns = tuple[tuple[Pattern, int | float], ...]
Names = Pattern | tuple[str, ...]


@dataclass(frozen=True)
class Targets:
    """Which modules PEFT adapts.

    Attributes
    ----------
    names : Pattern, tuple of str or None
        `target_modules`: an expression for the whole name, ends of names, or whatever there is.
    excluded : Pattern or tuple of str
        `exclude_modules`, likewise.
    layers : tuple of int or None
        `layers_to_transform`; None for all.
    before : tuple of Pattern
        `layers_pattern`: what stands before a layer's number.
    """

    names: Names | None
    excluded: Names
    layers: tuple[int, ...] | None
    before: tuple[Pattern, ...]

    def include(self, module: str) -> bool:
        """PEFT's rule; a name that stands in the list as a whole is taken in every layer."""
        if _matches(self.excluded, module):
            return False
        if self.names is None:
            return True
        if isinstance(self.names, Pattern) or self.layers is None or module in self.names:
            return _matches(self.names, module)
        numbered = next(filter(None, (pattern.match(module) for pattern in self.before)), None)
        number = (numbered["idx"].lstrip("0") or "0") if numbered else ""
        return _matches(self.names, module) and number in {str(layer) for layer in self.layers}


def _matches(names: Names, module: str) -> bool:
    if isinstance(names, Pattern):
        return bool(names.match(module))
    return any(module == name or module.endswith(f".{name}") for name in names)


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
    targets : Targets
        Which modules PEFT adapts.
    tied : bool
        Whether a head tied to an embedding shares its adapter, whatever `targets` says.
    base : str
        The base model, empty where unknown.
    rest : mapping
        Keys that do not touch the effect, unknown ones included.
    notes : tuple of str
        What the user should know, in sentences.
    """

    file: Path
    r: int
    alpha: int | float
    rslora: bool
    ranks: Patterns
    alphas: Patterns
    targets: Targets
    tied: bool
    base: str
    rest: Mapping[str, Any]
    notes: tuple[str, ...]

    def rank(self, module: str) -> int:
        """The rank of one module."""
        return int(_first(self.ranks, module, self.r))

    def scale(self, module: str) -> float:
        """The number that multiplies ``up @ down`` of one module."""
        r = self.rank(module)
        scale = _first(self.alphas, module, self.alpha) / (math.sqrt(r) if self.rslora else r)
        return TWICE * scale if module.endswith(PROJECTION) else scale

    def adapts(self, module: str) -> bool:
        """Whether PEFT would adapt this module, as far as the file alone can tell."""
        return self.targets.include(_owner(module))


def _owner(module: str) -> str:
    """The module whose name PEFT's rules see."""
    return module.removesuffix(PROJECTION)


def _first(patterns: Patterns, module: str, default: int | float) -> int | float:
    name = _owner(module)
    return next((value for pattern, value in patterns if pattern.match(name)), default)


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
    _loadable(file, values)
    _typed(file, values, "revision", str, "")
    _typed(file, values, "fan_in_fan_out", bool, False)
    _typed(file, values, "auto_mapping", dict, {})
    return Config(
        file,
        _positive(file, "r", values.get("r", 8)),
        _finite(file, "lora_alpha", values.get("lora_alpha", 8)),
        _typed(file, values, "use_rslora", bool, False),
        _numbers(file, values, "rank_pattern"),
        _numbers(file, values, "alpha_pattern"),
        _targets(file, values),
        _typed(file, values, "ensure_weight_tying", bool, False),
        _typed(file, values, "base_model_name_or_path", str, ""),
        {k: v for k, v in values.items() if k in HANDED_ON or k not in KNOWN},
        tuple(_notes(file, values)),
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
        value = values.get(key)
        if value or (value is not None and key in IS_ON_WHEN_EMPTY):
            raise refusal(file, f"{key} is {shown(value)}: {reason}", remedy)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        fact = f"init_lora_weights is {shown(start)}: this start changes the base weights"
        raise refusal(file, fact, _CONVERT)


def _loadable(file: Path, values: dict[str, Any]) -> None:
    """Refuse values that do not touch the effect but with which PEFT would not load the adapter."""
    task, dropout = values.get("task_type"), values.get("lora_dropout", 0.0)
    if task is not None and task not in TASKS:
        raise refusal(file, f"task_type is {shown(task)}", f"it must be null or {', '.join(TASKS)}")
    if not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        fact = f"lora_dropout is {shown(dropout)}"
        raise refusal(file, fact, "it must be a number from 0 to 1")
    for key in ("rank_pattern", "alpha_pattern"):
        if key in values and values[key] is None:
            raise refusal(file, f"{key} is null", "it must be an object, {} where it is empty")
    for key in (name for name in _READ.split() + _IDLE.split() if name.endswith("_config")):
        if not isinstance(values.get(key, {}), dict | None):
            raise refusal(file, f"{key} is {shown(values[key])}", "it must be an object or null")
    start = values.get("init_lora_weights")
    if start is not None and not isinstance(start, bool | str):
        fact = f"init_lora_weights is {shown(start)}"
        raise refusal(file, fact, "it must be true, false or the name of a start")


def _notes(file: Path, values: dict[str, Any]) -> list[str]:
    """What the file says that is not in the numbers read."""
    notes = []
    unknown = [key for key, value in values.items() if key not in KNOWN and value]
    if unknown:
        names = shown(", ".join(unknown))
        notes.append(f"{file} has keys unknown here ({names}): no effect of theirs is counted")
    if values.get("target_modules") is None and _default_targets(values) is None:
        fact = f"{file} has no target_modules, for which PEFT takes its default for the base"
        notes.append(f"{fact}: every module is counted, those that PEFT would leave out too")
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in KEEPS_BASE:
        fact = f"{file}: init_lora_weights is {shown(start)}, a start unknown here"
        notes.append(f"{fact}: it is taken to leave the base weights alone")
    other = [key for key in ("corda_config", "lora_ga_config", "loftq_config") if values.get(key)]
    if other:
        fact = f"{file} has {other[0]}, of a start that changes the base weights"
        notes.append(f"{fact}: it is taken to have been converted when it was saved")
    return notes


_LAYER = r"{}\.(?P<idx>\d+)\."


def _targets(file: Path, values: dict[str, Any]) -> Targets:
    names = _names(file, values, "target_modules")
    if names is None:
        names = _default_targets(values)
    layers, before = values.get("layers_to_transform"), _names(file, values, "layers_pattern")
    if isinstance(layers, int) and not isinstance(layers, bool):
        layers = [layers]
    if not (layers is None or (isinstance(layers, list) and all(type(n) is int for n in layers))):
        fact = f"layers_to_transform is {shown(layers)}"
        raise refusal(file, fact, "it must be a whole number, a list of them or null")
    wrong = "layers_to_transform" if layers is not None else "layers_pattern" if before else ""
    if wrong and isinstance(names, str):
        fact = f"{wrong} stands beside a target_modules that is an expression, which PEFT refuses"
        raise refusal(file, fact, "name the layers in one of the two")
    if before and layers is None:
        fact = "layers_pattern stands without layers_to_transform, which PEFT refuses"
        raise refusal(file, fact, "name the layers or remove layers_pattern")
    every = isinstance(names, str) and names.lower() == "all-linear"
    forms = [before] if isinstance(before, str) else before or []
    place = f"{file}: layers_pattern"
    return Targets(
        None if every else _chosen(file, "target_modules", names),
        _chosen(file, "exclude_modules", _names(file, values, "exclude_modules")) or (),
        tuple(layers) if layers else None,
        tuple(Pattern(place, form, r"(?:^|.*?\.)" + _LAYER) for form in forms if form)
        or (Pattern(place, "", r".*?\.[^.]*" + _LAYER),),
    )


def _default_targets(values: dict[str, Any]) -> str | list[str] | None:
    """PEFT's targets for the base where the file names none; None where nobody here can tell."""
    base = values.get("base_model_name_or_path") or "nowhere"
    file = os.path.join(base, "config.json")  # noqa: PTH118 - `isfile` bears any name
    kind = json_file(Path(file), LIMIT).get("model_type") if os.path.isfile(file) else None  # noqa: PTH113
    return next((names.split() for names, of in DEFAULTS.items() if kind in of.split()), None)


def _names(file: Path, values: dict[str, Any], key: str) -> str | list[str] | None:
    value = values.get(key)
    listed = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if value is None or isinstance(value, str) or listed:
        return value
    fact = f"{key} is {shown(value)}"
    raise refusal(file, fact, "it must be a list of names, a regular expression or null")


def _chosen(file: Path, key: str, names: str | list[str] | None) -> Names | None:
    if isinstance(names, str):
        return Pattern(f"{file}: {key}", names)
    return None if names is None else tuple(names)


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


def _numbers(file: Path, values: dict[str, Any], key: str) -> Patterns:
    """PEFT's rule: the pattern, from the start or after a dot, up to the end of the name."""
    check = _positive if key == "rank_pattern" else _finite
    entries = _typed(file, values, key, dict, {})
    return tuple(
        (
            Pattern(f"{file}: {key}", text, r"(.*\.)?({})$"),
            check(file, f"{key}[{shown(text)}]", value),
        )
        for text, value in entries.items()
    )
