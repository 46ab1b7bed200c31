"""The one look of all figures."""

from collections.abc import Callable
from functools import wraps
from importlib.resources import files
from typing import Any, ParamSpec

P = ParamSpec("P")


def styled(draw: Callable[P, Any]) -> Callable[P, Any]:
    """Run a drawing function under the package's style, whatever the user's own settings are."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Any:
        import matplotlib as mpl

        sheet = files("loratheory.figures") / "loratheory.mplstyle"
        with mpl.style.context(["default", str(sheet)]):
            return draw(*args, **kwargs)

    return inside
