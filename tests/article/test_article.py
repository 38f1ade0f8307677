"""The fast loop against the published way of computing it."""

import pytest
import torch
from torch import nn

from firstsight.article.loop import ArticleLoop
from firstsight.article.network import Network
from firstsight.article.settings import ArticleSettings
from firstsight.device import generator, has_fast_bfloat16
from firstsight.errors import SettingsError

SMALL = {"num_levels": 3, "input_size": 52, "crop_size": 52, "maps": 6, "hidden_maps": 12}


class PublishedNetwork(nn.Module):
    """conv 5x5 -> ReLU -> conv 1x1 -> average pool, in that order and memory layout, PyTorch's own initialisation."""

    def __init__(self, settings: ArticleSettings) -> None:
        super().__init__()
        channels = (settings.channels, *[settings.maps] * (settings.num_levels - 1))
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, settings.hidden_maps, settings.kernel_size),
                nn.ReLU(),
                nn.Conv2d(settings.hidden_maps, settings.maps, 1),
                nn.AvgPool2d(2, 2),
            )
            for inputs in channels
        )

    def forward(self, inputs: torch.Tensor, level: int) -> torch.Tensor:
        for stage in self.levels[:level]:
            inputs = stage(inputs)
        return inputs


def published_step(
    network: PublishedNetwork, optimiser: torch.optim.Optimizer, image: torch.Tensor, level: int
) -> float:
    """Two Python loops over the maps; returns the observed value."""
    optimiser.zero_grad()
    maps = network(image, level)[0]
    values = []
    for i in range(len(maps)):
        for j in range(i + 1, len(maps)):
            a, b = maps[i].flatten(), maps[j].flatten()
            values.append((a / a.norm()) @ (b / b.norm()))
    similarities = torch.stack(values)
    nn.functional.mse_loss(similarities, torch.zeros_like(similarities)).backward()
    optimiser.step()
    return float(similarities.detach().abs().max())


