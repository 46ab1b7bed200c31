"""Why a model could not be loaded, in one paragraph, and what to do."""

from pathlib import Path

from loratheory.pretrained._error import ModelError, failure, spent


def refusal(place: str, home: str, error: Exception) -> ModelError:
    """Return the error of a failed load, with what to do.

    Parameters
    ----------
    place : str
        The folder or Hugging Face id that was asked for.
    home : str
        The folder that was read; the id if the hub was asked.
    error : Exception
        What `transformers` or PyTorch said.

    Returns
    -------
    ModelError
        One paragraph.
    """
    if spent(error):
        remedy = "load it with dtype='bfloat16', or with device='auto' over all devices there are"
        return failure(place, f"memory ran out ({line(error)})", remedy)
    if "trust_remote_code" in str(error):
        fact = "it comes with code of its own, which is never run"
        return failure(place, fact, "use a model whose architecture transformers knows")
    if not Path(home).is_dir():
        remedy = "check its name and the network, then call again: what has arrived is kept"
        return failure(place, f"could not be fetched ({line(error)})", remedy)
    remedy = "see that all files of the model are there and whole"
    if home != place:
        remedy = f"delete what is damaged in {home}, then load(..., download=True) brings the rest"
    return failure(place, line(error), remedy)


def line(error: Exception) -> str:
    """Return the first line of what an error says.

    Parameters
    ----------
    error : Exception
        Any.

    Returns
    -------
    str
        Without the line's end.
    """
    return str(error).strip().partition("\n")[0]
