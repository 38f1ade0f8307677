"""The article's objective, "decomposition": the maps of one image become dissimilar. Pure functions.

Source: Ozmermer, "Multi-Perspective Neural Networks: an unsupervised deep metric learning algorithm", 2020; the Pearson
form of `quality.health` is that of the predecessor, "Learning Filters with Unsupervised Learning".
"""

from torch import Tensor


def loss(pair_similarities: Tensor) -> Tensor:
    """Mean over images and pairs of the similarity squared: the article's MSELoss to zero."""
    return pair_similarities.square().mean()


def largest_similarity(pair_similarities: Tensor) -> Tensor:
    """The largest |similarity| of any pair, for each image (N,): the article's `loss_obs_`, for the stopping rule."""
    return pair_similarities.abs().amax(dim=1)
