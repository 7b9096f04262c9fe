"""Patches inside and outside a marked region, for collections where every image shows a lesion."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrestore.data.seeding import generator_of

INSIDE, OUTSIDE = "inside", "outside"
_PARTS = (3, 4, 5, 6, 8)  # of the shorter side; the largest patch of which there is one of each kind is taken
_COVERED = 0.6  # of a patch that counts as inside
_SMALLEST = 16  # pixels


class Place(NamedTuple):
    """Where a square patch lies, in pixels, and whether it is `inside` or `outside` the region."""

    label: Literal["inside", "outside"]
    top: int
    left: int
    side: int

    def cut(self, image: Tensor) -> Tensor:
        """The patch `(C, side, side)` of `(C, H, W)`."""
        return image[..., self.top : self.top + self.side, self.left : self.left + self.side]


def patch_places(region: Tensor, random: torch.Generator) -> list[Place]:
    """Draw one place inside a region and one outside.

    Both have the same side, so that a patch's scale does not tell its kind: a third of the image's shorter side, or
    less where no such patch fits. Inside: at least 0.6 of the patch is marked; outside: no pixel is.

    Args:
        region: bool `(1, H, W)` or `(H, W)`.
        random: where the places come from.

    Returns:
        Two places, inside first; none where the region leaves no room for both kinds.
    """
    marked = region.reshape(1, *region.shape[-2:]).float()
    height, width = marked.shape[-2:]
    for part in _PARTS:
        side = min(height, width) // part
        if side < _SMALLEST:
            break
        stride = max(1, side // 8)
        covered = avg_pool2d(marked, side, stride)[0]
        candidates = (covered >= _COVERED).nonzero(), (covered == 0).nonzero()
        if all(len(places) for places in candidates):
            drawn = [places[int(torch.randint(len(places), (), generator=random))] for places in candidates]
            tops_lefts = [(int(row) * stride, int(column) * stride) for row, column in drawn]
            return [Place("inside", *tops_lefts[0], side), Place("outside", *tops_lefts[1], side)]
    return []


def patches_of(image: Tensor, region: Tensor, seed: int) -> list[tuple[str, Tensor]]:
    """Cut the patches of an image: the same places for every version of it.

    Args:
        image: `(C, H, W)`; sharp, blurred or restored.
        region: bool, at least as large; what lies beyond the image is not looked at.
        seed: of the places; with the region alone it decides them.

    Returns:
        (`inside` or `outside`, `(C, side, side)`) of each patch.
    """
    fitting = region[..., : image.shape[-2], : image.shape[-1]]
    return [(place.label, place.cut(image)) for place in patch_places(fitting, generator_of(seed, "patches"))]
