import pytest
import torch

from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.quality import health


@pytest.fixture
def network() -> Network:
    return Network(article_levels(num_levels=2, maps=4, hidden_maps=8), input_size=32, seed=0)


def batches() -> list[torch.Tensor]:
    return list(torch.rand(3, 5, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_is_the_mean_over_all_frames(network: Network) -> None:
    levels = health.measure(network, batches())
    assert [level.num_frames for level in levels] == [15, 15]
    with torch.no_grad():
        maps = network(torch.cat(batches()), level=2).flatten(2).double()
    unit = maps / maps.norm(dim=2, keepdim=True)
    similarities = (unit @ unit.transpose(1, 2)).abs()
    off_diagonal = similarities - torch.eye(4)
    assert levels[1].mean_max_similarity == pytest.approx(float(off_diagonal.amax((1, 2)).mean()), abs=1e-5)
    assert levels[1].mean_similarity == pytest.approx(float(off_diagonal.sum((1, 2)).mean() / 12), abs=1e-5)


def test_a_dead_map_is_counted(network: Network) -> None:
    with torch.no_grad():
        network.levels[0].maps.weight[2] = 0
    assert [level.num_dead_maps for level in health.measure(network, batches())] == [1, 0]


def test_a_collapsed_level_is_called_collapsed(network: Network) -> None:
    with torch.no_grad():
        network.levels[1].maps.weight.normal_(generator=torch.Generator().manual_seed(0))
        network.levels[1].maps.bias.zero_()
    assert not health.measure(network, batches())[1].collapsed
    with torch.no_grad():
        network.levels[1].maps.weight[:] = network.levels[1].maps.weight[:1]
        network.levels[1].maps.bias[:] = network.levels[1].maps.bias[0]
    assert health.measure(network, batches())[1].collapsed


def test_nothing_to_measure_on(network: Network) -> None:
    assert health.measure(network, []) == ()
