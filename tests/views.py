"""Ways of seeing a frame."""

from dataclasses import dataclass

from firstsight.pixels import Crop


@dataclass(frozen=True)
class Whole:
    """The whole picture at its own size."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        return Crop(0, 0, width, height, width, height)


@dataclass(frozen=True)
class Window:
    """A fixed rectangle."""

    window: Crop
    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        return self.window


@dataclass(frozen=True)
class Square:
    """The largest centred square at a fixed size."""

    size: int = 224
    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        side = min(width, height)
        return Crop((width - side) // 2, (height - side) // 2, side, side, self.size, self.size)
