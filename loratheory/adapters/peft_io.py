"""PEFT's LoRA folders, read and written; tensors are loaded one by one, and nothing is unpickled.

Files need not be trusted. JSON is parsed strictly, the safetensors library checks the layout of a
file, and whatever is not a plain low-rank update is refused in one line that names what to do.
Numbers are read by seek and read, not by mapping files into memory, since pages of an open mapping
count as memory in use.

Sections: places, configuration, tensors, reading, writing.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters.adapter import (
    DTYPES,
    Adapter,
    AdapterError,
    AdapterOrPath,
    Info,
    join_dtypes,
    refusal,
)
from loratheory.arguments import shown
from loratheory.lowrank import LowRank, array_namespace, host
from loratheory.shapes import Float
from loratheory.store import draft

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "adapter_card.json"
PREFIX = "base_model.model."
OTHER_DIALECTS = (
    "only folders that PEFT saved are read: load files of diffusers, kohya or ComfyUI "
    "with diffusers, and save them with save_pretrained"
)
FOLD = "fold it into its base with PEFT's merge_and_unload, and merge the models with mergekit"
RESTORE = "restore the file as PEFT saved it"
_CONFIG_LIMIT = 16 * 2**20  # bytes
# Entries must be smaller in size. Squares of larger ones overflow float32, in which adapters run.
LARGEST = 1e18


# Places.


def locate(
    place: str | os.PathLike[str],
    subfolder: str = "",
    revision: str | None = None,
    *,
    download: bool = False,
) -> Path:
    """Return an adapter's folder on this disk; the arguments are those of `read_adapter`."""
    path = Path(place)
    if revision and os.path.lexists(path):
        remedy = "leave the revision out: it names a commit of a Hugging Face id"
        raise refusal(path, f"is a folder, and there is a revision {shown(revision)}", remedy)
    # A name is taken for an id of the hub only if nothing on the disk has it.
    if not os.path.lexists(path):
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", os.fspath(place)) or ".." in path.parts:
            raise refusal(path, "there is no such folder", "name one that PEFT saved")
        path = _of_hub(os.fspath(place), subfolder.rstrip("/"), revision, download=download)
    home = path / subfolder
    if not home.is_dir():
        fact = "is a file" if home.is_file() else f"holds no folder {shown(subfolder)}"
        raise refusal(path, fact, OTHER_DIALECTS)
    return home


def _of_hub(name: str, subfolder: str, revision: str | None, *, download: bool) -> Path:
    """The snapshot of a repository of the Hugging Face hub, in the cache or fetched."""
    start = f"{subfolder}/" if subfolder else ""
    try:
        from huggingface_hub import snapshot_download

        # PEFT's own two files and nothing else, least of all a pickled one.
        patterns = [start + CONFIG, start + WEIGHTS]
        options: Any = {"allow_patterns": patterns, "local_files_only": not download}
        return Path(snapshot_download(name, revision=revision, **options))
    except Exception as error:  # of many kinds: no such id, no network, a broken cache
        if download and isinstance(error, ModuleNotFoundError):
            raise  # the command names the extra that brings the package
        line = str(error).strip().partition("\n")[0]
        fact = "there is no such folder, and no such id in the Hugging Face cache"
        remedy = "check the path; nothing is fetched unasked: download=True does (--download)"
        if download:
            fact = f"could not be fetched ({line})"
            remedy = "check its name, the revision and the network"
        raise refusal(name, fact, remedy) from None