def images(num: int, size: int) -> torch.Tensor:
    return torch.rand(num, 3, size, size, generator=generator(7))


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_forty_steps_equal_the_slow_reference(optimiser: str) -> None:
    settings = ArticleSettings(
        **SMALL,
        thresholds=(0.0,),
        frames_per_level=19,
        optimiser=optimiser,
        learning_rate=0.02 if optimiser == "sgd" else 1e-3,
    )
    # In float64: the dynamics are chaotic at the article's learning rate (a map of small norm has a large gradient), so
    # that float32 rounding alone, or another order of the same sums, grows to 1e-3 and more within 40 steps.
    loop = ArticleLoop(Network(settings.levels, input_size=52, seed=3).double(), settings)
    torch.manual_seed(3)
    slow = PublishedNetwork(settings).double()
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser]
    slow_optimiser = make(slow.parameters(), lr=settings.learning_rate)
    levels = []
    for image in images(40, 52).double():
        level = loop.state.level
        levels.append(level)
        loop.step(image[None].contiguous(memory_format=torch.channels_last))
        published_step(slow, slow_optimiser, image[None], level)
    assert levels == [1] * 21 + [2] * 19  # two levels are compared, gradients run through both
    for ours, theirs in zip(loop.network.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_first_steps_in_float32_equal_the_slow_reference() -> None:
    settings = ArticleSettings(**SMALL)
    loop = ArticleLoop(Network(settings.levels, input_size=52, seed=3), settings)
    torch.manual_seed(3)
    slow = PublishedNetwork(settings)
    optimiser = torch.optim.SGD(slow.parameters(), lr=settings.learning_rate)
    for image in images(3, 52):  # rounding trebles with each step, differently on each processor
        loop.step(image[None].contiguous(memory_format=torch.channels_last))
        published_step(slow, optimiser, image[None], 1)
    for ours, theirs in zip(loop.network.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_later_levels_are_left_alone_and_earlier_ones_go_on_learning() -> None:
    settings = ArticleSettings(**SMALL, thresholds=(0.0,), frames_per_level=19)
    network = Network(settings.levels, input_size=52, seed=0)
    loop = ArticleLoop(network, settings)
    frames = images(40, 52)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for image in frames[:21]:
        loop.step(image[None])
    after_first = {name: value.clone() for name, value in network.state_dict().items()}
    assert {name.split(".")[1] for name in before if not torch.equal(before[name], after_first[name])} == {"0"}
    for image in frames[21:]:
        loop.step(image[None])
    changed = {
        name.split(".")[1] for name, value in network.state_dict().items() if not torch.equal(after_first[name], value)
    }
    assert changed == {"0", "1"}


def test_frozen_earlier_levels_do_not_change() -> None:
    settings = ArticleSettings(**SMALL, thresholds=(0.0,), frames_per_level=19, freeze_earlier_levels=True)
    network = Network(settings.levels, input_size=52, seed=0)
    loop = ArticleLoop(network, settings)
    frames = images(30, 52)
    for image in frames[:21]:
        loop.step(image[None])
    first = network.levels[0].hidden.weight.detach().clone()
    second = network.levels[1].hidden.weight.detach().clone()
    for image in frames[21:]:
        loop.step(image[None])
    assert torch.equal(network.levels[0].hidden.weight, first)
    assert not torch.equal(network.levels[1].hidden.weight, second)


def test_a_batch_is_shown_frame_by_frame_to_the_stopping_rule() -> None:
    settings = ArticleSettings(**SMALL, thresholds=(0.0,), frames_per_level=60, batch_size=50)
    loop = ArticleLoop(Network(settings.levels, input_size=52, seed=0), settings)
    first = loop.step(images(50, 52))
    assert [check.frame for check in first.checks] == [20, 40]
    second = loop.step(images(50, 52))
    assert [(check.frame, check.outcome) for check in second.checks] == [(60, "go on"), (80, "cap")]
    assert (loop.state.level, loop.state.frame) == (2, 0)


def test_it_lowers_the_objective() -> None:
    settings = ArticleSettings(**SMALL, thresholds=(0.0,), batch_size=4, optimiser="adam", learning_rate=3e-3)
    loop = ArticleLoop(Network(settings.levels, input_size=52, seed=0), settings)
    losses = [loop.step(images(4, 52)).loss for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.skipif(not has_fast_bfloat16(), reason="this processor has no fast bfloat16")
def test_bfloat16_stays_near_float32() -> None:
    results = []
    for precision in ("float32", "bfloat16"):
        settings = ArticleSettings(**SMALL, thresholds=(0.0,), precision=precision)
        loop = ArticleLoop(Network(settings.levels, input_size=52, seed=0), settings)
        for image in images(20, 52):
            loop.step(image[None])
        results.append(torch.cat([value.flatten() for value in loop.network.parameters()]))
    assert torch.nn.functional.cosine_similarity(results[0], results[1], dim=0).item() > 0.999


def test_divergence_is_said() -> None:
    settings = ArticleSettings(**SMALL, learning_rate=1e30)
    loop = ArticleLoop(Network(settings.levels, input_size=52, seed=0), settings)
    loop.step(images(1, 52))
    with pytest.raises(SettingsError, match=r"diverged at level 1, frame 1; use a learning rate below 1e\+30"):
        loop.step(images(1, 52))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "fast"}, "valid are article, repository"),
        ({"optimiser": "sdg"}, "valid are sgd, adam"),
        ({"precision": "float16"}, "valid are float32, bfloat16"),
        ({"maps": 1}, "at least 2"),
        ({"batch_size": 0}, "batch"),
        ({"learning_rate": -1}, "positive"),
        ({"num_levels": 7}, "used up at level 6"),
        ({"num_levels": 0}, "at least 1"),
        ({"thresholds": (0.1, 0.2)}, "2 thresholds for 4 levels"),
        ({"channels": 2}, "3 for colour"),
        ({"frames_per_level": 0}, "at least 1"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ArticleSettings(**settings)
