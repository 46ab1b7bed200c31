"""Sliders under which a notebook shows what a function prints and returns."""

from collections.abc import Callable
from contextlib import redirect_stdout
from html import escape
from io import StringIO
from typing import Any


def explore(function: Callable[..., Any], **sliders: Any) -> Any:
    """Return sliders, and below them what `function` prints and returns for their values.

    It does what ipywidgets' ``interact`` does, but cannot hang ``jupyter nbconvert --execute``.
    ``interact`` displays through an Output widget. nbclient answers each output of an Output widget
    on the socket on which it waits for the cell to end, and jupyter_client (every version since
    7.4.2) may then lose the wake-up of that wait: the kernel is idle and nbclient waits forever.

    Parameters
    ----------
    function : callable
        It takes a value for each slider by name. It may print, and return a figure or any object
        with a readable ``repr``. What it shows by ``display`` is not caught.
    **sliders : ipywidgets.Widget
        Widgets with a ``value``, by the name of the parameter that each one sets. The name is the
        description of a widget that has none.

    Returns
    -------
    ipywidgets.VBox
        A notebook displays it if it is the last value of a cell. When a slider moves, `function` is
        called again; an error that it then raises is shown in place of its result.

    Raises
    ------
    Exception
        Whatever `function` raises for the first values, so that a notebook stops at a mistake.
    """
    from ipywidgets import HTML, VBox

    shown = HTML()

    def _show_result() -> None:
        values = {name: slider.value for name, slider in sliders.items()}
        shown.value = _call_as_html(function, values)

    def _show_result_or_error(_change: Any) -> None:
        # An error in a widget's callback is shown nowhere, and the old result would stay.
        try:
            _show_result()
        except Exception as error:
            shown.value = f"<pre>{escape(f'{type(error).__name__}: {error}')}</pre>"

    _show_result()
    for name, slider in sliders.items():
        slider.description = slider.description or name
        slider.observe(_show_result_or_error, names="value")
    return VBox([*sliders.values(), shown])


def _call_as_html(function: Callable[..., Any], values: dict[str, Any]) -> str:
    """Call the function and return as HTML what it prints and returns."""
    printed = StringIO()
    with redirect_stdout(printed):
        result = function(**values)
    drawing, text = "", printed.getvalue()
    if hasattr(result, "savefig"):
        # late, as most notebooks draw no figure here
        from loratheory.figures import render_inline

        drawing = render_inline(result)
    elif result is not None:
        text += repr(result)
    return (f"<pre>{escape(text)}</pre>" if text else "") + drawing
