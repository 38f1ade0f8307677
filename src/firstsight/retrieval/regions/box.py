"""A rectangle of a picture that a person draws around a thing."""

from dataclasses import dataclass
from typing import Self

from firstsight.errors import SettingsError


@dataclass(frozen=True)
class Box:
    """Whole pixels of the upright frame, from its top left corner."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise SettingsError(
                f"box {self}; valid are x and y from 0, width and height from 1, in pixels of the frame"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The box that a person wrote as `x,y,width,height`.

        Raises:
            SettingsError: anything else.
        """
        try:
            x, y, width, height = (int(number) for number in text.split(","))
        except ValueError:
            raise SettingsError(f"box {text!r}; valid is x,y,width,height in pixels, such as 386,15,128,375") from None
        return cls(x, y, width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raises if the box does not lie in a picture of that width and height.

        Raises:
            SettingsError: it does not.
        """
        width, height = size
        if self.x + self.width > width or self.y + self.height > height:
            raise SettingsError(
                f"box {self} does not lie in the picture, which is {width}x{height}; "
                f"valid are x + width up to {width} and y + height up to {height}"
            )

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"


@dataclass(frozen=True)
class Placed:
    """A box, and the width and height of the picture that its pixels are of."""

    box: Box
    size: tuple[int, int]
