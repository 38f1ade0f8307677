"""firstsight learns to see from your own video.

>>> import firstsight
>>> encoder = firstsight.learn("bikes.mp4")  # doctest: +SKIP
>>> vectors = encoder.encode(frames)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.comparison.align import align
    from firstsight.comparison.compare import compare
    from firstsight.encoder.encoder import Encoder
    from firstsight.errors import FirstsightError
    from firstsight.evaluation.evaluate import evaluate
    from firstsight.footage.frame_at import frame_at
    from firstsight.footage.source import open_source
    from firstsight.learning.learn import learn
    from firstsight.monitoring.watch import watch
    from firstsight.scene_detection.scenes import detect_scenes

__all__ = [
    "Encoder",
    "FirstsightError",
    "Library",
    "align",
    "compare",
    "detect_scenes",
    "evaluate",
    "frame_at",
    "learn",
    "open_source",
    "watch",
]

# Loaded when first asked for: importing the package costs nothing, and the command line starts without PyTorch.
_HOMES = {
    "Encoder": "firstsight.encoder.encoder",
    "FirstsightError": "firstsight.errors",
    "Library": "firstsight.api",
    "align": "firstsight.comparison.align",
    "compare": "firstsight.comparison.compare",
    "detect_scenes": "firstsight.scene_detection.scenes",
    "evaluate": "firstsight.evaluation.evaluate",
    "frame_at": "firstsight.footage.frame_at",
    "learn": "firstsight.learning.learn",
    "open_source": "firstsight.footage.source",
    "watch": "firstsight.monitoring.watch",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'firstsight' has no attribute {name!r}; valid are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
