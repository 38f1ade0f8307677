"""How well one set of scores stands above another."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from firstsight.errors import SettingsError


def auroc(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float:
    """The probability that a positive scores above a negative, a tie counting half: 0.5 is chance, 1 perfect.

    Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic curve", 1982.

    Raises:
        SettingsError: there is no positive, or no negative.
    """
    num_positives, num_negatives = len(positives), len(negatives)
    if not num_positives or not num_negatives:
        raise SettingsError(f"{num_positives} positives and {num_negatives} negatives; valid is at least one of each")
    ranks = rankdata(np.concatenate([positives, negatives]))[:num_positives]  # from 1, the mean among equals
    above = ranks.sum() - num_positives * (num_positives + 1) / 2
    return float(above / (num_positives * num_negatives))
