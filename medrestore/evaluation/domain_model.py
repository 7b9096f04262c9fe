"""A NIQE model of a run's own sharp training images, fitted when it is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median

import torch
from torch import Tensor

from medrestore.metrics import NiqeModel
from medrestore.metrics.niqe import niqe_block_for, niqe_model_of, niqe_sharp_rows, require_blocks

GIVE_ONE = "type metrics.fitted_niqe=FILE with a model of python -m medrestore.fit_niqe"

_LOOKED_AT = 16  # images that the block is chosen by
_IMAGES, _BLOCKS = 16, 3000  # from so many of both on, more images hardly move the model
_MOST = 128  # images
_THRESHOLD = 0.0  # every block: one bright disc would set the sharpness that the others are held against


def fit_to(references: Callable[[], Iterator[tuple[Tensor, Tensor | None]]]) -> NiqeModel:
    """Fit NIQE to sharp images; it reads as many as it needs.

    Args:
        references: the images `(C, H, W)` in [0, 1] one by one, with a mask bool `(1, H, W)` where there is one.

    Raises:
        MedrestoreError: too few blocks inside the masks for 36 features.
    """
    sides = [min(image.shape[-2:]) for image, _ in islice(references(), _LOOKED_AT)]
    block = niqe_block_for(median(sides) if sides else math.inf)
    rows: list[Tensor] = []
    blocks = images = 0
    for image, mask in islice(references(), _MOST):
        found = niqe_sharp_rows(image[None], block, _THRESHOLD, mask=None if mask is None else mask[None].bool())
        rows.append(found)
        blocks, images = blocks + len(found), images + 1
        if images >= _IMAGES and blocks >= _BLOCKS:
            break
    require_blocks(blocks, block, images, GIVE_ONE)
    about = {"collection": "this run's sharp training images", "images": images, "blocks": blocks}
    return niqe_model_of(torch.cat(rows), block, _THRESHOLD, about)
