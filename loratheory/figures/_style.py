"""The one look of all figures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from typing import Any, ParamSpec

P = ParamSpec("P")

UNDATED: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None},
    "png": {},
    "svg": {"Date": None},
}


@contextmanager
def _style() -> Iterator[None]:
    """The package's style and nothing of the user's own settings."""
    import matplotlib.style

    sheet = files("loratheory.figures") / "loratheory.mplstyle"
    with matplotlib.style.context(["default", str(sheet)]):
        yield


def styled(draw: Callable[P, Any]) -> Callable[P, Any]:
    """Run a drawing function under the package's style, whatever the user's own settings are."""
    return _style()(draw)


def rendered(figure: Any, kind: str) -> bytes:
    """Return a figure as a file of this kind, one of `UNDATED`: the same bytes every time."""
    buffer = BytesIO()
    with _style():  # type sizes, resolution and identifiers are settled only now
        figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
    return buffer.getvalue()
