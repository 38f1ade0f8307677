"""firstsight learns to see from your own video.

>>> import firstsight
>>> encoder = firstsight.learn("bikes.mp4")  # doctest: +SKIP
>>> vectors = encoder.encode(frames)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.comparison.compare import CompareSettings, compare
    from firstsight.encoder.encoder import Encoder
    from firstsight.errors import FirstsightError
    from firstsight.footage.frame_at import frame_at
    from firstsight.footage.source import open_source
    from firstsight.learning.learn import learn

__all__ = ["CompareSettings", "Encoder", "FirstsightError", "Library", "compare", "frame_at", "learn", "open_source"]

# Loaded when first asked for: importing the package costs nothing, and the command line starts without PyTorch.
_HOMES = {
    "CompareSettings": "firstsight.comparison.compare",
    "Encoder": "firstsight.encoder.encoder",
    "FirstsightError": "firstsight.errors",
    "Library": "firstsight.api",
    "compare": "firstsight.comparison.compare",
    "frame_at": "firstsight.footage.frame_at",
    "learn": "firstsight.learning.learn",
    "open_source": "firstsight.footage.source",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'firstsight' has no attribute {name!r}; valid are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