def _check_folder(home: Path) -> None:
    """Refuse, with directions, a folder without an adapter's two files."""
    if os.path.lexists(home / "route.json"):
        fact = "is a route of `loratheory advise`, whose gates choose by the prompt: no one update"
        remedy = f"run it (loratheory generate), or name one of its adapters, {home / '1'}, …"
        raise refusal(home, f"{fact} does what it does", remedy)
    if not os.path.lexists(home / CONFIG):
        below = sorted(str(path.parent) for path in home.glob(f"*/{CONFIG}"))
        remedy = f"name {' or '.join(below[:3])}" if below else OTHER_DIALECTS
        raise refusal(home, f"holds no {CONFIG}", remedy)
    if not os.path.lexists(home / WEIGHTS):
        pickled = sorted(home.glob("*.bin"))
        if pickled:
            fact = f"the weights are pickled ({shown(pickled[0].name)}), which can run any code"
            raise refusal(home, fact, "have them saved with safe_serialization=True")
        raise refusal(home, f"holds no {WEIGHTS}", "name the folder PEFT saved, with its weights")


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading; AdapterError where that, or a read within, fails."""
    # A pipe would be waited for, and a folder would read as an error without a remedy.
    if path.exists() and not path.is_file():
        raise refusal(path, "this is not a regular file", "put the adapter's own file there")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        fact = f"cannot be read ({reason})"
        raise refusal(path, fact, "check that it exists and may be read") from None


def json_file(path: Path, limit: int = _CONFIG_LIMIT, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object that a file of at most `limit` bytes holds; see `json_object`."""
    with opened(path) as source:
        text = source.read(limit + 1)
    if len(text) > limit:
        raise refusal(path, f"has more than {limit} bytes", "use the adapter's own file")
    return json_object(path, text, remedy)


