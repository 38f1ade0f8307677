"""The image towers of CLIP ViT-B/32 and DINOv2 ViT-S/14, with random weights: how long they take needs no others.

Source: Dosovitskiy et al., "An image is worth 16x16 words", 2021; Radford et al., "Learning transferable visual models
from natural language supervision", 2021; Oquab et al., "DINOv2", 2023. Layers and sizes are those of both projects'
code, and so is the number of weights, which making one checks.
"""

from dataclasses import dataclass
from itertools import starmap

import torch
from torch import Tensor, nn

SIDE = 224  # pixels


@dataclass(frozen=True)
class Shape:
    """Of a vision transformer."""

    width: int
    heads: int
    blocks: int
    patch: int  # pixels
    trained_side: int  # pixels, of the position embedding
    num_weights: int  # as published
    projected: int = 0  # numbers of an embedding, where the width is projected
    is_dino: bool = False  # scaled residuals, exact GELU, no norm before the blocks, a mask token


CLIP = Shape(768, 12, 12, 32, 224, 87_849_216, projected=512)
DINOV2 = Shape(384, 6, 12, 14, 518, 22_056_576, is_dino=True)


class _QuickGELU(nn.Module):
    """CLIP's."""

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(1.702 * values)


class _Scale(nn.Module):
    """DINOv2's, of each residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.gamma


class _Block(nn.Module):
    """Attention and two layers, each after a norm, beside what passes by."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.taken, self.given = nn.Linear(width, 3 * width), nn.Linear(width, width)
        activation = nn.GELU() if shape.is_dino else _QuickGELU()
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width))
        self.scales = nn.ModuleList(_Scale(width) if shape.is_dino else nn.Identity() for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        num, length, width = tokens.shape
        parts = self.taken(self.norms[0](tokens)).view(num, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(*parts.unbind()).transpose(1, 2)
        tokens = tokens + self.scales[0](self.given(attended.reshape(num, length, width)))
        return tokens + self.scales[1](self.layers(self.norms[1](tokens)))


class VisionTransformer(nn.Module):
    """Embeddings (N, dim) of pictures (N, 3, 224, 224)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, trained = shape.width, shape.trained_side // shape.patch
        self.patches = nn.Conv2d(3, width, shape.patch, stride=shape.patch, bias=shape.is_dino)
        self.token = nn.Parameter(torch.randn(1, 1, width) / 50)
        self.positions = nn.Parameter(torch.randn(1, trained**2 + 1, width) / 50)
        if shape.is_dino:
            self.mask_token = nn.Parameter(torch.zeros(1, width))  # only training uses it
        self.before = nn.Identity() if shape.is_dino else nn.LayerNorm(width)
        self.blocks = nn.Sequential(*starmap(_Block, [(shape,)] * shape.blocks))
        self.after = nn.LayerNorm(width)
        self.project = nn.Linear(width, shape.projected, bias=False) if shape.projected else nn.Identity()
        found = sum(weights.numel() for weights in self.parameters())
        assert found == shape.num_weights, f"{found:,} weights, published are {shape.num_weights:,}"
        self.register_buffer("at", self._positions_at(SIDE // shape.patch, trained))

    def _positions_at(self, side: int, trained: int) -> Tensor:
        """The position embedding at another number of patches a side."""
        of_token, of_patches = self.positions.detach()[:, :1], self.positions.detach()[:, 1:]
        if side == trained:
            return self.positions.detach()
        grid = of_patches.transpose(1, 2).unflatten(2, (trained, trained))
        sized = nn.functional.interpolate(grid, (side, side), mode="bicubic", antialias=True)
        return torch.cat([of_token, sized.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """The class token of the last block, after its norm and the projection."""
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], dim=1) + self.at
        return self.project(self.after(self.blocks(self.before(tokens))[:, 0]))
