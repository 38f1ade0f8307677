"""The closed-form encoder: the entire frame, levels side by side, and a projection of what is read from all of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device as devices
from firstsight.closed_form.agreement import LayoutConfig, supported
from firstsight.closed_form.layout import (
    NUM_CANDIDATES,
    Layout,
    candidates,
    window_descriptors,
    window_similarities,
)
from firstsight.closed_form.projection import Projection
from firstsight.closed_form.pyramid import PatchLevelConfig, PoolingConfig, Pyramid, part_dims, pooled, pooled_from
from firstsight.encoder.model import MAX_WHOLE_PIXELS, MapShape, WholeFrame
from firstsight.encoder.saved import check_input_size, check_num_weights, fill
from firstsight.errors import SettingsError
from firstsight.from_json import from_json
from firstsight.process import Precision

_PROJECTION = "readout.projection."
_LAYOUT = "layout."


@dataclass(frozen=True, eq=False)
class ClosedFormModel:
    """A `Model` of the default method: means and covariances over cells of every level, and colours, projected."""

    view: WholeFrame
    network: Pyramid
    pooling: PoolingConfig
    projection: Projection
    layout: Layout | None = None
    compared_level: int | None = None
    compared_dims: int | None = None
    maps_are_centred: bool = True

    def __post_init__(self) -> None:
        self.network.eval()

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""
        return tuple(MapShape(config.maps, *config.map_shape) for config in self.network.configs)

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.projection.dim

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.network.device

    @property
    def precision(self) -> Precision:
        """bfloat16 where the processor has it: retrieval is the same, and it is faster."""
        return "bfloat16" if devices.has_fast_bfloat16(self.device) else "float32"

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, dim), not of unit length, of inputs (N, channels, h, w) in [0, 1]."""
        projected: Tensor = self.projection(pooled(self.network, inputs, self.pooling))
        return projected

    def describe(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Embeddings as by `embed`, cells and vectors in place of the same inputs, in one pass."""
        responses = self.network.responses(inputs)
        embeddings: Tensor = self.projection(pooled_from(self.network, inputs, responses, self.pooling))
        if self.layout is None:
            return (embeddings,)
        layouts = self.layout.read(responses, inputs)
        return embeddings, layouts.cells, layouts.in_place

    @property
    def second_stage(self) -> "LayoutStage | None":
        """None for a model of a version without it."""
        return LayoutStage(self.layout.config, self.layout.spread.cpu()) if self.layout else None

    def maps(self, inputs: Tensor, level: int) -> Tensor:
        """The maps of one level (N, maps, rows, columns)."""
        maps: Tensor = self.network(inputs, level=level)
        return maps

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level."""
        return self.network.every_level(inputs)

    def filters(self, level: int) -> NDArray[np.float32]:
        """The level's filters (out, in, k, k)."""
        own = self.network.levels[level - 1]
        size = own.config.kernel_size
        return own.weight.T.reshape(-1, own.config.in_channels, size, size).cpu().numpy()

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the network's input."""
        return self.network.cell_centres(level)

    def initial(self, *, seed: int) -> None:
        """None: this method starts from nothing."""

    def to(self, device: torch.device) -> None:
        """Moves the weights."""
        for part in (self.network, self.projection, self.layout):
            if part is not None:
                part.to(device)

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values."""
        config: dict[str, Any] = {
            "preprocessing": asdict(self.view),
            "levels": [asdict(level) for level in self.network.configs],
            "pooling": _without_defaults(self.pooling),
        }
        return {**config, "layout": asdict(self.layout.config)} if self.layout else config

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights, by name."""
        tensors = dict(self.network.state_dict())
        tensors |= {_PROJECTION + name: tensor for name, tensor in self.projection.state_dict().items()}
        if self.layout:
            tensors |= {_LAYOUT + name: tensor for name, tensor in self.layout.state_dict().items()}
        return tensors


_LEAST_COSINE = 1e-6


@dataclass(frozen=True, eq=False)
class LayoutStage:
    """A `SecondStage`: the 20 best of vectors and of vectors in place are compared by their layout."""

    config: LayoutConfig
    spread: Tensor  # by `Layout.spread`

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's cells."""
        return self.config.rows, self.config.columns

    def window_descriptors(self, cells: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """See `layout.window_descriptors`."""
        return window_descriptors(cells, self.spread, vertical, horizontal)

    def window_similarities(self, cells: Tensor, regions: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """See `layout.window_similarities`."""
        return window_similarities(cells, self.spread, regions, vertical, horizontal)

    @property
    def weight(self) -> float:
        """Of the layout in a similarity, 0 to 1, as the footage learned from gives it."""
        return self.config.weight

    def agreement(self, query: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.float32]:
        """See `LayoutConfig.agreement`."""
        return self.config.agreement(query, others)

    def fused(self, cosines: NDArray[np.float32], agreements: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `LayoutConfig.fused`."""
        return self.config.fused(cosines, agreements)

    def supported(self, first: NDArray[np.int8], second: NDArray[np.int8]) -> NDArray[np.float32]:
        """See `agreement.supported`."""
        return supported(first, second)

    def similarities(self, cosines: Tensor, queries: tuple[Tensor, ...], references: tuple[Tensor, ...]) -> Tensor:
        """(1 - w) cosine + w agreement, with the weight w.

        A reference that is no candidate counts as the candidate that agrees least; where that one agrees, as among many
        copies of the query, in the proportion of its own cosine to the best.
        """
        if not self.weight:
            return cosines
        chosen = candidates(cosines, queries[1] @ references[1].T, NUM_CANDIDATES)
        fused = torch.empty_like(cosines)
        for row, columns in enumerate(chosen):
            agreed = self.agreement(queries[0][row].numpy(), references[0][columns].numpy())
            own, least = cosines[row].numpy(), float(agreed.min())
            known = np.full(len(own), least, np.float32)
            if least > 0:
                known *= (own / max(float(own.max()), _LEAST_COSINE)).clip(0, 1)
            known[columns.numpy()] = agreed
            fused[row] = torch.from_numpy(self.fused(own, known))
        return fused


def _without_defaults(pooling: PoolingConfig) -> dict[str, Any]:
    """As plain JSON values; what earlier versions did not know is left out at its default: their fingerprints stay."""
    later = {"odd_weight": 1.0, "num_colours": 0}
    return {name: value for name, value in asdict(pooling).items() if later.get(name) != value}


def from_saved(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ClosedFormModel:
    """The model of which `config` and `tensors` were saved.

    Raises:
        SettingsError, KeyError, RuntimeError: they do not fit each other.
    """
    view = from_json(WholeFrame, config["preprocessing"], name="preprocessing")
    levels = from_json(tuple[PatchLevelConfig, ...], config["levels"], name="levels")
    pooling = from_json(PoolingConfig, config["pooling"], name="pooling")
    for level in levels:
        check_input_size(max(view.width, level.width), max(view.height, level.height), most=MAX_WHOLE_PIXELS)
        if level.in_channels != view.channels:
            raise SettingsError(f"a level reads {level.in_channels} channels of {view.channels}")
        if min(level.map_shape) < max((*pooling.mean_grids, *pooling.covariance_grids)):
            raise SettingsError(f"maps of {level.map_shape} cells are too small for {pooling}")
    check_num_weights(sum(level.filters * level.patch_dim for level in levels), tensors)
    network = Pyramid(levels, pooling.num_colours)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith((_PROJECTION, _LAYOUT))}
    fill(network, own)
    if network.colours and not ((network.colours.nearest >= 0) & (network.colours.nearest < pooling.num_colours)).all():
        raise SettingsError(f"a number of a colour that is none of {pooling.num_colours}")
    projection = Projection(*tensors[f"{_PROJECTION}quantised"].shape)
    fill(projection, tensors, prefix=_PROJECTION)
    if sum(part_dims(network, pooling)) != len(projection.mean):
        raise SettingsError(f"{pooling} reads another number of values than the projection takes")
    return ClosedFormModel(view, network, pooling, projection, _saved_layout(config, tensors, network))


def _saved_layout(config: Mapping[str, Any], tensors: Mapping[str, Tensor], network: Pyramid) -> Layout | None:
    """None for a model of a version without it."""
    own = LayoutConfig.of_model(config)
    if own is None:
        return None
    if own.rows > network.configs[-1].map_shape[0] or own.columns > network.configs[-1].map_shape[1]:
        raise SettingsError(f"{own} has more cells than the maps")
    if own.dim * 2 * sum(level.filters for level in network.configs) > sum(map(Tensor.numel, tensors.values())):
        raise SettingsError(f"{own} has more numbers than there are")
    layout = Layout(own, tuple(replace(level, in_channels=1, maps=2) for level in network.configs))
    fill(layout, tensors, prefix=_LAYOUT)
    return layout
