"""A fundus photograph, its field of view and its vessels, at the size that vessels are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medrestore.data.street_classes import IGNORE
from medrestore.errors import MedrestoreError

LONGEST = 768  # pixels of the longer side: filters of a fixed width in pixels were made for DRIVE's 565 x 584


class Fundus(NamedTuple):
    """What is known of one photograph.

    Attributes:
        image: `(C, h, w)` in [0, 1], 0 outside the field of view, so that nothing can depend on what lies there.
        inside: bool `(h, w)`, the field of view.
        vessels: bool `(h, w)`, the reference inside it, or None.
    """

    image: Tensor
    inside: Tensor
    vessels: Tensor | None

    @property
    def classes(self) -> Tensor:
        """uint8 `(h, w)`: 1 vessel, 0 none, 255 outside the field of view.

        Raises:
            ValueError: there is no reference.
        """
        if self.vessels is None:
            raise ValueError("this photograph has no reference of its vessels")
        return self.vessels.to(torch.uint8).masked_fill(~self.inside, IGNORE)


def reference_of(annotations: Mapping[str, Any], size: tuple[int, int], name: str) -> Tensor | None:
    """The reference among what is known of an image, bool `(1, H, W)`; None where there is none.

    Args:
        annotations: of `Source.annotations`; `vessels` holds numbers above 0 (or True) at vessels.
        size: H and W of the image; a reference with more rows or columns is cut at the right and below.
        name: of the image, for the message.

    Raises:
        MedrestoreError: the reference is smaller than the image.
    """
    known = annotations.get("vessels")
    if not isinstance(known, Tensor):
        return None
    vessels = known.reshape(1, *known.shape[-2:])[:, : size[0], : size[1]] > 0
    if tuple(vessels.shape[1:]) != tuple(size):
        raise MedrestoreError(
            f"{name}: its map of vessels measures {tuple(known.shape[-2:])}, the image {tuple(size)}; "
            "give a map that was drawn on this image"
        )
    return vessels


def at_working_size(image: Tensor, mask: Tensor | None, vessels: Tensor | None) -> Fundus:
    """Take away what lies outside the field of view, and make smaller what has more than 768 pixels a side.

    Sizes shrink by the mean over the area of each new pixel. A new pixel is inside where all of its area is, and
    vessel where half of it is.

    Args:
        image: `(C, H, W)` in [0, 1].
        mask: field of view, bool `(1, H, W)`; None where all of the image is.
        vessels: the reference, bool `(1, H, W)`, or None.
    """
    image = image.detach().float().cpu()
    inside = torch.ones(1, *image.shape[-2:], dtype=torch.bool) if mask is None else mask.bool().cpu()
    image = torch.where(inside, image, torch.zeros(()))
    longest = max(image.shape[-2:])
    if longest > LONGEST:
        size = [max(1, round(side * LONGEST / longest)) for side in image.shape[-2:]]
        image, inside = _mean(image, size), _mean(inside.float(), size) > 0.999
        vessels = None if vessels is None else _mean(vessels.float().cpu(), size) >= 0.5
        image = torch.where(inside, image, torch.zeros(()))
    inside = inside[0]
    return Fundus(image, inside, None if vessels is None else vessels[0].cpu() & inside)


def _mean(values: Tensor, size: list[int]) -> Tensor:
    return interpolate(values[None], size=size, mode="area")[0]
