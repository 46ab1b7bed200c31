"""Files that need not be trusted: found on disk or on the Hugging Face hub, checked, and read.

Nothing is downloaded unless asked for. JSON is parsed strictly. The safetensors library checks the
layout of a file; the tensors' places are then taken from the header, and numbers are read by seek
and read. Files are not memory-mapped, because pages of an open mapping count as memory in use.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._adapter import DTYPES, AdapterError, refusal, shown, unreadable
from loratheory.shapes import Float

NAME = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = "adapter_model.safetensors.index.json"
RESTORE = "restore the file as PEFT saved it"
KINDS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
CODES = dict(zip(("F16", "BF16", "F32", "F64"), DTYPES, strict=True))
_WHOLE = {"I32": "int32", "I64": "int64"}  # of single numbers only: some trainers' alpha
LARGEST = float(np.finfo(np.float32).max)  # a norm of larger float64 numbers may overflow
_LIMIT = 100_000_000  # bytes, that of the safetensors library for headers
_FETCH = "nothing is fetched unasked: download=True does (--download)"
_NEEDED = (NAME, "adapter_model*.safetensors", "*.safetensors.index.json")
_OF_A_MODEL = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "LICENSE*")


def located(
    place: str | os.PathLike[str],
    subfolder: str = "",
    revision: str | None = None,
    *,
    download: bool = False,
) -> Path:
    """Return the folder or file of an adapter on this disk; the arguments are those of `read`.

    A name is taken for an id of the hub only if nothing on the disk has it. From a repository only
    PEFT's own files, or the one file named, are downloaded; never a pickled file.
    """
    path, below = Path(place), Path(subfolder)
    if below.is_absolute() or ".." in below.parts:
        fact = f"the subfolder {shown(subfolder)} leads out of it"
        raise refusal(path, fact, "name a folder below")
    if not os.path.lexists(path):
        text = os.fspath(place)
        named = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:/(.+\.safetensors))?", text)
        if not named or ".." in path.parts:
            raise refusal(
                path, "there is no such folder or file", "name what PEFT or a trainer saved"
            )
        start = f"{subfolder.rstrip('/')}/" if subfolder else ""
        wanted = [start + pattern for pattern in _NEEDED]
        path = _of_hub(named[1], named[2] or "", wanted, revision, download=download)
    if not os.path.lexists(path / below):
        raise refusal(path, f"holds no folder {shown(subfolder)}", "name one that it has")
    return path / below


def base_at(name: str, revision: str | None = None, *, download: bool = False) -> Path:
    """Return the folder of a base model, given as a folder or as an id of the Hugging Face hub.

    An existing path, and any name that is not of the form ``owner/name``, is returned as it is. An
    id raises `AdapterError` if it is not in the cache, or with `download` cannot be fetched.
    """
    if os.path.lexists(name) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return Path(name)
    return _of_hub(name, "", _OF_A_MODEL, revision, download=download)


def _of_hub(
    name: str, file: str, wanted: Sequence[str], revision: str | None, *, download: bool
) -> Path:
    """The snapshot of a repository, or one file of it."""
    try:
        import huggingface_hub as hub
    except ModuleNotFoundError:
        fact = "there is no such folder, and huggingface_hub is not installed"
        raise refusal(name, fact, "pip install 'loratheory[pretrained]'") from None
    try:
        if file:
            return Path(
                hub.hf_hub_download(name, file, revision=revision, local_files_only=not download)
            )
        folder = hub.snapshot_download(
            name, revision=revision, allow_patterns=[*wanted], local_files_only=not download
        )
    except Exception as error:  # of many kinds: no such id, no network, a broken cache
        if not download:
            fact = "there is no such folder, and none in the Hugging Face cache"
            raise refusal(name, fact, _FETCH) from None
        line = str(error).strip().partition("\n")[0]
        remedy = "check its name, the revision and the network"
        raise refusal(name, f"could not be fetched ({line})", remedy) from error
    return Path(folder)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a regular file `name` in `folder`, refused if it leads elsewhere.

    Symbolic links are followed within the folder, and from a snapshot of the Hugging Face cache to
    the blobs of the same repository, which is how that cache stores every file.
    """
    path = folder / name
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        fact = f"the file name {shown(name)} leads out of the folder"
        raise refusal(folder, fact, "name files of the folder itself")
    try:
        real, home = path.resolve(strict=True), folder.resolve()
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from None
    caches = (place.parent for place in (home, *home.parents))
    homes = [home, *(place.parent / "blobs" for place in caches if place.name == "snapshots")]
    if not any(real.is_relative_to(place) for place in homes):
        fact = f"the link leads out of the folder, to {real}"
        raise refusal(path, fact, "put the file itself there if you trust it")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", "put the adapter's own file there")
    return path


