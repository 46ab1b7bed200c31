"""The one error of real models, and the one warning."""


class ModelError(ValueError):
    """A model cannot be loaded, or an adapter cannot act on it; the message says why."""


class OtherBaseWarning(UserWarning):
    """An adapter fits by names and shapes, but says that it was trained on another base."""


def failure(place: str, fact: str, remedy: str) -> ModelError:
    """The error for `place` (a model, an adapter or a module): what is wrong and what to do."""
    return ModelError(f"{place}: {fact}; {remedy}")
