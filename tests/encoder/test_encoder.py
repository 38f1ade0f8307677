import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels, cell_centres
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare, to_inputs
from firstsight.errors import FirstsightError, PixelsError, RunError, SettingsError


def frames(num: int = 3, height: int = 240, width: int = 320) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), dtype=np.uint8)


def small_encoder(seed: int = 0) -> Encoder:
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    return Encoder(
        ArticleModel(CentralSquare(64, 48), Network(levels, input_size=48, seed=seed)), provenance={"seed": seed}
    )


def plain_composition(tensors: dict[str, torch.Tensor], inputs: torch.Tensor, num_levels: int) -> torch.Tensor:
    """conv1 -> ReLU -> conv2 -> average pool, in the published order."""
    for index in range(num_levels):
        conv1, conv2 = f"main.{index}.conv1.conv2d", f"main.{index}.conv2.conv2d"
        inputs = nn.functional.conv2d(inputs, tensors[f"{conv1}.weight"], tensors[f"{conv1}.bias"]).relu()
        inputs = nn.functional.conv2d(inputs, tensors[f"{conv2}.weight"], tensors[f"{conv2}.bias"])
        inputs = nn.functional.avg_pool2d(inputs, 2, 2)
    return inputs


@pytest.mark.parametrize(("level", "size"), [(1, 110), (2, 53), (3, 24), (4, 10)])
def test_the_authors_weights_give_the_plain_composition(article_weights: Path, level: int, size: int) -> None:
    encoder = Encoder.load(article_weights)
    pixels = frames(2, 360, 400)
    features = encoder.features(pixels, level=level)
    assert features.shape == (2, 16, size, size)
    assert features.dtype == np.float32
    tensors = torch.load(article_weights, weights_only=True)
    inputs = torch.from_numpy(encoder.view.apply(pixels)).permute(0, 3, 1, 2) / 255
    expected = plain_composition(tensors, inputs, level).numpy()
    assert np.abs(features - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_article_has_86016_parameters() -> None:
    network = Network(article_levels(), input_size=224, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == 86_016
    assert network.map_sizes == (110, 53, 24, 10)


def test_a_seed_gives_pytorchs_own_initialisation() -> None:
    network = Network(article_levels(num_levels=2), input_size=224, seed=5)
    torch.manual_seed(5)
    expected = [layer for inputs in (3, 16) for layer in (nn.Conv2d(inputs, 64, 5), nn.Conv2d(64, 16, 1))]
    ours = [layer for level in network.levels for layer in (level.hidden, level.maps)]
    for mine, theirs in zip(ours, expected, strict=True):
        assert torch.equal(mine.weight, theirs.weight)
        assert torch.equal(mine.bias, theirs.bias)


def test_making_and_loading_an_encoder_leaves_pytorchs_own_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    small_encoder().save(tmp_path / "run")
    Encoder.load(tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_a_run_of_any_seed_of_pytorch_can_be_loaded(tmp_path: Path) -> None:
    Encoder(small_encoder().model, provenance={"seed": 2**60}).save(tmp_path / "run")
    assert Encoder.load(tmp_path / "run").provenance["seed"] == 2**60


def test_cell_centres_are_the_articles() -> None:
    levels = article_levels()
    for number, (step, offset, size) in enumerate(
        [(2, 2.5, 110), (4, 7.5, 53), (8, 17.5, 24), (16, 37.5, 10)], start=1
    ):
        np.testing.assert_array_equal(cell_centres(levels[:number], size), step * np.arange(size) + offset)


def test_a_cell_sees_what_its_centre_says() -> None:
    """The gradient of one cell with respect to the input is centred on the cell's centre."""
    levels = article_levels(num_levels=3, maps=4, hidden_maps=8)
    network = Network(levels, input_size=96, seed=0)
    inputs = torch.rand(1, 3, 96, 96, requires_grad=True)
    network(inputs)[0, 0, 3, 5].backward()
    rows, columns = np.nonzero(inputs.grad.abs().sum((0, 1)).numpy())
    centres = cell_centres(levels, network.map_sizes[-1])
    assert (rows.min() + rows.max()) / 2 == centres[3]
    assert (columns.min() + columns.max()) / 2 == centres[5]


def test_embeddings_have_unit_length_and_are_the_flattened_last_level() -> None:
    encoder = small_encoder()
    vectors, features = encoder.encode(frames()), encoder.features(frames()).reshape(3, -1)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors * np.linalg.norm(features, axis=1, keepdims=True), features, atol=1e-6)


def test_batches_do_not_show() -> None:
    encoder = small_encoder()
    many = frames(35)
    together = encoder.features(many)
    apart = np.concatenate([encoder.features(one[None]) for one in many])
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_grey_frames_for_a_colour_encoder_are_repeated() -> None:
    encoder = small_encoder()
    grey = frames()[..., 0]
    np.testing.assert_array_equal(encoder.encode(grey), encoder.encode(np.repeat(grey[..., None], 3, -1)))


def test_save_and_load(tmp_path: Path) -> None:
    encoder = small_encoder(seed=4)
    encoder.save(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.json", "model.safetensors"}
    loaded = Encoder.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.encode(frames()), encoder.encode(frames()))
    assert loaded.view == encoder.view
    assert loaded.provenance == {"seed": 4}


def test_load_takes_the_authors_file_too(article_weights: Path) -> None:
    assert Encoder.load(article_weights).dim == 1600


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "has no config.json"),
        (lambda run: (run / "config.json").write_text("{"), "cannot be read"),
        (lambda run: (run / "config.json").write_text("[]"), "not a firstsight configuration"),
        (lambda run: (run / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda run: (run / "model.safetensors").write_bytes(b"no tensors"), "damaged"),
        (lambda run: edit(run, format_version=99), "version 99; this program reads version 1"),
        (lambda run: edit(run, levels=[{"in_channels": 3, "maps": 5}]), "damaged"),
        (lambda run: edit(run, preprocessing={"zoom": 3}), "damaged"),
    ],
)
def test_a_bad_run_gives_one_line(tmp_path: Path, damage: object, message: str) -> None:
    run = tmp_path / "run"
    small_encoder().save(run)
    damage(run)
    with pytest.raises(RunError, match=message) as caught:
        Encoder.load(run)
    assert "\n" not in str(caught.value)


