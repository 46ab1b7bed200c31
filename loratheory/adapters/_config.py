"""What PEFT's `adapter_config.json` says, by PEFT's own rules, and what its tensors are called."""

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from loratheory.adapters._adapter import PARAMETERS, refusal, shown
from loratheory.adapters._files import json_file, model_config

_EXPORT = "export it as a plain LoRA adapter first"
_CONVERT = (
    "convert it with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...)"
)
REFUSED = {
    "layer_replication": ("the layers of the base are repeated", "use a base with these layers"),
    "alora_invocation_tokens": ("the adapter acts on some tokens only", _EXPORT),
    "use_qalora": ("inputs are pooled before the adapter", _EXPORT),
    "use_bdlora": ("the factors are block-diagonal", _EXPORT),
    "kasa_config": ("the base weight is truncated", _EXPORT),
    "monteclora_config": ("the factors are random", _EXPORT),
    "arrow_config": ("the adapter is a router over others", "give the routed adapters instead"),
    "megatron_config": ("the factors are split over devices", _EXPORT),
}
"""Keys that make the effect other than base + scale · up · down: why, and what to do."""
IS_ON_WHEN_EMPTY = (  # in PEFT
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "use_bdlora",
)
CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
KEEPS_BASE = ("gaussian", "eva", "orthogonal", "mica")
TASKS = ["SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"]
DEFAULTS = {
    "q_proj v_proj": "gpt_neo gptj llama mistral mixtral opt stablelm gemma gemma2 qwen2 qwen3",
    "q_proj v_proj fc1 fc2": "phi",
    "c_attn": "gpt2 gpt_bigcode",
    "query_key_value": "bloom falcon gpt_neox",
}
"""PEFT's targets where a file names none, by the base's `model_type`."""

_LIMIT = 16 * 2**20  # bytes
_SECONDS = 1.0  # that a pattern may take to match one name

Check = tuple[Callable[[Any], bool], str]


def _or_null(*kinds: type) -> Check:
    names = {str: "a text", bool: "true, false", dict: "an object"}
    words = " or ".join(names[kind] for kind in kinds)
    return lambda value: value is None or isinstance(value, kinds), f"it must be {words} or null"


def _by_module(rows: Any) -> dict[str, Any]:
    """Rows by the module's name; PEFT has a list mean the embedding of the input."""
    return rows if isinstance(rows, dict) else {"": rows or []}


