"""Array shapes in type annotations: checked in the tests, without cost to users.

Importing jaxtyping takes about as long as importing NumPy. `Float` and `Int` are therefore
jaxtyping's only under its import hook, as in the tests, and for type checkers; elsewhere
``Float[Array, "m r"]`` is whatever has a shape and a dtype.
"""

import sys
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable


@runtime_checkable
class AnyArray(Protocol):
    """An array of any library."""

    shape: Any
    dtype: Any


if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Float64 as Float64
    from jaxtyping import Int as Int
    from jaxtyping import Int64 as Int64
    from jaxtyping import Shaped as Shaped
else:

    class _Shape:
        """Forgets the shape."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return AnyArray if item[0] is Any else item[0]

    Bool = Float = Float64 = Int = Int64 = Shaped = _Shape
