"""Planar YUV 4:2:0 pictures as numpy arrays, and pictures of Pillow's in that form.

BT.601, video range: what browsers make of a camera's picture, and so what most tiles are; the encoder says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane: TypeAlias = NDArray[np.uint8]
Planes: TypeAlias = tuple[Plane, Plane, Plane]
Colour: TypeAlias = tuple[int, int, int]

_TO_YUV = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSET = np.array([16.0, 128.0, 128.0])


@dataclass(frozen=True, slots=True)
class Overlay:
    """A picture to be blended: each plane's values already multiplied by its opacity, and what is left of the ground.

    Attributes:
        size: (width, height), even.
        colour: Per plane, 0 to 255 * 256.
        rest: Per plane, 256 minus the opacity of 0 to 256.
    """

    size: tuple[int, int]
    colour: tuple[NDArray[np.uint16], ...]
    rest: tuple[NDArray[np.uint16], ...]


def split(pixels: Plane, width: int, height: int) -> Planes:
    """Views of the Y, U and V planes of an array of shape (height * 3 / 2, width)."""
    flat = pixels.reshape(-1)
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


def yuv(colour: Colour) -> Colour:
    """One RGB colour."""
    y, u, v = (_TO_YUV @ np.array(colour, np.float64) + _OFFSET).round().astype(int)
    return int(y), int(u), int(v)


def picture(image: Image.Image) -> Planes:
    """The planes of an RGB picture of even size."""
    values = _convert(image)
    return tuple(_rounded(_halved(values[..., i]) if i else values[..., i]) for i in range(3))  # type: ignore[return-value]


def overlay(image: Image.Image) -> Overlay:
    """An RGBA picture of even size, ready to be blended."""
    opacity = np.asarray(image.getchannel("A"), np.float32) * (256 / 255)
    values = _convert(image)
    colour, rest = [], []
    for i in range(3):
        covered = _halved(opacity) if i else opacity
        shade = _halved(values[..., i] * opacity) if i else values[..., i] * opacity
        colour.append(shade.round().astype(np.uint16))
        rest.append((256 - covered).round().astype(np.uint16))
    return Overlay(image.size, tuple(colour), tuple(rest))


def _convert(image: Image.Image) -> NDArray[np.float32]:
    rgb = np.asarray(image.convert("RGB"), np.float32)
    converted: NDArray[np.float32] = (rgb @ _TO_YUV.T.astype(np.float32)) + _OFFSET.astype(np.float32)
    return converted


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each four: a chroma sample stands for 2x2 pixels."""
    height, width = plane.shape
    mean: NDArray[np.float32] = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return mean


def _rounded(plane: NDArray[np.float32]) -> Plane:
    return np.clip(plane.round(), 0, 255).astype(np.uint8)
