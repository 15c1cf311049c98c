"""Is a sample what it should be? Pearson's statistic against its own mean and deviation."""

import numpy as np
from numpy.typing import ArrayLike


def deviations(counts: ArrayLike, expected: ArrayLike) -> float:
    """Standard deviations of the chi-square statistic from its mean; 0 is typical.

    A value far above 0 says that the sample differs from what was expected, one far below that it
    agrees too well to be random.
    """
    seen, wanted = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    assert wanted.min() >= 5, "too few expected in a class for the statistic to mean anything"
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    freedom = len(wanted) - 1
    return float((statistic - freedom) / np.sqrt(2 * freedom))


LIMIT = 5.0
