"""The one error of real models, the one warning, and how spent memory is told."""


class ModelError(ValueError):
    """A model cannot be loaded, or an adapter cannot act on it; the message says why."""


class OtherBaseWarning(UserWarning):
    """An adapter fits by names and shapes, but says that it was trained on another base."""


def failure(place: str, fact: str, remedy: str) -> ModelError:
    """The error for `place` (a model, an adapter or a module): what is wrong and what to do."""
    return ModelError(f"{place}: {fact}; {remedy}")


def spent(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, here or on a GPU.

    Parameters
    ----------
    error : BaseException
        Python's, NumPy's or PyTorch's; the latter's allocator on CPUs has no type of its own.

    Returns
    -------
    bool
        Without importing torch.
    """
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)