def edit(run: Path, **changes: object) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | changes))


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.trace,))


def test_a_malicious_pickle_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    for name, write in (("plain.pth", pickle.dump), ("torch.pth", torch.save)):
        with (tmp_path / name).open("wb") as file:
            write({"main.0.conv1.conv2d.weight": Malicious(trace)}, file)
        with pytest.raises(RunError, match="it was not run"):
            Encoder.load(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": torch.zeros(2)},
        {0: torch.zeros(2)},
        [torch.zeros(2)],
        {"main.0.conv1.conv2d.weight": torch.zeros(4, 3, 5, 5)},
        {
            "main.0.conv1.conv2d.weight": torch.zeros(1).expand(10**9, 3, 5, 5),  # a file of a kilobyte
            "main.0.conv2.conv2d.weight": torch.zeros(1).expand(16, 10**9, 1, 1),
        },
    ],
)
def test_other_tensors_are_not_the_articles(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(RunError):
        Encoder.load(tmp_path / "other.pth")


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        Encoder.load(tmp_path / "nothing")


@pytest.mark.parametrize("level", [0, 3, -1])
def test_levels_count_from_one(level: int) -> None:
    with pytest.raises(SettingsError, match="1 to 2"):
        small_encoder().features(frames(), level=level)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 30, 30, 3)),
        np.zeros((30, 30), np.uint8),
        np.zeros((2, 30, 30, 4), np.uint8),
        np.zeros((0, 30, 30, 3), np.uint8),
        [1],
    ],
)
def test_frames_are_checked(bad: object) -> None:
    with pytest.raises(PixelsError):
        small_encoder().encode(bad)


def test_no_output_is_left() -> None:
    with pytest.raises(FirstsightError, match="at most 2"):
        Network(article_levels(num_levels=3), input_size=20, seed=0)


def test_inputs_are_in_zero_to_one() -> None:
    inputs = to_inputs(np.full((1, 4, 4, 3), 255, np.uint8), torch.device("cpu"))
    assert inputs.shape == (1, 3, 4, 4)
    assert torch.all(inputs == 1)
