"""The one place that knows which array library a call came with."""

from typing import Any

from array_api_compat import array_namespace as array_namespace
from array_api_compat import device as device

EPS = 2.0**-52
"""The rounding unit of float64."""

Array = Any
"""Any array of the Array API standard: NumPy, PyTorch (CPU or GPU), JAX, CuPy."""


class NotFiniteError(ValueError):
    """An array holds NaN or infinity where finite numbers are needed."""


def double(array: Array, name: str = "array") -> Array:
    """Return `array` in float64, on its own device, once it is known to be finite.

    Parameters
    ----------
    array : array
        Any floating-point array, bfloat16 included.
    name : str
        What to call it in the error message.

    Returns
    -------
    array
        The same numbers in float64; `array` itself where it is float64 already.

    Raises
    ------
    NotFiniteError
        If an entry is NaN or infinite; the message names the first one and its place.
    """
    xp = array_namespace(array)
    return xp.astype(finite(array, name), xp.float64, copy=False)


def finite(array: Array, name: str = "array") -> Array:
    """Return `array` itself, once it is known to be finite; parameters and errors as `double`."""
    xp = array_namespace(array)
    good = xp.isfinite(array)
    if not bool(xp.all(good)):
        flat = int(xp.argmin(xp.reshape(xp.astype(good, xp.int8), (-1,))))
        place: tuple[int, ...] = ()
        for side in reversed(array.shape):
            flat, index = divmod(flat, side)
            place = (index, *place)
        message = (
            f"{name} holds {float(array[place])} at position {list(place)}; "
            "every entry must be finite: find the step that produced it and redo that step"
        )
        raise NotFiniteError(message)
    return array