def _listed(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


_WHOLE: Check = (
    lambda value: type(value) is int and value >= 1,
    "it must be a whole number, 1 or more",
)
_NUMBER: Check = (
    lambda value: type(value) in (int, float) and abs(value) < 1e30,
    "it must be a finite number below 1e30",
)
_NAMES: Check = (
    lambda value: value is None or isinstance(value, str) or _listed(value, str),
    "it must be a list of names, a regular expression or null",
)
_LISTED: Check = (
    lambda value: value is None or _listed(value, str),
    "it must be a list of names or null",
)
_PATTERN: Check = (lambda value: isinstance(value, dict), "it must be an object, {} if empty")
_TEXT, _SWITCH, _OBJECT = _or_null(str), _or_null(bool), _or_null(dict)
CHECKS: dict[str, Check] = {
    "r": _WHOLE,
    "lora_alpha": _NUMBER,
    "rank_pattern": _PATTERN,
    "alpha_pattern": _PATTERN,
    "target_modules": _NAMES,
    "exclude_modules": _NAMES,
    "layers_pattern": _NAMES,
    "layers_to_transform": (
        lambda value: value is None or type(value) is int or _listed(value, int),
        "it must be a whole number, a list of them or null",
    ),
    "init_lora_weights": (
        lambda value: value is None or isinstance(value, bool | str),
        "it must be true, false or the name of a start",
    ),
    "lora_dropout": (
        lambda value: isinstance(value, int | float) and 0 <= value <= 1,
        "it must be a number from 0 to 1",
    ),
    "task_type": (
        lambda value: value is None or value in TASKS,
        f"it must be null or {', '.join(TASKS)}",
    ),
    "bias": (
        lambda value: value in ("none", "all", "lora_only"),
        "it must be none, all or lora_only",
    ),
    PARAMETERS: _LISTED,
    "modules_to_save": _LISTED,
    "trainable_token_indices": (
        lambda value: all(_listed(rows, int) for rows in _by_module(value).values()),
        "it must be a list of rows, or such lists by module",
    ),
    **dict.fromkeys(("use_rslora", "fan_in_fan_out", "ensure_weight_tying"), _SWITCH),
    **dict.fromkeys(("use_dora", "lora_bias"), _SWITCH),
    **dict.fromkeys(("base_model_name_or_path", "revision"), _TEXT),
    **dict.fromkeys(("auto_mapping", "corda_config", "lora_ga_config", "loftq_config"), _OBJECT),
    **dict.fromkeys(("eva_config", "velora_config", "runtime_config"), _OBJECT),
}
"""What PEFT takes as the value of a key that a file has, and what to say where it does not."""

HANDED_ON = (
    "task_type",
    "auto_mapping",
    "revision",
    "fan_in_fan_out",
    "target_modules",
    PARAMETERS,
)
_OTHERS = ("peft_type", "peft_version", "inference_mode", "megatron_core")
KNOWN = frozenset([*REFUSED, *CHECKS, *_OTHERS, "qalora_group_size"])

WRAPPED = ".base_layer"
PROJECTION = ".base_layer.out_proj"  # of an nn.MultiheadAttention; its block decides for it
TWICE = 2.0  # PEFT 0.21 adds the update of that projection twice: in the block and in the layer


def handed_on(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that do not change the adapter's effect, unknown ones included."""
    return {key: value for key, value in values.items() if key in HANDED_ON or key not in KNOWN}


class Pattern:
    """A regular expression from an untrusted file, matched as PEFT does but with a time limit.

    `place` names the file and the key in messages. Without a `form`, `text` must match a name to
    its end; a `form` is an expression with ``{}`` in place of `text`, which need not. Raises
    AdapterError if `text` is not a regular expression.
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
        """Return the match at the start of `name`, if any; AdapterError after over a second."""
        if self._slow is None:
            return self._plain.fullmatch(name) if self._entire else self._plain.match(name)
        try:
            search = self._slow.fullmatch if self._entire else self._slow.match
            return search(name, timeout=_SECONDS)
        except TimeoutError:
            fact = f"the pattern {shown(self._text)} takes over a second to match {shown(name)}"
            raise refusal(self._place, fact, "write the module's name or a simpler one") from None


Names = Pattern | tuple[str, ...] | None


def _matches(names: Names, module: str) -> bool:
    if isinstance(names, Pattern):
        return bool(names.match(module))
    return any(module == name or module.endswith(f".{name}") for name in names or ())


class Config:
    """The checked content of an `adapter_config.json` of at most 16 MiB.

    PEFT's update of module ``x`` is ``scale(x)`` times its two factors, of inner size ``rank(x)``;
    it loads modules for which ``adapts(x)``. Raises `AdapterError` if a value has the wrong type,
    or the adapter's effect is more than a low-rank update.
    """

    def __init__(self, file: Path, values: dict[str, Any] | None = None) -> None:
        values = json_file(file, _LIMIT) if values is None else values
        _representable(file, values)
        for key, (accepts, remedy) in CHECKS.items():
            if key in values and not accepts(values[key]):
                raise refusal(file, f"{key} is {shown(values[key])}", remedy)
        self.base = str(values.get("base_model_name_or_path") or "")
        self.tied = bool(values.get("ensure_weight_tying"))
        self.dora = bool(values.get("use_dora"))
        self.biased = bool(values.get("lora_bias"))
        self.bias = values.get("bias", "none") != "none"
        self.rest = handed_on(values)
        self._values, self._file = values, file
        self._ranks = self._patterns("rank_pattern", _WHOLE)
        self._alphas = self._patterns("alpha_pattern", _NUMBER)
        targets = values.get("target_modules")
        if targets is None and values.get(PARAMETERS):
            targets = []
        if targets is None:  # PEFT then takes its default for the base
            kind = model_config(self.base or "nowhere").get("model_type")
            fitting = (names.split() for names, of in DEFAULTS.items() if kind in of.split())
            targets = next(fitting, None)
        self._targets(targets)
        self.notes = tuple(_notes(file, values, targets is None))

    def _patterns(self, key: str, check: Check) -> list[tuple[Pattern, int | float]]:
        """PEFT's rule: the pattern, from the start or after a dot, up to the end of the name."""
        patterns = []
        for text, value in self._values.get(key, {}).items():
            if not check[0](value):
                raise refusal(self._file, f"{key}[{shown(text)}] is {shown(value)}", check[1])
            patterns.append((Pattern(f"{self._file}: {key}", text, r"(.*\.)?({})$"), value))
        return patterns

    def _targets(self, names: str | list[str] | None) -> None:
        """Which modules PEFT adapts: ends of names, or an expression for the whole name."""
        layers, before = self._values.get("layers_to_transform"), self._values.get("layers_pattern")
        beside = "layers_to_transform" if layers is not None else "layers_pattern" if before else ""
        if beside and isinstance(names, str):
            fact = f"{beside} beside a target_modules that is an expression is refused by PEFT"
            raise refusal(self._file, fact, "name the layers in one of the two")
        if before and layers is None:
            fact = "layers_pattern stands without layers_to_transform, which PEFT refuses"
            raise refusal(self._file, fact, "name the layers or remove layers_pattern")
        self._every = names is None or (isinstance(names, str) and names.lower() == "all-linear")
        self._names = None if self._every else self._chosen("target_modules", names)
        self._excluded = self._chosen("exclude_modules", self._values.get("exclude_modules"))
        self._layers = {str(n) for n in ([layers] if isinstance(layers, int) else layers or ())}
        number, place = r"{}\.(?P<idx>\d+)\.", f"{self._file}: layers_pattern"
        forms = [before] if isinstance(before, str) else before or []
        self._before = [Pattern(place, form, r"(?:^|.*?\.)" + number) for form in forms if form]
        self._before = self._before or [Pattern(place, "", r".*?\.[^.]*" + number)]

    def _chosen(self, key: str, names: str | list[str] | None) -> Names:
        if isinstance(names, str):
            return Pattern(f"{self._file}: {key}", names)
        return None if names is None else tuple(names)

    def rank(self, module: str) -> int:
        """Return the rank of one module."""
        return int(_first(self._ranks, module, self._values.get("r", 8)))

    def scale(self, module: str) -> float:
        """Return the number that multiplies ``up @ down`` of one module."""
        r = self.rank(module)
        alpha = _first(self._alphas, module, self._values.get("lora_alpha", 8))
        scale = alpha / (math.sqrt(r) if self._values.get("use_rslora") else r)
        return TWICE * scale if module.endswith(PROJECTION) else scale

    def parameters(self, module: str) -> list[str]:
        """The parameters of a module that are adapted as such; PEFT nests one in another."""
        while module.endswith(WRAPPED):
            module = module.removesuffix(WRAPPED)
        named = (name.rpartition(".") for name in self._values.get(PARAMETERS) or ())
        return [f"{module}.{own}" for owner, _, own in named if _matches((owner,), module)]

    def saved(self, key: str) -> str:
        """Return the module of `modules_to_save` that a tensor belongs to, or '' if none.

        PEFT compares ends of names, even within a word: ``norm`` also matches ``layernorm``.
        """
        path = key.split(".")
        names = tuple(self._values.get("modules_to_save") or ())
        above = (".".join(path[:length]) for length in range(1, len(path)))
        return next((module for module in above if module.endswith(names)), "")

    def rows(self, module: str) -> list[int]:
        """Return which rows of an embedding were trained."""
        found = _by_module(self._values.get("trainable_token_indices"))
        return next((r for name, r in found.items() if not name or _matches((name,), module)), [])

    def adapts(self, module: str) -> bool:
        """Whether PEFT adapts this module, as far as the file alone can tell."""
        if self.parameters(module):
            return True
        module = module.removesuffix(PROJECTION)
        if _matches(self._excluded, module):
            return False
        if self._every:
            return True
        listed = isinstance(self._names, tuple) and module in self._names
        if not self._layers or listed:  # a name that is listed as a whole counts in every layer
            return _matches(self._names, module)
        numbered = next(filter(None, (pattern.match(module) for pattern in self._before)), None)
        number = (numbered["idx"].lstrip("0") or "0") if numbered else ""
        return _matches(self._names, module) and number in self._layers


def _first(
    patterns: list[tuple[Pattern, int | float]], module: str, default: int | float
) -> int | float:
    """The value of the first pattern in the file that matches, as in PEFT."""
    name = module.removesuffix(PROJECTION)
    return next((value for pattern, value in patterns if pattern.match(name)), default)


def _representable(file: Path, values: dict[str, Any]) -> None:
    """Refuse everything whose effect is not base + scale · up · down."""
    kind = values.get("peft_type")
    if kind != "LORA":
        raise refusal(file, f"peft_type is {shown(kind)}", 'only "LORA" adapters can be read')
    for key, (reason, remedy) in REFUSED.items():
        value = values.get(key)
        if value or (value is not None and key in IS_ON_WHEN_EMPTY):
            raise refusal(file, f"{key} is {shown(value)}: {reason}", remedy)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        fact = f"init_lora_weights is {shown(start)}: this start changes the base weights"
        raise refusal(file, fact, _CONVERT)


def _notes(file: Path, values: dict[str, Any], untargeted: bool) -> Iterator[str]:
    """What the file says that is not in the numbers read."""
    if unknown := [key for key, value in values.items() if key not in KNOWN and value]:
        names = shown(", ".join(unknown))
        yield f"{file} has keys unknown here ({names}): no effect of theirs is counted"
    if untargeted:
        fact = f"{file} has no target_modules, for which PEFT takes its default for the base"
        yield f"{fact}: every module is counted, those that PEFT would leave out too"
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in KEEPS_BASE:
        fact = f"{file}: init_lora_weights is {shown(start)}, a start unknown here"
        yield f"{fact}: it is taken to leave the base weights alone"
    for key in ("corda_config", "lora_ga_config", "loftq_config"):
        if values.get(key):
            fact = f"{file} has {key}, of a start that changes the base weights"
            yield f"{fact}: it is taken to have been converted when it was saved"


# Names of tensors.

PREFIX = "base_model.model."
ROWS = ".token_adapter.trainable_tokens_delta"
EXPERT = "#"  # between the name of fused experts and the number of one
BIAS = ".lora_B.bias"  # ends the name of the update of a bias: a map of width 1 from one input
_LABEL = r"(?:\.(?P<label>[^.]+))?"
ENDS = (
    ("down", rf"\.lora_A{_LABEL}\.weight"),
    ("up", rf"\.lora_B{_LABEL}\.weight"),
    ("bias", rf"\.lora_B{_LABEL}\.bias"),
    ("down of tokens", rf"\.lora_embedding_A{_LABEL}"),
    ("up of tokens", rf"\.lora_embedding_B{_LABEL}"),
    ("magnitude", r"\.lora_magnitude_vector(?:\.(?P<label>(?!weight$)[^.]+))?(?:\.weight)?"),
)
"""What a key of PEFT ends in, by the role of its tensor; the label is the adapter's name."""


class Key(NamedTuple):
    """A parsed tensor name."""

    module: str
    role: str
    label: str | None  # the adapter's name, where PEFT wrote it


def parsed(key: str, ends: tuple[tuple[str, str], ...] = ENDS) -> Key | None:
    """Return a tensor's name parsed by its ending; None if it belongs to no update."""
    for role, pattern in _compiled(ends):
        if match := pattern.fullmatch(key):
            return Key(match["module"], role, match.groupdict().get("label"))
    return None


@cache
def _compiled(ends: tuple[tuple[str, str], ...]) -> list[tuple[str, re.Pattern[str]]]:
    return [(role, re.compile(f"(?P<module>.+){end}", re.DOTALL)) for role, end in ends]
