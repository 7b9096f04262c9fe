"""What judges are trained on: images with boxes, images with a class for every pixel, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrestore.data.street_classes import IGNORE


class Boxed(NamedTuple):
    """A batch of images of any size with boxes; a sample is a batch of one.

    Attributes:
        images: `(C, h, w)` in [0, 1] each.
        boxes: `(k, 4)` each: x0, y0, x1, y1 in pixels; k = 0 where there are none, or none are known.
        labels: the collection's own word for each image, or `inside` and `outside` for patches.
        key: `(N,)` position of each sample's image in its part of the split.
    """

    images: list[Tensor]
    boxes: list[Tensor]
    labels: list[str]
    key: Tensor


class Mapped(NamedTuple):
    """A batch of images with the class of every pixel; a sample is a batch of one.

    Attributes:
        images: `(N, C, h, w)` in [0, 1].
        classes: `(N, h, w)` int64, 255 where a pixel counts for nothing.
        key: `(N,)` position of each sample's image in its part of the split.
    """

    images: Tensor
    classes: Tensor
    key: Tensor


@dataclass(frozen=True)
class LabelledSettings:
    """How a judge wants its images.

    Attributes:
        side: images are scaled so that the shorter side has this many pixels; None leaves them as they are.
        patches: `inside_outside` cuts two patches of each image by its lesion mask; `none` takes whole images.
        light: how unevenly training images are lit, see `unevenly_lit`; 0 for not.
        maps: which annotation holds the class of every pixel: `labels`, or `vessels` (class 1) of fundus photographs,
            which then come as `vessel_truth.at_working_size` makes them.
    """

    side: int | None = None
    patches: Literal["none", "inside_outside"] = "none"
    light: float = 0.0
    maps: Literal["labels", "vessels"] = "labels"


def collate_labelled(samples: Sequence[Boxed] | Sequence[Mapped]) -> Boxed | Mapped:
    """Put samples into one batch; maps and images of several sizes are padded, with pixels that count for nothing."""
    if isinstance(samples[0], Boxed):
        images, boxes, labels, keys = zip(*samples, strict=True)
        flat = [[one for part in parts for one in part] for parts in (images, boxes, labels)]
        return Boxed(flat[0], flat[1], flat[2], torch.cat(keys))
    images, classes, keys = zip(*samples, strict=True)
    height, width = (max(part.shape[axis] for part in classes) for axis in (-2, -1))
    return Mapped(
        torch.cat([_padded(part, height, width, 0.0) for part in images]),
        torch.cat([_padded(part, height, width, IGNORE) for part in classes]),
        torch.cat(keys),
    )


def _padded(part: Tensor, height: int, width: int, value: float) -> Tensor:
    return pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2]), value=value)
