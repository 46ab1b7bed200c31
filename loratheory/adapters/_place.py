"""Where an adapter lies: on this disk, or on the hub, from which nothing comes unasked."""

import os
import re
from pathlib import Path

from loratheory.adapters._adapter import refusal, shown

_FETCH = "nothing is fetched unasked: download=True does (--download)"
_NEEDED = ("adapter_config.json", "adapter_model*.safetensors", "*.safetensors.index.json")


def located(
    place: str | os.PathLike[str],
    subfolder: str = "",
    revision: str | None = None,
    *,
    download: bool = False,
) -> Path:
    """Return the folder or file of an adapter on this disk; arguments as those of `read`.

    An id of the hub counts as one only where nothing on the disk has that name. Of a repository
    only PEFT's own files are fetched, of a file only that file; never anything pickled.
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
        path = _of_hub(named[1], named[2] or "", subfolder, revision, download=download)
    if not os.path.lexists(path / below):
        raise refusal(path, f"holds no folder {shown(subfolder)}", "name one that it has")
    return path / below


def _of_hub(name: str, file: str, subfolder: str, revision: str | None, *, download: bool) -> Path:
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
        start = f"{subfolder.rstrip('/')}/" if subfolder else ""
        wanted = [start + pattern for pattern in _NEEDED]
        folder = hub.snapshot_download(
            name, revision=revision, allow_patterns=wanted, local_files_only=not download
        )
    except Exception as error:  # of many kinds: no such id, no network, a broken cache
        if not download:
            fact = "there is no such folder, and none in the Hugging Face cache"
            raise refusal(name, fact, _FETCH) from None
        line = str(error).strip().partition("\n")[0]
        remedy = "check its name, the revision and the network"
        raise refusal(name, f"could not be fetched ({line})", remedy) from error
    return Path(folder)
