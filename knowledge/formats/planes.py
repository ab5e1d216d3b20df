"""Matrices, boxes and light: what it takes to say where on a page something is painted, and whether it can be seen there."""

from __future__ import annotations

from typing import Any

Matrix = tuple[float, float, float, float, float, float]
"""The six numbers of a PDF transformation."""
Box = tuple[float, float, float, float]
"""Left, low, right, top in points."""
ONE: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
EVERYWHERE: Box = (-1e9, -1e9, 1e9, 1e9)


def matrix(values: Any) -> Matrix:
    a, b, c, d, e, f = (float(v) for v in values)
    return a, b, c, d, e, f


def times(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def moved(m: Matrix, x: float, y: float) -> tuple[float, float]:
    return m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]


def turn_back(x: float, y: float, quarters: int) -> tuple[float, float]:
    return ((x, y), (y, -x), (-x, -y), (-y, x))[quarters]


def common(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def meets(a: Box, b: Box) -> bool:
    """Do the boxes overlap by more than a tenth of the first's width and height?"""
    x0, y0, x1, y1 = common(a, b)
    return x1 - x0 > (a[2] - a[0]) / 10 and y1 - y0 > (a[3] - a[1]) / 10


def covers(cover: Box, box: Box) -> bool:
    slack = (box[2] - box[0]) / 20, (box[3] - box[1]) / 5
    return (
        cover[0] <= box[0] + slack[0]
        and cover[2] >= box[2] - slack[0]
        and cover[1] <= box[1] + slack[1]
        and cover[3] >= box[3] - slack[1]
    )


def upright_corners(points: list[tuple[float, float]]) -> bool:
    return len({round(x, 1) for x, _ in points}) == 2 and len({round(y, 1) for _, y in points}) == 2


def light_in(space: str, parts: Any) -> float | None:
    numbers = tuple(float(part) for part in parts if isinstance(part, (int, float)))
    if len(numbers) != len(parts) or not numbers or space in ("/Pattern", "/Indexed", "/Lab"):
        return None
    if space == "ink":
        return luminance((1 - max(numbers),)) if max(numbers) < 0.1 else None
    return luminance(numbers)


def luminance(parts: tuple[float, ...]) -> float | None:
    """Relative luminance (WCAG) of grey, RGB or CMYK."""
    parts = tuple(min(1.0, max(0.0, float(part))) for part in parts)
    if len(parts) == 4:
        parts = tuple((1 - part) * (1 - parts[3]) for part in parts[:3])
    if len(parts) == 1:
        parts *= 3
    if len(parts) != 3:
        return None
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
