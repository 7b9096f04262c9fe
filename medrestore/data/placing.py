"""What training does to an image before a judge sees it: scaled and turned with its boxes, lit unevenly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

_LAMP = 5  # brightness is drawn at so many points along each side
_SPOT = 0.08  # radius of a pale spot, as a share of the side


def to_side(image: Tensor, boxes: Tensor, side: int | None) -> tuple[Tensor, Tensor]:
    """Scale `(C, H, W)` and its boxes so that the shorter side has `side` pixels; anti-aliased when it shrinks."""
    height, width = image.shape[-2:]
    if side is None or min(height, width) == side:
        return image, boxes
    size = [max(side, round(length * side / min(height, width))) for length in (height, width)]
    scaled = interpolate(image[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]
    return scaled.clamp(0, 1), boxes * boxes.new_tensor([size[1] / width, size[0] / height] * 2)


def draw_turn(flips: bool | str, random: torch.Generator) -> int:
    """Draw one of the turns of `turned`: all eight, left-right only (`horizontal`), or none."""
    most = 2 if flips == "horizontal" else 8 if flips else 1
    return int(torch.randint(most, (), generator=random))


def turned(image: Tensor, turn: int) -> Tensor:
    """One of the eight flips and quarter turns of `(..., H, W)`: bit 0 left-right, 1 top-bottom, 2 transpose, last."""
    image = image.flip(-1) if turn & 1 else image
    image = image.flip(-2) if turn & 2 else image
    return image.transpose(-2, -1) if turn & 4 else image


def turned_boxes(boxes: Tensor, turn: int, height: int, width: int) -> Tensor:
    """Boxes `(k, 4)` of an image that was `turned` and now measures `height` x `width`."""
    if turn & 4:
        height, width = width, height
    x0, y0, x1, y1 = boxes.unbind(1)
    if turn & 1:
        x0, x1 = width - x1, width - x0
    if turn & 2:
        y0, y1 = height - y1, height - y0
    return torch.stack((y0, x0, y1, x1) if turn & 4 else (x0, y0, x1, y1), 1)


def unevenly_lit(image: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """Light `(C, H, W)` in [0, 1] by another lamp, and put up to three soft pale spots on it, as glare and mucus do.

    Else a judge would learn from few patients that pale is abnormal, where it should look at the pattern.

    Args:
        image: in [0, 1].
        strength: standard deviation of the logarithm of the brightness; a spot hides up to four times that share.
        random: where lamp and spots come from.
    """
    height, width = image.shape[-2:]
    field = torch.randn(1, 1, _LAMP, _LAMP, generator=random) * strength
    lamp = interpolate(field, size=(height, width), mode="bicubic", align_corners=True)[0].exp()
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None]
    veil = torch.zeros(height, width)
    for _ in range(int(torch.randint(4, (), generator=random))):
        row, column, radius, share = torch.rand(4, generator=random).tolist()
        spot = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * (_SPOT * (0.4 + radius)) ** 2))
        veil = torch.maximum(veil, spot * min(1.0, 4 * strength * (0.3 + 0.7 * share)))
    pale = image.amax(0, keepdim=True).clamp(min=0.9 * float(image.max()))
    return ((image + (pale - image) * veil) * lamp).clamp(0, 1)
