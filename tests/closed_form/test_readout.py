"""What is read out of a level, against the slow way: make the maps, look at the mirror image as well."""

import pytest
import torch
from torch import Tensor

from firstsight.closed_form.filters import fit_colours, fit_level
from firstsight.closed_form.pyramid import (
    Colours,
    PatchLevelConfig,
    PoolingConfig,
    Pyramid,
    of_mirror_image,
    part_dims,
    pooled,
)
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


def test_every_pixel_counts_for_the_nearest_colour(pictures: Tensor) -> None:
    eight_bits = (pictures * 255).round() / 255
    colours = Colours(16, 3)
    fit_colours(colours, eight_bits, generator=generator(0), learned=False)
    centres = torch.rand(16, 3, generator=_after_the_pixels(eight_bits))
    for picture, shares in zip(eight_bits, colours(eight_bits), strict=True):
        pixels = picture.permute(1, 2, 0).reshape(-1, 3)
        in_the_middle = (torch.floor((pixels * 255).round() / 8) + 0.5) / 32  # of its step
        counted = torch.bincount(torch.cdist(in_the_middle, centres).argmin(dim=1), minlength=16)
        torch.testing.assert_close(shares, (counted / len(pixels)).sqrt())


def _after_the_pixels(pictures: Tensor) -> torch.Generator:
    """As the generator is where random colours are drawn: rows and columns of pixels were drawn before."""
    drawn = generator(0)
    num, _, height, width = pictures.shape
    for side in (height, width):
        torch.randint(side, (num, height * width), generator=drawn)
    return drawn


@pytest.mark.parametrize("channels", [1, 3])
def test_kmeans_finds_the_colours_that_there_are(channels: int) -> None:
    there = torch.tensor([[20, 40, 60], [200, 40, 90], [90, 250, 4]])[:, :channels]
    pictures = there[torch.arange(3 * 24 * 24) % 3].view(3, 24, 24, channels).permute(0, 3, 1, 2) / 255
    colours = Colours(64, channels)  # more than there are: some stand for nothing
    fit_colours(colours, pictures, generator=generator(0))
    alone = [colours(colour.view(1, channels, 1, 1).expand(1, channels, 4, 4) / 255)[0] for colour in there]
    assert [float(shares.max()) for shares in alone] == [1, 1, 1]
    assert len({int(shares.argmax()) for shares in alone}) == 3
    torch.testing.assert_close(colours(pictures).square().sum(dim=0), sum(alone))


def test_kmeans_spreads_colours_over_what_there_is() -> None:
    """Pixels of all greys alike: no colour stands for many more than another."""
    pictures = torch.rand((4, 1, 64, 64), generator=generator(2))
    colours = Colours(8, 1)
    fit_colours(colours, pictures, generator=generator(0))
    shares = colours(pictures).square().mean(dim=0)
    assert shares.max() < 0.2 < 1.5 * 8 * shares.min()


def test_colours_tell_what_patches_have_lost(pictures: Tensor) -> None:
    """Flat pictures: no filter responds, whatever the colour."""
    read = PoolingConfig((1,), (), num_colours=8)
    network = Pyramid([PatchLevelConfig(22, 31, 5, filters=_FILTERS, maps=_MAPS)], 8)
    fit_level(network.levels[0], pictures, generator=generator(0))
    fit_colours(network.colours, pictures, generator=generator(0))
    dark, light = (torch.full((1, 3, 22, 31), value) for value in (0.1, 0.9))
    (means, shares), (other_means, other_shares) = (pooled(network, flat, read) for flat in (dark, light))
    torch.testing.assert_close(means, other_means, atol=1e-3, rtol=0)
    assert float((shares * other_shares).sum()) == 0
    assert [part.shape[1] for part in pooled(network, dark, read)] == part_dims(network, read)
    torch.testing.assert_close(network.colours(pictures.flip(-1)), network.colours(pictures))


@pytest.mark.parametrize("num", [-1, 2**14 + 1])
def test_a_number_of_colours_out_of_range_is_refused(num: int) -> None:
    with pytest.raises(SettingsError, match="colours; valid is 0 to 16384"):
        PoolingConfig(num_colours=num)
