"""How similar the maps of one picture are. Pure functions."""

from typing import Literal

import torch
from torch import Tensor, nn

Similarity = Literal["cosine", "pearson"]


def map_similarities(maps: Tensor, *, similarity: Similarity = "cosine") -> Tensor:
    """The similarity of every map of an image to every other.

    With x_i the i-th map flattened to n values:

    - cosine (the article): s_ij = <x_i, x_j> / (|x_i| |x_j|), without removing the mean;
    - pearson (the predecessor): the mean of each map is removed and the sample standard deviation is divided by, so
      that s_ij = (n - 1) / n times the correlation, and a map's similarity to itself is (n - 1) / n.

    Args:
        maps: float (N, C, H, W), any precision; computed in float32, or float64 if they are that.
        similarity: which of the two.

    Returns:
        float (N, C, C), symmetric, within -1 and 1. A map that is zero everywhere has similarity 0 to all.
    """
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.to(torch.promote_types(maps.dtype, torch.float32)).flatten(2)
        num_cells = flat.shape[2]
        if similarity == "pearson":
            flat = flat - flat.mean(dim=2, keepdim=True)
        unit = nn.functional.normalize(flat, dim=2)
        similarities = unit @ unit.transpose(1, 2)
    return similarities * ((num_cells - 1) / num_cells) if similarity == "pearson" else similarities


def pairs(similarities: Tensor) -> Tensor:
    """The similarities (N, C (C - 1) / 2) of all pairs of different maps, each pair once, from (N, C, C)."""
    num_maps = similarities.shape[1]
    first, second = torch.triu_indices(num_maps, num_maps, offset=1, device=similarities.device)
    return similarities[:, first, second]
