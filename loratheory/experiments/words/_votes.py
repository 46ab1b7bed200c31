"""What ``thm:template-vote`` says of the first step of a solution in two steps."""


def lead(share: int | float, coefficient: int | float, *, habit: bool, adapters: int = 2) -> float:
    """Return by how much the shared first step leads the other one, where positive it is taken.

    Parameters
    ----------
    share : float
        Of each adapter's solutions take it; all others begin with what is asked for.
    coefficient : float
        Of each adapter.
    habit : bool
        Whether the base by itself takes it, or always begins with what is asked for.
    adapters : int
        How many.

    Returns
    -------
    float
        ``2 v - 1`` with the votes ``v = (1 - C) habit + C share`` and ``C`` the sum of the
        coefficients: all adapters and the base are asked by one and the same key.
    """
    total = adapters * coefficient
    return 2 * ((1 - total) * habit + total * share) - 1


def share_needed(coefficient: int | float, *, habit: bool, adapters: int = 2) -> float:
    """Return the share above which `lead` is positive: ``1/(2C)``, or ``1 - 1/(2C)`` if habit."""
    half = 1 / (2 * adapters * coefficient)
    return 1 - half if habit else half