def check_folder(home: Path) -> None:
    """Refuse, with directions, what is no folder of an adapter."""
    if os.path.lexists(home / "route.json"):
        fact = "is a route of `loratheory advise`, whose gates choose by the prompt: no one update"
        remedy = f"run it (loratheory generate), or name one of its adapters, {home / '1'}, …"
        raise refusal(home, f"{fact} does what it does", remedy)
    if not os.path.lexists(home / NAME):
        below = sorted(str(path.parent) for path in home.glob(f"*/{NAME}"))
        files = sorted(str(path) for path in home.glob("*.safetensors"))
        advice = (
            f"name {' or '.join((below or files)[:3])}"
            if below or files
            else "name the folder PEFT saved"
        )
        raise refusal(home, f"holds no {NAME}", advice)
    if not any(os.path.lexists(home / name) for name in (WEIGHTS, INDEX)):
        pickled = [path.name for path in sorted(home.glob("*.bin"))]
        if pickled:
            fact = f"the weights are pickled ({shown(pickled[0])}), which can run any code"
            raise refusal(home, fact, "have them saved with safe_serialization=True")
        raise refusal(home, f"holds no {WEIGHTS}", "name the folder PEFT saved, with its weights")


def opened(path: Path) -> BufferedReader:
    """Return the file, open for reading."""
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


def json_file(path: Path, limit: int = _LIMIT, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object that a file of at most `limit` bytes holds; see `json_object`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise refusal(path, f"has {size} bytes, over {limit}", "use the adapter's own file")
        try:
            return json_object(path, file.read(), remedy)
        except OSError as error:
            raise unreadable(path, error) from None


def model_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what ``config.json`` in a model's folder says, {} where there is none."""
    file = os.path.join(folder, "config.json")  # noqa: PTH118 - `isfile` bears any name
    return json_file(Path(file)) if os.path.isfile(file) else {}  # noqa: PTH113


def json_object(path: Path, text: bytes, remedy: str = RESTORE) -> dict[str, Any]:
    """Return the JSON object in `text`; a repeated key, NaN or too deep nesting is refused."""

    def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in values if keys.count(key) > 1)
            raise refusal(path, f"the key {shown(twice)} occurs twice", remedy)
        return values

    def _number(word: str) -> float:
        raise refusal(path, f"holds the number {word}, which is not JSON", remedy)

    try:
        values = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_number)
    except AdapterError:
        raise
    except UnicodeDecodeError as error:
        raise refusal(path, f"byte {error.start} is not UTF-8 text", remedy) from None
    except RecursionError:
        raise refusal(path, "the JSON is nested too deeply", remedy) from None
    except ValueError as error:
        raise refusal(path, f"is not JSON ({error})", remedy) from None
    if not isinstance(values, dict):
        raise refusal(path, f"holds {shown(values)}, not a JSON object", remedy)
    return values


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


