"""Means over bases with bootstrap intervals."""

import numpy as np

from loratheory.shapes import Float, Shaped


def bootstrap_mean(
    values: Shaped[np.ndarray, "bases sets *cells"],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Return the mean over bases and edit sets, and a bootstrap interval: mean, low and high.

    Measurements on one base are correlated, as are those on one edit set; so bases and sets are
    resampled as blocks, independently of each other (the pigeonhole bootstrap, whose intervals err
    on the wide side: Owen 2007, Annals of Applied Statistics 1). Where each base has sets of its
    own, average over them first and pass an axis of length 1. Intervals from fewer than about eight
    bases are too narrow. All cells use the same resamples, `draws` of them.
    """
    rng = np.random.default_rng(seed)
    bases, sets = values.shape[:2]
    of_bases = rng.multinomial(bases, np.full(bases, 1 / bases), draws) / bases
    of_sets = rng.multinomial(sets, np.full(sets, 1 / sets), draws) / sets
    means = np.einsum("db,ds,bs...->d...", of_bases, of_sets, values, optimize=True)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.asarray(values.mean((0, 1))), np.asarray(low), np.asarray(high)
