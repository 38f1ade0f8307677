"""The article's objective: the maps of one image shall be unlike each other. Pure functions.

Source: Ozmermer, "Multi-Perspective Neural Networks: an unsupervised deep metric learning algorithm", 2020; the Pearson
form of `encoder.similarity` is that of the predecessor, "Learning Filters with Unsupervised Learning".
"""

from torch import Tensor


def loss(pair_similarities: Tensor) -> Tensor:
    """Mean over images and pairs of the similarity squared: the mean squared error to zero."""
    return pair_similarities.square().mean()


def largest_similarity(pair_similarities: Tensor) -> Tensor:
    """The observed value of the stopping rule: the largest |similarity| of any pair, for each image (N,)."""
    return pair_similarities.abs().amax(dim=1)