def header(file: Path, *, others: bool = False) -> dict[str, Tensor]:
    """Return where every tensor lies, after the safetensors library has checked the layout.

    The tensors then fill the file without gap or overlap. Refused if the file is cut, its header
    damaged, or a tensor holds anything but floating-point numbers of 16, 32 or 64 bits; with
    `others` such tensors are left out instead.
    """
    with opened(file) as source:  # before the library looks: a later change shows in the stamp
        stamp = _stamp(source)
        try:
            with safe_open(file, framework="numpy"):
                pass
            length = int.from_bytes(source.read(8), "little")
            entries = json_object(file, source.read(length))
        except SafetensorError as error:
            fact = f"the safetensors library refuses this file of {stamp[0]} bytes ({error})"
            remedy = "if it was cut or changed, copy or download the file again"
            raise refusal(file, fact, remedy) from None
        except OSError as error:
            raise unreadable(file, error) from None
    entries.pop("__metadata__", None)
    tensors = {}
    for key, entry in entries.items():
        code, shape, start = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"][0]
        dtype = CODES.get(code) or ("" if shape else _WHOLE.get(code, ""))
        tensor = Tensor(file, key, dtype, shape, 8 + length + start, stamp)
        if dtype:
            tensors[key] = tensor
        elif not others:
            remedy = f"save it in one of {', '.join(DTYPES)}"
            raise refusal(tensor.place, f"dtype is {shown(code)}", remedy)
    return tensors


def tensors_in(home: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of an adapter's folder, from one file or from all shards."""
    if not os.path.lexists(home / INDEX):
        yield from header(inside(home, WEIGHTS)).items()
        return
    index = inside(home, INDEX)
    if os.path.lexists(home / WEIGHTS):
        raise refusal(home, f"holds both {WEIGHTS} and shards ({INDEX})", "remove one of them")
    places = json_file(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        fact = f"weight_map is {shown(places)}"
        raise refusal(index, fact, "it must map every tensor to the file it is in")
    for name in sorted(set(places.values())):
        shard = header(inside(home, name))
        listed = {key for key, place in places.items() if place == name}
        for key in sorted(listed ^ shard.keys()):
            fact = f"the index puts tensor {shown(key)} into {shown(places.get(key))}"
            raise refusal(home / name, f"{fact}, the file says otherwise", "restore all shards")
        yield from shard.items()


def metadata(file: Path) -> dict[str, str]:
    """Return the texts that the header holds beside the tensors; call `header` first."""
    with safe_open(file, framework="numpy") as opened_file:
        return dict(opened_file.metadata() or {})


def load(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """Return the numbers of one tensor; the file does not stay open.

    float64 stays; narrower types become float32, which is exact. Refused if the file has changed
    since its header was read, or an entry is NaN or infinite.
    """
    kept = np.dtype(KINDS.get(tensor.dtype, tensor.dtype))
    stored = np.dtype(np.uint16 if tensor.dtype == "bfloat16" else kept).newbyteorder("<")
    values = np.empty(math.prod(tensor.shape), stored)
    try:
        with opened(tensor.file) as source:
            same = _stamp(source) == tensor.stamp
            source.seek(tensor.start)
            size = source.readinto(values.data.cast("B"))
    except OSError as error:
        raise unreadable(tensor.file, error) from None
    if not same or size != values.nbytes:
        raise refusal(tensor.place, "the file changed while it was being read", "read it again")
    if tensor.dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    kind = np.float64 if tensor.dtype == "float64" else np.float32
    with np.errstate(invalid="ignore"):  # signalling NaN, refused in the next step
        wide = values.astype(kind, copy=False).reshape(tensor.shape)
    finite(tensor.place, wide)
    return wide


def finite(place: str, array: Float[np.ndarray, "..."], cause: str = "") -> None:
    """Raise AdapterError for NaN or infinity, naming `place` and the position."""
    good = np.isfinite(array)
    if not good.all():
        spot = np.unravel_index(int(good.argmin()), array.shape)
        fact = f"{float(array[spot])} at position {[int(index) for index in spot]}{cause}"
        raise refusal(place, fact, "every entry must be finite: redo the step that produced it")
