"""What is read out of a level, against the slow way: make the maps, look at the mirror image as well."""

import pytest
import torch
from torch import Tensor

from firstsight.closed_form.filters import fit_level
from firstsight.closed_form.pyramid import PatchLevelConfig, PoolingConfig, Pyramid, of_mirror_image, pooled
from firstsight.device import generator
from firstsight.errors import SettingsError

_FILTERS, _MAPS = 24, 12
_READ = PoolingConfig(mean_grids=(1, 2, 4), covariance_grids=(1,))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    noise = torch.rand(5, 3, 6, 8, generator=generator(1))
    return torch.nn.functional.interpolate(noise, (22, 31), mode="bilinear")


@pytest.fixture(scope="module")
def network(pictures: Tensor) -> Pyramid:
    made = Pyramid([PatchLevelConfig(22, 31, 5, filters=_FILTERS, maps=_MAPS)])
    fit_level(made.levels[0], pictures, generator=generator(0))
    return made


def test_second_moments_are_those_of_the_maps(network: Pyramid, pictures: Tensor) -> None:
    maps = network(pictures).flatten(2)
    slow = maps @ maps.transpose(1, 2) / maps.shape[2]
    half = _MAPS // 2
    even, odd, mixed = slow[:, :half, :half], slow[:, half:, half:], slow[:, :half, half:]
    rows, columns = torch.triu_indices(half, half)
    expected = torch.cat([even[:, rows, columns], odd[:, rows, columns], mixed.flatten(1)], dim=1)
    found = pooled(network, pictures, PoolingConfig((), (1,)))[0]
    torch.testing.assert_close(found.sign() * found.square(), expected, atol=2e-4, rtol=1e-3)
    assert mixed.abs().max() > 0.1


def test_what_the_mirror_image_would_give_is_known_without_it(network: Pyramid, pictures: Tensor) -> None:
    straight, mirrored = pooled(network, pictures, _READ), pooled(network, pictures.flip(-1), _READ)
    for means, of_image, grid in zip(straight, mirrored, _READ.mean_grids, strict=False):
        torch.testing.assert_close(of_mirror_image(means, grid), of_image, atol=1e-4, rtol=1e-4)
        assert (means - of_image).abs().max() > 0.01


def test_averaging_with_the_mirror_image_costs_no_second_look(network: Pyramid, pictures: Tensor) -> None:
    straight, mirrored = pooled(network, pictures, _READ), pooled(network, pictures.flip(-1), _READ)
    averages = [(one + other) / 2 for one, other in zip(straight, mirrored, strict=True)]
    both = pooled(network, pictures, PoolingConfig(_READ.mean_grids, _READ.covariance_grids, mirror=True))
    for average, found, grid in zip(averages, both, _READ.mean_grids, strict=False):
        once = average.unflatten(1, (grid * grid, _FILTERS))[:, :, : _FILTERS // 2].flatten(1)
        torch.testing.assert_close(found, once, atol=1e-4, rtol=1e-4)
    num_kept = both[-1].shape[1]
    torch.testing.assert_close(both[-1], averages[-1][:, :num_kept], atol=2e-3, rtol=1e-3)
    # What is left out is of an even and an odd map: it cancels.
    torch.testing.assert_close(averages[-1][:, num_kept:], torch.zeros(5, (_MAPS // 2) ** 2), atol=2e-2, rtol=0)


@pytest.mark.parametrize("weight", [0.25, 0.5])
def test_what_the_mirror_image_changes_is_weighed(network: Pyramid, pictures: Tensor, weight: float) -> None:
    weighed = PoolingConfig(_READ.mean_grids, _READ.covariance_grids, odd_weight=weight)
    for inputs, others in ((pictures, pictures.flip(-1)), (pictures.flip(-1), pictures)):
        whole, of_image, found = (
            pooled(network, *read) for read in ((inputs, _READ), (others, _READ), (inputs, weighed))
        )
        for one, other, part in zip(whole, of_image, found, strict=True):
            torch.testing.assert_close(part, (one + other) / 2 + weight * (one - other) / 2, atol=2e-3, rtol=1e-3)


def test_a_weight_of_one_is_no_weight(network: Pyramid, pictures: Tensor) -> None:
    given = pooled(network, pictures, PoolingConfig(_READ.mean_grids, _READ.covariance_grids, odd_weight=1.0))
    for part, plain in zip(given, pooled(network, pictures, _READ), strict=True):
        torch.testing.assert_close(part, plain, atol=0, rtol=0)
    with pytest.raises(SettingsError, match="valid is above 0 to 1"):
        PoolingConfig((1,), (1,), odd_weight=0.0)
