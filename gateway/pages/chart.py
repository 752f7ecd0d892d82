"""Bars of a chart as SVG rectangles; the template draws them."""

from collections.abc import Sequence

from msgspec import Struct

from billing.spending import Day

WIDTH = 20
GAP = 4
HEIGHT = 100
LEAST = 1.5


class Bar(Struct, frozen=True):
    day: Day
    x: int
    y: str
    height: str
    width: int = WIDTH - GAP


def bars(days: Sequence[Day]) -> list[Bar]:
    """One for each day; what is not 0 can be seen."""
    most = max((day.charge for day in days), default=0) or 1
    heights = [max(day.charge * HEIGHT / most, LEAST) if day.charge else 0.0 for day in days]
    return [
        Bar(day, number * WIDTH + GAP // 2, f"{HEIGHT - height:.2f}", f"{height:.2f}")
        for number, (day, height) in enumerate(zip(days, heights, strict=True))
    ]
