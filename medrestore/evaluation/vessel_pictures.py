"""Which vessels are found, missed and invented, in colour over the photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

from medrestore.evaluation.figures import picture

FOUND, MISSED, INVENTED = (0.0, 0.62, 0.45), (0.34, 0.71, 0.91), (0.84, 0.37, 0.0)  # Okabe and Ito
COLOURS_SAID = "green: vessels of the reference that are found, blue: missed, orange: INVENTED, no vessel is there"
_COLUMN = 360  # pixels of the widest image in a row
_DARK = 0.6  # brightness of the photograph below the colours


class Kept(NamedTuple):
    """One picture: why it was chosen, key, value of what it was chosen by, JPEG."""

    why: str
    key: str
    value: float
    data: bytes


class VesselPictures:
    """Keeps the photograph with the lowest Dice so far, and the one with the most invented vessel."""

    def __init__(self) -> None:
        self._worst: Kept | None = None
        self._inventive: Kept | None = None

    def add(
        self,
        key: str,
        dice: float,
        invented: float,
        images: Sequence[Tensor],
        found: Sequence[Tensor],
        true: Tensor,
    ) -> None:
        """Look at one photograph.

        Args:
            key: of the image.
            dice: of the row that verdicts are about; NaN is passed over.
            invented: share of what that row calls vessel which is none.
            images: `(C, H, W)` in [0, 1], one a row.
            found: bool `(H, W)`, one a row.
            true: the reference, bool `(H, W)`.
        """
        worst = math.isfinite(dice) and (self._worst is None or dice < self._worst.value)
        inventive = math.isfinite(invented) and (self._inventive is None or invented > self._inventive.value)
        if not worst and not inventive:
            return
        drawn = overlay(images, found, true)
        if worst:
            self._worst = Kept(f"lowest Dice ({dice:.3f})", key, dice, drawn)
        if inventive:
            why = f"most invented vessel ({100 * invented:.0f} % of what is called vessel)"
            self._inventive = Kept(why, key, invented, drawn)

    def chosen(self) -> list[Kept]:
        """One picture a reason; one for both where it is the same photograph."""
        kept = [one for one in (self._worst, self._inventive) if one is not None]
        if len(kept) == 2 and kept[0].key == kept[1].key:
            return [kept[0]._replace(why=" and ".join(one.why for one in kept))]
        return kept


def overlay(images: Sequence[Tensor], found: Sequence[Tensor], true: Tensor) -> bytes:
    """Photographs side by side, and below each the same, grey and darker, with its vessels in colour.

    Args:
        images: `(C, H, W)` in [0, 1], of one size.
        found: what is called vessel in each, bool `(H, W)`.
        true: the reference of all, bool `(H, W)`.

    Returns:
        JPEG.
    """
    scale = min(1.0, _COLUMN / images[0].shape[-1])
    size = [max(1, round(side * scale)) for side in images[0].shape[-2:]]
    above, below = [], []
    for image, vessels in zip(images, found, strict=True):
        shown = interpolate(image[None].float().cpu().expand(-1, 3, -1, -1), size=size, mode="area")[0]
        painted = (_DARK * shown.mean(0)).expand(3, -1, -1).clone()
        for colour, where in ((FOUND, vessels & true), (MISSED, ~vessels & true), (INVENTED, vessels & ~true)):
            there = adaptive_max_pool2d(where[None].float(), size)[0] > 0  # a thin vessel must not fade away
            painted[:, there] = torch.tensor(colour)[:, None]
        above.append(shown)
        below.append(painted)
    return picture(torch.cat([torch.cat(above, dim=2), torch.cat(below, dim=2)], dim=1), _COLUMN * len(above))
