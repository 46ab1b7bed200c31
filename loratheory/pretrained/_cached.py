"""Models in the Hugging Face cache: their folders, found without a look at the network."""

from pathlib import Path

from loratheory.pretrained._error import failure

REMEDY = "nothing is fetched unasked: load(..., download=True) does, or check-model --download"


def cached(name: str, revision: str) -> Path:
    """Return the folder of an id in the cache.

    `transformers` finds it too, but asks the hub meanwhile, files of its own or not.

    Parameters
    ----------
    name : str
        A Hugging Face id.
    revision : str
        Branch, tag or commit.

    Returns
    -------
    Path
        With a config and weights, though perhaps not all of them.

    Raises
    ------
    ModelError
        If there is none, or part of one, as a broken download leaves it.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:  # no possible id
        config = None
    if not isinstance(config, str):
        raise failure(name, "no such folder, and not in the Hugging Face cache", REMEDY)
    folder = Path(config).parent
    if not any(folder.glob("*.safetensors")):
        fact = "the Hugging Face cache has its config, and no safetensors: a broken download?"
        raise failure(name, fact, REMEDY)
    return folder


def commit_of(place: str) -> str:
    """Return the commit that a folder of the cache is named after.

    Parameters
    ----------
    place : str
        Any folder or id.

    Returns
    -------
    str
        Empty for other folders.
    """
    folder = Path(place)
    return folder.name if folder.parent.name == "snapshots" else ""
