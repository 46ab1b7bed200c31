r"""How alike two adapters are, from their weights or from what they answer: no labels needed.

What an adapter reads is described by :math:`\Delta^\top \Delta`, what it writes by
:math:`\Delta \Delta^\top`: directions with their energies, the same in every gauge and whatever the
other side does. Their cosines need the two adapters alone. `response_likeness` needs inputs too,
such as a base's activations on prompts.
"""

from loratheory.lowrank import Array, LowRank, array_namespace, double, frobenius
from loratheory.shapes import Float


def read_likeness(first: LowRank, second: LowRank) -> float:
    r"""Return the cosine of :math:`\Delta_1^\top\Delta_1` and :math:`\Delta_2^\top\Delta_2`.

    Parameters
    ----------
    first, second : LowRank
        Updates with the same inputs.

    Returns
    -------
    float
        :math:`\|\Delta_1 \Delta_2^\top\|_F^2 / (\|\Delta_1 \Delta_1^\top\|_F
        \|\Delta_2 \Delta_2^\top\|_F)`, from 0 to 1: 0 iff the row spaces are orthogonal or an
        update is zero, 1 iff both read the same directions in the same proportions. Costs
        ``O((m + n) r^2)``, in float64.
    """
    one, two = (low.map(double) for low in (first, second))
    shared, *own = (frobenius(a @ b.T) for a, b in ((one, two), (one, one), (two, two)))
    size = own[0] * own[1]
    return min(1.0, shared**2 / size) if size else 0.0


def write_likeness(first: LowRank, second: LowRank) -> float:
    r"""Return the cosine of :math:`\Delta_1\Delta_1^\top` and :math:`\Delta_2\Delta_2^\top`.

    Parameters
    ----------
    first, second : LowRank
        Updates with the same outputs.

    Returns
    -------
    float
        `read_likeness` of the transposes.
    """
    return read_likeness(first.T, second.T)


def response_likeness(first: LowRank, second: LowRank, x: Float[Array, "t n"]) -> float:
    r"""Return the cosine of what two updates add to the same inputs, all inputs together.

    Parameters
    ----------
    first, second : LowRank
        Updates of one shape.
    x : (t, n) array
        Inputs, one a row.

    Returns
    -------
    float
        :math:`\langle \Delta_1 X, \Delta_2 X \rangle / (\|\Delta_1 X\| \|\Delta_2 X\|)`, from -1 to
        1; 0 if one of them answers nothing. Costs ``O(t (m + n) r)``, in float64.
    """
    xp, inputs = array_namespace(x), double(x)
    one, two = ((inputs @ low.down.T) @ low.up.T for low in (first.map(double), second.map(double)))
    size = float(xp.linalg.vector_norm(one)) * float(xp.linalg.vector_norm(two))
    return max(-1.0, min(1.0, float(xp.sum(one * two)) / size)) if size else 0.0
