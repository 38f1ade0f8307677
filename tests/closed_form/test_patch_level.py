"""One closed-form level: the convolution against patches copied out one by one."""

import pytest
import torch

from firstsight import device
from firstsight.closed_form.pyramid import PatchLevel, PatchLevelConfig
from firstsight.device import generator


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def level(request: pytest.FixtureRequest) -> PatchLevel:
    config = PatchLevelConfig(18, 23, 5, filters=12, maps=8, in_channels=request.param)
    drawn, made = generator(0), PatchLevel(config)
    weight = torch.randn(config.patch_dim, 6, generator=drawn) / 4
    made.weight[:] = torch.cat([weight, made.mirrored(weight.T).T], dim=1)
    made.bias[:] = (torch.randn(6, generator=drawn) / 4).repeat(2)
    for drawn_anew in (made.mix_even, made.mix_odd, made.shift):
        drawn_anew[:] = torch.randn(drawn_anew.shape, generator=drawn)
    return made


@pytest.fixture
def pictures(level: PatchLevel) -> torch.Tensor:
    noise = torch.rand(4, level.config.in_channels, 6, 8, generator=generator(1))
    return torch.nn.functional.interpolate(noise, (18, 23), mode="bilinear")


def test_the_convolution_gives_what_patches_give(level: PatchLevel, pictures: torch.Tensor) -> None:
    slow = level.responses_to(level.patches(pictures))
    fast = level.responses(pictures)
    assert fast.shape == slow.shape == (4, 14, 19, 12)
    torch.testing.assert_close(fast, slow, atol=2e-5, rtol=1e-4)
    assert (slow > 0.01).float().mean() > 0.2


def test_half_precision_stays_close(level: PatchLevel, pictures: torch.Tensor) -> None:
    exact = level.responses(pictures)
    with device.arithmetic(torch.device("cpu"), "bfloat16"):
        rough = level.responses(pictures)
    assert (rough.float() - exact).abs().max() < 0.02 * exact.max()


def test_a_patch_has_no_mean_and_at_most_unit_deviation(level: PatchLevel, pictures: torch.Tensor) -> None:
    patches = level.patches(pictures)
    torch.testing.assert_close(patches.mean(dim=-1), torch.zeros(patches.shape[:-1]), atol=1e-5, rtol=0)
    assert patches.square().mean(dim=-1).max() <= 1


def test_light_alone_does_not_change_what_a_flat_picture_gives(level: PatchLevel) -> None:
    shades = torch.linspace(0, 1, 11)[:, None, None, None].expand(11, level.config.in_channels, 18, 23)
    responses = level.responses(shades)
    torch.testing.assert_close(responses, responses[:1].expand_as(responses), atol=1e-6, rtol=0)


def test_mirroring_the_picture_mirrors_the_maps_and_turns_the_sign_of_the_odd_ones(
    level: PatchLevel, pictures: torch.Tensor
) -> None:
    even, odd = level(pictures).chunk(2, dim=1)
    even_of_image, odd_of_image = level(pictures.flip(-1)).chunk(2, dim=1)
    torch.testing.assert_close(even_of_image, even.flip(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(odd_of_image, -odd.flip(-1), atol=1e-4, rtol=1e-4)
    assert odd.std() > 0.1