def json_object(path: Path, text: bytes, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object in `text`; AdapterError, which names `path`, if it is none."""

    def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            message = "a key occurs twice"
            raise ValueError(message)
        return dict(pairs)

    try:
        values = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise refusal(path, f"is not JSON ({error})", remedy) from None
    if not isinstance(values, dict):
        raise refusal(path, f"holds {shown(values)}, not a JSON object", remedy)
    return values


# The configuration.

# Keys of PEFT's configuration that make the effect other than base + scale · up · down.
REFUSED = (
    *("use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters"),
    *("layer_replication", "alora_invocation_tokens", "use_qalora", "use_bdlora", "kasa_config"),
    *("monteclora_config", "arrow_config", "megatron_config"),
)

# Beginnings of `init_lora_weights` that move the base's weights before training.
CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")

HANDED_ON = ("task_type", "auto_mapping", "revision", "fan_in_fan_out")
_WITHOUT_EFFECT = (
    *("peft_version", "inference_mode", "megatron_core", "lora_dropout", "ensure_weight_tying"),
    *("exclude_modules", "layers_pattern", "layers_to_transform", "qalora_group_size"),
    *("corda_config", "lora_ga_config", "loftq_config", "eva_config", "velora_config"),
    *("runtime_config", "init_lora_weights"),
)

# The keys that are used, the types that PEFT takes as their values, and how to name those.
CHECKS: dict[str, tuple[Any, str]] = {
    "r": (int, "a whole number, 1 or more"),
    "lora_alpha": (int | float, "above 0 (a negative weight subtracts an adapter) and below 1e18"),
    "rank_pattern": (dict, "an object, {} if empty"),
    "alpha_pattern": (dict, "an object, {} if empty"),
    "use_rslora": (bool | None, "true, false or null"),
    "fan_in_fan_out": (bool | None, "true, false or null"),
    "target_modules": (str | list | None, "a list of names, a regular expression or null"),
    "base_model_name_or_path": (str | None, "a text or null"),
    "revision": (str | None, "a text or null"),
    "task_type": (str | None, "a text or null"),
}
_KNOWN = {"peft_type", "bias", *REFUSED, *CHECKS, *HANDED_ON, *_WITHOUT_EFFECT}


def hand_on(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that do not change the adapter's effect, unknown ones included."""
    return {key: value for key, value in values.items() if key in HANDED_ON or key not in _KNOWN}


class Config:
    """The checked content of an ``adapter_config.json``.

    PEFT's update of module ``x`` is ``scale(x)`` times its two factors, of inner size ``rank(x)``.
    Raises `AdapterError` if a value has the wrong type, or the adapter's effect is more than a
    low-rank update.
    """

    def __init__(self, file: Path) -> None:
        values = json_file(file)
        _check_effect(file, values)
        for key in CHECKS.keys() & values.keys():
            _check_value(file, key, key, values[key])
        self.base = str(values.get("base_model_name_or_path") or "")
        self.rest = hand_on(values)
        self.notes: tuple[str, ...] = ()
        unknown = [key for key, value in values.items() if key not in _KNOWN and value]
        if unknown:
            fact = f"{file} has keys unknown here ({shown(', '.join(unknown))})"
            self.notes = (f"{fact}: no effect of theirs is counted",)
        self._file, self._values = file, values
        self._patterns = {
            "r": self._compile("rank_pattern", "r"),
            "lora_alpha": self._compile("alpha_pattern", "lora_alpha"),
        }

    def _compile(self, key: str, like: str) -> dict[re.Pattern[str], Any]:
        """PEFT's rule: the pattern, from the start or after a dot, up to the end of the name."""
        patterns = {}
        for text, value in self._values.get(key, {}).items():
            _check_value(self._file, f"{key}[{shown(text)}]", like, value)
            # Python's `re` knows no time limit: what could take exponential time is not tried.
            repeats = re.findall(r"[*+{]|(?<![(*+}?])\?", text)
            if len(text) > 500 or len(repeats) > 2 or re.search(r"\)[*+?{]", text):
                fact = f"{key} has the pattern {shown(text)}, which may take long to match"
                raise refusal(self._file, fact, "write the module's name or a simpler one")
            try:
                patterns[re.compile(rf"(.*\.)?({text})$")] = value
            except (re.error, RecursionError, OverflowError) as error:
                fact = f"{key} has the pattern {shown(text)}, no regular expression ({error})"
                raise refusal(self._file, fact, "correct it or write the module's name") from None
        return patterns

    def rank(self, module: str) -> int:
        """Return the rank of one module."""
        return int(self._find("r", module))

    def scale(self, module: str) -> float:
        """Return the number that multiplies ``up @ down`` of one module."""
        r, alpha = self.rank(module), self._find("lora_alpha", module)
        return float(alpha / (math.sqrt(r) if self._values.get("use_rslora") else r))

    def _find(self, key: str, module: str) -> Any:
        """The value of the first pattern in the file that matches, as in PEFT, or the default."""
        for pattern, value in self._patterns[key].items():
            if pattern.match(module):
                return value
        return self._values.get(key, 8)

    def check_adapted(self, module: str) -> None:
        """Refuse a module with tensors that PEFT would not load, as far as a list of names tells.

        PEFT saves the tensors of what it adapts, so that a disagreement is an edit by hand. What
        expressions match is taken from the tensors that are there.
        """
        targets = self._values.get("target_modules")
        # PEFT also adapts a head that is tied to an embedding, without its name in the list.
        if not isinstance(targets, list) or self._values.get("ensure_weight_tying"):
            return
        if not any(module == name or module.endswith(f".{name}") for name in targets):
            fact = f"target_modules leaves out module {shown(module)}, whose tensors are there"
            raise refusal(self._file, fact, "correct target_modules, or save the adapter again")


def _check_value(file: Path, name: str, like: str, value: Any) -> None:
    """Refuse a value that PEFT does not take for the key `like`."""
    kinds, words = CHECKS[like]
    fine = isinstance(value, kinds)
    if fine and like in ("r", "lora_alpha"):
        # For Python, true is a number.
        fine = not isinstance(value, bool) and 0 < value < LARGEST
    if not fine:
        raise refusal(file, f"{name} is {shown(value)}", f"it must be {words}")


def _check_effect(file: Path, values: dict[str, Any]) -> None:
    """Refuse everything whose effect is not base + scale · up · down."""
    kind = values.get("peft_type")
    if kind != "LORA":
        remedy = FOLD if kind else RESTORE
        raise refusal(file, f'peft_type is {shown(kind)}, and only "LORA" is read', remedy)
    for key in (*REFUSED, "bias"):
        value = values.get(key)
        # An empty object switches some of these on in PEFT.
        if value not in (None, False, [], "none"):
            fact = f"{key} is {shown(value)}, whose effect is more than an added low-rank matrix"
            raise refusal(file, fact, FOLD)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        fact = f"init_lora_weights is {shown(start)}: this start changes the base weights"
        convert = "save_pretrained(path_initial_model_for_weight_conversion=…)"
        raise refusal(file, fact, f"convert it with PEFT's {convert}")


# Tensors.

# How NumPy reads and writes each storage type; bfloat16 is the upper half of float32.
_BITS = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4", "float64": "<f8"}
_CODES = dict(zip(("F16", "BF16", "F32", "F64"), DTYPES, strict=True))


class Tensor(NamedTuple):
    """Where one tensor lies: `start` is its first byte in the file, `stamp` the file's state."""

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stamp: tuple[int, ...]

    @property
    def place(self) -> str:
        """The tensor's name in messages."""
        return f"{self.file}: tensor {shown(self.key)}"


def _stamp(source: BufferedReader) -> tuple[int, ...]:
    state = os.fstat(source.fileno())
    return state.st_size, state.st_ino, state.st_mtime_ns


def header(file: Path) -> dict[str, Tensor]:
    """Return where every tensor lies, after the safetensors library has checked the layout.

    The tensors then fill the file without gap or overlap. Refused if the file is cut, its header
    damaged, or a tensor holds anything but floating-point numbers of 16, 32 or 64 bits.
    """
    with opened(file) as source:  # before the library looks: a later change shows in the stamp
        stamp = _stamp(source)
        try:
            with safe_open(file, framework="numpy"):
                pass
            # Offsets are not in what the library tells, so the header is parsed once more.
            length = int.from_bytes(source.read(8), "little")
            entries = json_object(file, source.read(length))
        except SafetensorError as error:
            fact = f"the safetensors library refuses this file of {stamp[0]} bytes ({error})"
            remedy = "if it was cut or changed, copy or download the file again"
            raise refusal(file, fact, remedy) from None
    entries.pop("__metadata__", None)
    tensors = {}
    for key, entry in entries.items():
        code, shape, start = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"][0]
        tensor = Tensor(file, key, _CODES.get(code, ""), shape, 8 + length + start, stamp)
        if not tensor.dtype:
            remedy = f"save it in one of {', '.join(DTYPES)}"
            raise refusal(tensor.place, f"dtype is {shown(code)}", remedy)
        tensors[key] = tensor
    return tensors


def load(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """Return the numbers of one tensor; the file does not stay open.

    float64 stays; narrower types become float32, which is exact. Refused if the file has changed
    since its header was read, or an entry is NaN or infinite.
    """
    # Room for exactly this tensor, filled from the file without a copy.
    values = np.empty(math.prod(tensor.shape), _BITS[tensor.dtype])
    with opened(tensor.file) as source:
        same = _stamp(source) == tensor.stamp
        source.seek(tensor.start)
        size = source.readinto(values.data.cast("B"))
    if not same or size != values.nbytes:
        raise refusal(tensor.place, "the file changed while it was being read", "read it again")
    if tensor.dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    kind = np.float64 if tensor.dtype == "float64" else np.float32
    with np.errstate(invalid="ignore"):  # signalling NaN, refused in the next step
        wide = values.astype(kind, copy=False).reshape(tensor.shape)
    _check_entries(tensor.place, wide)
    return wide


def _check_entries(place: str, array: Float[np.ndarray, "..."], cause: str = "") -> None:
    # NaN is not below any number.
    good = abs(array) < LARGEST
    if not good.all():
        spot = np.unravel_index(int(good.argmin()), array.shape)
        fact = f"{float(array[spot]):g} at position {list(map(int, spot))}{cause}"
        remedy = f"every entry must be between -{LARGEST:g} and {LARGEST:g}: redo the step"
        raise refusal(place, fact, f"{remedy} that produced it")


# Reading.


class Pair(NamedTuple):
    """The two tensors of one module, and the scale of their product."""

    up: Tensor
    down: Tensor
    scale: float
    embedding: bool


# The module and the role of the tensor in a key of PEFT; factors of embeddings end differently.
_KEY = re.compile(
    r"(.+)\.(?:(lora_[AB])(?:\.default)?\.weight|(lora_embedding_[AB])(?:\.default)?"
    r"|(base_layer)\.weight)",
    re.DOTALL,
)
_RESIZED = re.compile(r"(.*\.)?(lm_head|embed_tokens)\.weight")


def read_adapter(
    place: str | os.PathLike[str],
    *,
    subfolder: str = "",
    revision: str | None = None,
    download: bool = False,
) -> Adapter:
    """Read a LoRA adapter that PEFT saved; only headers are read now, and updates when looked up.

    Parameters
    ----------
    place : path or str
        A folder that PEFT saved, or an id of the Hugging Face hub (``owner/name``). A pickled file
        is never opened.
    subfolder : str
        The folder below `place` that holds the adapter.
    revision : str, optional
        Branch, tag or commit of a hub id.
    download : bool
        Whether an id that is not in the cache may be fetched from the hub.

    Returns
    -------
    Adapter
        ``adapter[module]`` is the update of that linear map or embedding including its scale
        (rank-stabilised, or by rank and alpha patterns, as the configuration asks), in float32
        (float64 if the file has it). Modules are in natural order. A look-up reads two tensors.

    Raises
    ------
    AdapterError
        If the files are damaged, contradict each other, or hold anything but low-rank updates of
        linear maps and embeddings; at a look-up if numbers are not finite.

    Examples
    --------
    >>> persons = read_adapter("tests/data/persons")
    >>> persons.info.base
    'SmolLM2-135M-Instruct (Q4_1, dequantised)'
    >>> persons.shapes["model.layers.0.self_attn.q_proj"]
    (576, 576)
    """
    home = locate(place, subfolder, revision, download=download)
    _check_folder(home)
    config = Config(home / CONFIG)
    pairs, notes = _pairs(home, config)
    halves = [half for pair in pairs.values() for half in (pair.up, pair.down)]
    info = Info(
        name=os.path.join(os.fspath(place), subfolder) if subfolder else os.fspath(place),  # noqa: PTH118
        base=config.base,
        dtype=join_dtypes(half.dtype for half in halves),
        embeddings=frozenset(name for name, pair in pairs.items() if pair.embedding),
        config=config.rest,
        notes=(*config.notes, *notes),
        scales={name: pair.scale for name, pair in pairs.items()},
        base_digest=_read_digest(home / CARD),
    )
    shapes = {name: (pair.up.shape[0], pair.down.shape[1]) for name, pair in pairs.items()}
    return Adapter(lambda name: _update(name, pairs[name]), shapes, info)


def read_all(adapters: Iterable[AdapterOrPath]) -> list[Adapter]:
    """Return adapters, each given as it is or by the place from which `read_adapter` reads it."""
    return [one if isinstance(one, Adapter) else read_adapter(one) for one in adapters]


def _read_digest(card: Path) -> str:
    """Return the digest of base weights that a card records; the updates need no card."""
    content: dict[str, Any] = {}
    with suppress(AdapterError):
        content = json_file(card)
    return str(content.get("base_digest") or "")


def _pairs(home: Path, config: Config) -> tuple[dict[str, Pair], list[str]]:
    """What a folder holds by module, in natural order, and what of it was set aside."""
    # Every tensor must have a role in exactly one module, or PEFT would do something else.
    roles: dict[str, dict[str, Tensor]] = {}
    tensors = header(home / WEIGHTS)
    for key, tensor in tensors.items():
        if not key.startswith(PREFIX):
            fact = f"the key of tensor {shown(key)} does not begin with {PREFIX}"
            raise refusal(tensor.file, fact, OTHER_DIALECTS)
        module, role = _parse(key.removeprefix(PREFIX), tensor)
        if role in roles.setdefault(module, {}):
            fact = f"two tensors claim to be {role} of {shown(module)}"
            raise refusal(tensor.file, fact, "keep the one that belongs to this adapter")
        roles[module][role] = tensor
    if not roles:
        raise refusal(home, "holds no LoRA tensor", "name a LoRA adapter's folder")
    pairs, notes = {}, []
    for module in sorted(roles, key=_order_naturally):
        # A base weight may stand beside an adapted embedding; it is no part of the update.
        base = roles[module].pop("base_layer", None)
        pairs[module] = _pair(f"{home}: module {shown(module)}", module, roles[module], config)
        config.check_adapted(module)
        if base is not None:
            # PEFT stores it beside an adapted embedding, and puts it in place of the base's own.
            fact = f"{base.place} is a base weight, taken for a copy of that of {module}"
            notes.append(f"{fact}: it is set aside")
    return pairs, notes


def _parse(key: str, tensor: Tensor) -> tuple[str, str]:
    """The module and the role that a key tells; all but factors of plain LoRA are refused."""
    if match := _KEY.fullmatch(key):
        module, *roles = match.groups()
        return module, next(filter(None, roles))
    if _RESIZED.fullmatch(key):
        fact = "is a whole embedding or head, which PEFT stores where the vocabulary was resized"
        remedy = "save the adapter with save_embedding_layers=False if it was not trained"
        raise refusal(tensor.place, fact, remedy)
    raise refusal(tensor.place, "is no factor of a plain LoRA", FOLD)


def _order_naturally(name: str) -> list[str]:
    """A key to sort layer 2 before layer 10."""
    return [part.zfill(20) if part.isdecimal() else part for part in name.split(".")]


def _pair(place: str, module: str, roles: Mapping[str, Tensor], config: Config) -> Pair:
    """The tensors of one update, checked against each other and against the configuration."""
    # An embedding or a linear map: a mixture has too many roles and is refused below.
    tokens = any(role.startswith("lora_embedding") for role in roles)
    kind = "lora_embedding" if tokens else "lora"
    if roles.keys() != {f"{kind}_A", f"{kind}_B"}:
        fact = f"has tensors for {' and '.join(sorted(roles))}"
        raise refusal(place, fact, "an update needs exactly lora_A and lora_B: restore the file")
    down, up = roles[f"{kind}_A"], roles[f"{kind}_B"]
    shapes = f"lora_A has shape {[*down.shape]}, lora_B {[*up.shape]}"
    if ".base_layer" in module:
        fact = "belongs to a module that PEFT wraps as a whole, such as torch's attention"
        raise refusal(place, fact, FOLD)
    if len(up.shape) != 2 or len(down.shape) != 2 or 0 in up.shape + down.shape:
        raise refusal(place, shapes, "they must be (r, inputs) and (outputs, r): no convolution")
    if up.shape[1] != down.shape[0]:
        raise refusal(place, f"{shapes}, of different ranks", "restore the weights")
    if config.rank(module) != down.shape[0]:
        fact = f"{shapes}, but {CONFIG} gives it rank {shown(config.rank(module))}"
        raise refusal(place, fact, "correct r or rank_pattern, or restore the weights")
    return Pair(up, down, config.scale(module), tokens)


def _update(name: str, pair: Pair) -> LowRank:
    """The update of one module; `up` is multiplied by the scale."""
    up, down = load(pair.up), load(pair.down)
    # float64 if one factor is.
    wide = max(up.dtype, down.dtype)
    with np.errstate(over="ignore"):
        scaled = up.astype(wide, copy=False) * wide.type(pair.scale)
    _check_entries(pair.up.place, scaled, f" once scaled by {pair.scale:g} for module {name}")
    return LowRank(scaled, down.astype(wide, copy=False))


# Writing.

_OURS = re.compile(
    r"adapter_(config|model|card)\b.*\.(json|safetensors|bin)|README\.md|\.gitattributes"
)


@dataclass(frozen=True)
class Written:
    """What `write_adapter` has put on the disk."""

    folder: Path  #: The folder written.
    dtype: str  #: Storage type of every tensor.
    rounding: float  #: Largest relative Frobenius error of a factor; 0 if none was rounded.


def write_adapter(
    adapter: Adapter,
    place: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    force: bool = False,
    card: Mapping[str, Any] | None = None,
) -> Written:
    """Write an adapter as a folder that PEFT or vLLM can load, and llama.cpp if ranks are equal.

    It is written with scale 1 (alpha equals the rank); where ranks differ, PEFT's rank and alpha
    patterns name each module exactly, which llama.cpp does not read. A module of width 0 becomes
    one of rank 1 with zeros.

    Parameters
    ----------
    adapter : Adapter
        In memory or lazy: one module at a time is looked up, written and released.
    place : path
        The folder, whose parent must exist. It is written under a hidden name and renamed when it
        is complete.
    dtype : str, optional
        float16, bfloat16, float32 or float64; by default that of `adapter.info`, except that
        float64 becomes float32, the precision in which adapters run, unless float64 is given here.
    force : bool
        Whether to replace an adapter at `place`. A folder that holds anything else is never
        replaced.
    card : mapping, optional
        Further information on the adapter, written to ``adapter_card.json`` in the folder, which
        PEFT ignores.

    Returns
    -------
    Written
        Where the adapter lies and how much was rounded: reading it back gives the same updates up
        to ``rounding``.

    Raises
    ------
    AdapterError
        If `place` exists (without `force`) or cannot be written, the adapter has no module, or a
        number is not finite or too large for `dtype`. Nothing on the disk has then changed.

    Examples
    --------
    >>> import tempfile
    >>> persons = lt.read_adapter("tests/data/persons")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_adapter(persons, folder + "/copy")
    ...     len(lt.read_adapter(folder + "/copy"))
    60
    """
    # Adapters run in float32 at most, and a merge is computed in float64.
    if dtype is None:
        dtype = "float32" if adapter.info.dtype == "float64" else adapter.info.dtype
    if dtype not in DTYPES:
        fact = f"the dtype to write (--dtype) is {shown(dtype)}"
        raise refusal(adapter.info.name, fact, f"choose one of {', '.join(DTYPES)}")
    if not len(adapter):
        raise refusal(adapter.info.name, "has no module", "there is nothing to write")
    target = Path(os.path.realpath(place))
    try:
        check_replaceable(target, force=force)
        with draft(target, replace=force) as folder:
            folder.mkdir()
            rounding, widths = _save(folder / WEIGHTS, adapter, dtype)
            config = json.dumps(_config(adapter, widths), indent=2, sort_keys=True)
            (folder / CONFIG).write_text(config + "\n", encoding="utf-8")
            # A merge has no card but the digest that its adapters agree on.
            digest = adapter.info.base_digest
            card = {"base_digest": digest} if card is None and digest else card
            if card is not None:
                text = json.dumps(card, indent=2, ensure_ascii=False)
                (folder / CARD).write_text(text + "\n", encoding="utf-8")
    except FileExistsError:
        remedy = "name another folder, or replace it with force=True (--force)"
        raise refusal(target, "exists already", remedy) from None
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "make room or choose another place; nothing has changed there"
        raise refusal(target, f"cannot be written ({reason})", remedy) from None
    return Written(target, dtype, rounding)


def check_replaceable(target: Path, *, force: bool) -> None:
    """Raise `AdapterError` if an adapter cannot be written there."""
    if not target.parent.is_dir():
        raise refusal(target, "its parent folder does not exist", "make that folder first")
    if os.path.lexists(target) and not target.is_dir():
        raise refusal(target, "is a file", "name a folder")
    # Without force `draft` refuses whatever is there.
    for path in sorted(target.iterdir()) if force and target.is_dir() else ():
        if not _OURS.fullmatch(path.name):
            fact = f"holds {shown(path.name)}, which is no part of an adapter and would be lost"
            raise refusal(target, fact, "move it away or name another folder")


def _config(adapter: Adapter, widths: dict[str, int]) -> dict[str, Any]:
    """Most modules have rank `r`; each other one has patterns anchored to its whole name."""
    # The rank that most modules have is the default, so that few need a pattern.
    [(r, _)] = Counter(widths.values()).most_common(1)
    ranks = {f"^{re.escape(name)}": width for name, width in widths.items() if width != r}
    return {
        **hand_on(adapter.info.config),
        "peft_type": "LORA",
        "base_model_name_or_path": adapter.info.base or None,
        "inference_mode": True,
        "init_lora_weights": True,
        "bias": "none",
        "lora_dropout": 0.0,
        "use_rslora": False,
        "r": r,
        "lora_alpha": r,
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
        "target_modules": [*widths],
    }


def _save(file: Path, adapter: Adapter, dtype: str) -> tuple[float, dict[str, int]]:
    """Write a safetensors file module by module, with one module in memory at a time.

    The header is written last, into room that is kept for it, since a lazy adapter knows the width
    of a module only when it is made; spaces fill what is left. Returns the largest relative
    Frobenius error that `dtype` made in one matrix, and the widths.
    """
    code = dict(zip(_CODES.values(), _CODES, strict=True))[dtype]
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    widest = {"dtype": code, "shape": [2**62] * 2, "data_offsets": [2**62] * 2}
    for module in adapter:
        entries |= dict.fromkeys(_keys(module, adapter.info), widest)
    # The longest header that there can be.
    room = len(_json(entries))
    room += -room % 8
    place, worst, widths = 0, 0.0, {}
    with file.open("xb") as target:
        target.write(b" " * (8 + room))
        for module in adapter:
            low = _look_up(module, adapter)
            widths[module] = int(low.up.shape[1])
            factors = (low.down, low.up)
            for key, exact in zip(_keys(module, adapter.info), factors, strict=True):
                stored, error = _round(key, exact, dtype)
                worst = max(worst, error)
                target.write(stored.reshape(-1).data.cast("B"))
                span = [place, place + stored.nbytes]
                entries[key] = {"dtype": code, "shape": [*exact.shape], "data_offsets": span}
                place = span[1]
        target.seek(0)
        target.write(room.to_bytes(8, "little") + _json(entries).ljust(room))
    return worst, widths


def _keys(module: str, info: Info) -> tuple[str, str]:
    """The keys of the first and the second factor of a module."""
    if module in info.embeddings:
        return f"{PREFIX}{module}.lora_embedding_A", f"{PREFIX}{module}.lora_embedding_B"
    return f"{PREFIX}{module}.lora_A.weight", f"{PREFIX}{module}.lora_B.weight"


def _json(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, separators=(",", ":")).encode()


def _look_up(module: str, adapter: Adapter) -> LowRank:
    """One update as NumPy arrays, of width 1 or more, which PEFT needs."""
    low, (m, n) = adapter[module], adapter.shapes[module]
    xp = array_namespace(low.up, low.down)
    # Wherever the factors were, and in float32 where they were narrower.
    kind = xp.result_type(low.up.dtype, low.down.dtype, xp.float32)
    low = low.map(lambda factor: host(xp.astype(factor, kind, copy=False)))
    if not low.width:
        low = LowRank(np.zeros((m, 1), low.up.dtype), np.zeros((1, n), low.up.dtype))
    return low


def _round(key: str, exact: Float[np.ndarray, "..."], dtype: str) -> tuple[np.ndarray, float]:
    """Numbers in a storage type, as the bits that a file holds, and their relative error."""
    _check_entries(key, exact)
    with np.errstate(over="ignore", under="ignore"):
        if dtype == "bfloat16":
            bits = np.ascontiguousarray(exact, "<f4").view("<u4")
            # Round to nearest, ties to even, then keep the upper half.
            bits = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
            stored, wide = bits.astype("<u2"), (bits << 16).astype("<u4").view("<f4")
        else:
            stored = wide = np.ascontiguousarray(exact, _BITS[dtype])
    lost = ~np.isfinite(wide)
    if lost.any():
        value = float(exact[np.unravel_index(int(lost.argmax()), exact.shape)])
        fact = f"the value {value:g} is too large for {dtype}"
        raise refusal(key, fact, "write with dtype bfloat16 or float32")
    if dtype == exact.dtype.name:
        return stored, 0.0
    true = exact.astype(np.float64)
    size = float(np.linalg.norm(true))
    error = float(np.linalg.norm(wide.astype(np.float64) - true))
    return stored, error / size if size else 0.0
