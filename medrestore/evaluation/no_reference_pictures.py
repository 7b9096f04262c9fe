"""All rows side by side on a few images without truth, with the regions that a reader should look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrestore.evaluation.figures import Box, central_box, most_changed_box, strip
from medrestore.imaging import inscribed_box
from medrestore.metrics import NiqeModel
from medrestore.metrics.ciede2000 import difference, lab
from medrestore.metrics.niqe import niqe_blocks

_ZOOM = (64, 216)  # pixels: the least and the most side of a region
_SHARE = 6  # of the shorter side
_COLOUR_SIDE = 768  # pixels of the longer side of a map of colour differences
_KEPT = 2  # images of each kind of worst


class Region(NamedTuple):
    """A square of an image, and how bad it is."""

    box: Box
    value: float


class Panel(NamedTuple):
    """One strip: why it was chosen, by which value, key, what its squares are, PNG."""

    why: str
    value: float
    key: str
    squares: str
    data: bytes


class Panels:
    """Keeps strips of the first image, of those where the shown row repaints most, and of its least natural ones.

    Args:
        reference: the input's row.
        shown: the row that pictures are about; where it is the reference, only the first image is kept.
        model: what regions are held against; None to leave these strips out.
    """

    def __init__(self, reference: str, shown: str, model: NiqeModel | None) -> None:
        self._reference, self._shown, self._model = reference, shown, model
        self._first: Panel | None = None
        self._repainted: list[Panel] = []
        self._unnatural: list[Panel] = []

    def add(self, key: str, images: Mapping[str, Tensor], mask: Tensor | None, captions: Mapping[str, str]) -> None:
        """Look at one image.

        Args:
            key: of the image.
            images: `(C, H, W)` in [0, 1] by row.
            mask: bool `(1, H, W)`: regions are looked for inside; None = everywhere.
            captions: a line for each row.
        """
        before, after = images[self._reference], images[self._shown]
        inside = torch.ones_like(before[:1], dtype=torch.bool) if mask is None else mask
        if not inside.any():
            return
        size = zoom_side(before)
        changed = most_changed_box(before * inside, after * inside, size)
        if self._first is None:
            boxes = [field_centre(before, inside, size)] + ([changed] if self._shown != self._reference else [])
            squares = "orange the centre of the field" + (", blue the largest change" if len(boxes) > 1 else "")
            self._first = Panel("the first image", 0.0, key, squares, strip(images, boxes, captions))
        if self._shown == self._reference:
            return
        painted = repainted(before, after, inside, size)
        if _wanted(self._repainted, painted.value):
            why = f"'{self._shown}' repaints a region by CIEDE2000 {painted.value:.1f}"
            boxes = [painted.box, field_centre(before, inside, size)]
            drawn = strip(images, boxes, captions)
            squares = "orange the region with the largest change of colour, blue the centre of the field"
            _keep(self._repainted, Panel(why, painted.value, key, squares, drawn))
        unlike = None if self._model is None else least_natural(after, inside, self._model)
        if unlike is not None and _wanted(self._unnatural, unlike.value):
            why = f"a block of '{self._shown}' lies {unlike.value:.1f} from the blocks of the NIQE model"
            drawn = strip(images, [unlike.box, changed], captions)
            squares = "orange the block least like those of the NIQE model, blue the largest change"
            _keep(self._unnatural, Panel(why, unlike.value, key, squares, drawn))

    def chosen(self) -> list[tuple[bytes, str, str]]:
        """PNG, what it shows and a caption, of each strip."""
        panels = [] if self._first is None else [self._first]
        panels += [*self._repainted, *self._unnatural]
        return [(one.data, f"all rows of image {one.key}", f"{one.key}, {one.why}; {one.squares}") for one in panels]


def zoom_side(image: Tensor) -> int:
    """The side in pixels of the squares that are enlarged: a sixth of the image, but no more than is shown exactly."""
    shorter = min(image.shape[-2:])
    return min(max(_ZOOM[0], shorter // _SHARE), _ZOOM[1], shorter)


def field_centre(image: Tensor, inside: Tensor, size: int) -> Box:
    """The square of `size` pixels in the middle of the field of view, the same for every row."""
    top, left, height, width = inscribed_box(inside)
    box = central_box(image, size)
    row, column = top + (height - box.height) // 2, left + (width - box.width) // 2
    return Box(
        max(0, min(row, image.shape[-2] - box.height)),
        max(0, min(column, image.shape[-1] - box.width)),
        box.height,
        box.width,
    )


def repainted(before: Tensor, after: Tensor, inside: Tensor, size: int) -> Region:
    """The square whose colours change most between two images, with its mean CIEDE2000; outside the mask is no change.

    Args:
        before: `(C, H, W)` in [0, 1].
        after: of the same shape.
        inside: bool `(1, H, W)`.
        size: side of the square in pixels.
    """
    factor = max(1, -(-max(before.shape[-2:]) // _COLOUR_SIDE))  # colours of regions need no finer map
    small = [avg_pool2d(image.cpu().expand(3, -1, -1), factor) for image in (before, after)]
    change = difference(*(lab(image.permute(1, 2, 0)) for image in small))
    change = change * avg_pool2d(inside.cpu().float(), factor)[0]
    box = most_changed_box(change[None], torch.zeros_like(change)[None], max(1, size // factor))
    value = float(change[box.top : box.top + box.height, box.left : box.left + box.width].mean())
    return Region(Box(*(factor * side for side in box)), value)


def least_natural(image: Tensor, inside: Tensor, model: NiqeModel) -> Region | None:
    """The block whose features lie furthest from those of the model's blocks (Mahalanobis); None without a block.

    Args:
        image: `(C, H, W)` in [0, 1].
        inside: bool `(1, H, W)`; only blocks wholly inside count.
        model: of sharp images.
    """
    blocks = niqe_blocks(image[None], model.block, mask=inside[None])
    apart = blocks.features[0] - model.mean.to(blocks.features)
    inverse = torch.linalg.pinv(model.covariance.to(apart), hermitian=True)
    distance = torch.einsum("bi,ij,bj->b", apart, inverse, apart).clamp_min(0).sqrt()
    distance = torch.where(blocks.inside[0] & distance.isfinite(), distance, -1.0)
    if len(distance) == 0 or float(distance.max()) < 0:
        return None
    row, column = divmod(int(distance.argmax()), image.shape[-1] // model.block)
    return Region(Box(row * model.block, column * model.block, model.block, model.block), float(distance.max()))


def _wanted(kept: list[Panel], value: float) -> bool:
    return math.isfinite(value) and (len(kept) < _KEPT or value > kept[-1].value)


def _keep(kept: list[Panel], panel: Panel) -> None:
    """Add a panel to those with the largest values."""
    kept.append(panel)
    kept.sort(key=lambda one: (-one.value, one.key))
    del kept[_KEPT:]
