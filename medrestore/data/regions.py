"""What is marked in an image: a lesion's mask or the boxes around lesions, as the collection knows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.ndimage import find_objects, label
from torch import Tensor

_NEIGHBOURS = np.ones((3, 3), dtype=int)  # pixels that touch at a corner belong together


def marked_region(annotations: Mapping[str, Any], height: int, width: int) -> Tensor | None:
    """The mask of an image, or the boxes around its lesions as a mask.

    Args:
        annotations: of a case: `region`, bool `(1, H, W)`, or else `boxes` `(k, 4)` as x0, y0, x1, y1 in pixels.
        height: of the image they belong to.
        width: of that image.

    Returns:
        Bool `(1, height, width)`; None where nothing is marked.
    """
    region = annotations.get("region")
    if region is None and annotations.get("boxes") is not None:
        region = boxes_as_mask(torch.as_tensor(annotations["boxes"]), height, width)
    if region is None:
        return None
    region = region.reshape(1, *region.shape[-2:])[:, :height, :width].bool()
    return region if bool(region.any()) else None


def boxes_as_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """Bool `(1, height, width)`, True inside any of the boxes `(k, 4)`: x0, y0, x1, y1, the last two exclusive."""
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes.tolist():
        rows, columns = (slice(max(0, math.floor(a)), max(0, math.ceil(b))) for a, b in ((y0, y1), (x0, x1)))
        mask[:, rows, columns] = True
    return mask


def part_boxes(region: Tensor) -> Tensor:
    """The box around each connected part of a region, int64 `(k, 4)`: x0, y0, x1, y1, the last two exclusive.

    Args:
        region: bool `(1, H, W)`.
    """
    parts = np.asarray(region.reshape(region.shape[-2:]).cpu())
    found = find_objects(label(parts, _NEIGHBOURS)[0])  # type: ignore[index]
    boxes = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in found]
    return torch.tensor(boxes, dtype=torch.int64).reshape(-1, 4)
