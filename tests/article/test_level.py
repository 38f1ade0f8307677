"""The shapes of the predecessor and of the earliest form: no pool, reflection, a single convolution, maps per level."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import LevelConfig, article_levels, cell_centres
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.errors import SettingsError

PREDECESSOR = article_levels(channels=1, maps=(16, 16, 16, 4), pool=False)
EARLIEST = article_levels(
    num_levels=8, channels=1, maps=32, hidden_maps=None, kernel_size=7, pool=False, padding="reflect"
)


def digits(num: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, 28, 28), dtype=np.uint8)


def plain_composition(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    for level in network.levels:
        config = level.config
        if config.padding == "reflect":
            inputs = nn.functional.pad(inputs, (config.kernel_size // 2,) * 4, mode="reflect")
        inputs = nn.functional.conv2d(inputs, level.hidden.weight, level.hidden.bias).relu()
        if config.hidden_maps is not None:
            inputs = nn.functional.conv2d(inputs, level.maps.weight, level.maps.bias)
        if config.pool:
            inputs = nn.functional.avg_pool2d(inputs, 2)
    return inputs


@pytest.mark.parametrize(
    ("levels", "sizes", "dim", "parameters"),
    [
        (PREDECESSOR, (24, 20, 16, 12), 4 * 12 * 12, 82_036),
        (EARLIEST, (28,) * 8, 32 * 28 * 28, 1_600 + 7 * 50_208),
        (article_levels(num_levels=2, maps=(4, 6), hidden_maps=8, kernel_size=3, padding="reflect"), (14, 7), 294, 610),
    ],
)
def test_sizes_and_values(levels: tuple, sizes: tuple, dim: int, parameters: int) -> None:
    network = Network(levels, input_size=28, seed=0)
    assert network.map_sizes == sizes
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    encoder = Encoder(ArticleModel(CentralSquare(28, 28, channels=levels[0].in_channels), network))
    assert encoder.dim == dim
    features = encoder.features(digits())
    assert features.shape == (3, levels[-1].maps, sizes[-1], sizes[-1])
    inputs = torch.from_numpy(encoder.view.apply(digits())).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = plain_composition(network, inputs).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_the_first_weights_of_a_single_convolution_are_pytorchs_own() -> None:
    network = Network(EARLIEST, input_size=28, seed=5)
    torch.manual_seed(5)
    for level, channels in zip(network.levels, (1, *[32] * 7), strict=True):
        assert torch.equal(level.hidden.weight, nn.Conv2d(channels, 32, 7).weight)


@pytest.mark.parametrize(
    "levels",
    [
        PREDECESSOR,
        EARLIEST[:1],
        article_levels(num_levels=2, channels=1, maps=4, hidden_maps=8, kernel_size=3, padding="reflect"),
    ],
)
def test_a_cell_sees_what_its_centre_says(levels: tuple) -> None:
    """Far from the border, the gradient of one cell with respect to the input is centred on the cell's centre."""
    network = Network(levels, input_size=28, seed=0)
    inputs = torch.rand(4, 1, 28, 28, requires_grad=True)
    row, column = network.map_sizes[-1] // 2, network.map_sizes[-1] // 2 + 1
    network(inputs)[:, :, row, column].sum().backward()
    rows, columns = np.nonzero(inputs.grad.abs().sum((0, 1)).numpy())
    centres = cell_centres(levels, network.map_sizes[-1])
    assert (rows.min() + rows.max()) / 2 == centres[row]
    assert (columns.min() + columns.max()) / 2 == centres[column]


def test_cell_centres_with_and_without_pool() -> None:
    np.testing.assert_array_equal(cell_centres(PREDECESSOR, 12), np.arange(12) + 8)
    np.testing.assert_array_equal(cell_centres(EARLIEST, 28), np.arange(28))
    pooled = article_levels(num_levels=2, kernel_size=5, padding="reflect")
    np.testing.assert_array_equal(cell_centres(pooled, 7), 4 * np.arange(7) + 1.5)


@pytest.mark.parametrize("levels", [PREDECESSOR, EARLIEST[:2]])
def test_save_and_load(tmp_path: Path, levels: tuple) -> None:
    encoder = Encoder(ArticleModel(CentralSquare(28, 28, channels=1), Network(levels, input_size=28, seed=4)))
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded.model.network.configs == levels
    np.testing.assert_array_equal(loaded.encode(digits()), encoder.encode(digits()))


def test_levels_saved_before_these_fields_were_there_are_the_articles() -> None:
    assert LevelConfig(in_channels=3, maps=16, hidden_maps=64, kernel_size=5) == article_levels()[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maps": (16, 4)}, "maps of 2 levels for 4 levels"),
        ({"padding": "zeros"}, "valid are none, reflect"),
        ({"padding": "reflect", "kernel_size": 4}, "use an odd one"),
        ({"hidden_maps": 0}, "at least 1"),
    ],
)
def test_shapes_are_checked(options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        article_levels(**options)


def test_a_picture_too_small_to_be_mirrored_is_refused() -> None:
    with pytest.raises(SettingsError, match="used up at level 1"):
        Network(EARLIEST, input_size=3, seed=0)
