"""NIQE without reference (Mittal et al., SPL 2013), as the LIVE release computes it, in float64.

The distance of an image's statistics to those of sharp images: of photographs (LIVE's model) or of a clinic's own sharp
images (`python -m medrestore.fit_niqe`). Only the latter orders medical images sensibly, and only values under one and
the same model compare. Noise-like texture lowers it: never select a model by it alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import mask_for
from medrestore.metrics.natural_statistics import aggd, check_photograph, gammas, grey_levels, half_size, mscn
from medrestore.metrics.quality_models import NiqeModel, read_niqe_model

NiqeParams = NiqeModel | str | Path | None
NIQE_LEAST_BLOCKS = 100  # a covariance of 36 features of fewer is mostly noise
NIQE_FEW_BLOCKS = 300

_SIDES = ((200, 32), (400, 48))  # shorter side of the images below which a block is smaller
_LARGE = 96
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # down and right, inside a block
_FEWEST = 2  # blocks of a covariance


class NiqeBlocks(NamedTuple):
    """The blocks of each image, row by row.

    Attributes:
        features: `(N, B, 36)` float64, NaN where a block is too flat to be described.
        sharpness: `(N, B)`, mean local standard deviation in grey levels.
        inside: bool `(N, B)`, whether the block lies wholly inside the mask.
    """

    features: Tensor
    sharpness: Tensor
    inside: Tensor


@torch.no_grad()
def niqe(image: Tensor, *, params: NiqeParams = None, mask: Tensor | None = None, drop_flat: bool = False) -> Tensor:
    """NIQE of each image: the distance to sharp images, 0 at best, without an upper limit; lower is better.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3 (RGB); rounded to 8 bit. What is over below and to the right of whole
            blocks (96 px in LIVE's model) does not count.
        params: the model of sharp images, or its file: LIVE's `.mat`, `.npz`, or `.safetensors` of `fit_niqe`.
        mask: bool `(N, 1, H, W)`, or `(1, 1, H, W)` for all; only blocks wholly inside count, at both scales. Pixels up
            to 10 px outside still take part in the local means. None = all blocks, as published.
        drop_flat: leave blocks that are too flat to be described out of the mean as well, not only out of the
            covariance as the LIVE release does; for images with an empty background.

    Returns:
        `(N,)` float64; NaN where fewer than two blocks can be described, e.g. an image smaller than two blocks, or
        black.

    Raises:
        ValueError: another shape, or values outside [0, 1].
        MedrestoreError: no model, or a file that is none.
    """
    check_photograph(image, "NIQE")
    model = _model(params)
    features, _, inside = niqe_blocks(image, model.block, mask=mask)
    return torch.stack([_distance(rows[kept], model, drop_flat) for rows, kept in zip(features, inside, strict=True)])


@torch.no_grad()
def niqe_blocks(image: Tensor, block: int, *, mask: Tensor | None = None) -> NiqeBlocks:
    """The 36 features of every block: 18 at full size, 18 of the same place at half size.

    At each scale alpha and mean scale of the normalised contrast, then alpha, eta and both scales of its products with
    the neighbour to the right, below, below right and below left.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3.
        block: side in pixels, even.
        mask: see `niqe`.

    Raises:
        ValueError: another shape, or values outside [0, 1].
    """
    check_photograph(image, "NIQE")
    number, _, height, width = image.shape
    rows, columns = height // block, width // block
    if mask is None:
        inside = torch.ones(number, rows * columns, dtype=torch.bool, device=image.device)
    else:
        mask = mask_for(mask, image)
        inside = _cut(mask[:, 0, : rows * block, : columns * block], block).all(dim=-1).all(dim=-1).flatten(1)
    if rows * columns == 0:
        nothing = image.new_empty(number, 0, dtype=torch.float64)
        return NiqeBlocks(nothing[..., None].expand(-1, -1, 36), nothing, inside)
    plane = grey_levels(image[..., : rows * block, : columns * block])
    normalised, deviation = mscn(plane, "replicate")
    sharpness = _cut(deviation, block).mean(dim=(-1, -2)).flatten(1)
    small = mscn(half_size(plane), "replicate").normalised
    features = torch.cat([_features(normalised, block), _features(small, block // 2)], dim=-1)
    return NiqeBlocks(features, sharpness, inside)


def niqe_block_for(side: float) -> int:
    """The side of the blocks that suit images with a shorter side of so many pixels: 96, as published, 48 or 32."""
    return next((block for below, block in _SIDES if side < below), _LARGE)


@torch.no_grad()
def niqe_sharp_rows(image: Tensor, block: int, threshold: float, *, mask: Tensor | None = None) -> Tensor:
    """The features that a model of sharp images is fitted on, `(K, 36)`, of all images together.

    A block counts when its sharpness exceeds `threshold` times the largest of its image, it can be described, and it
    lies inside the mask. Arguments as for `niqe_blocks`.
    """
    features, sharpness, inside = niqe_blocks(image, block, mask=mask)
    if sharpness.shape[1] == 0:
        return features.flatten(0, 1)
    sharpness = sharpness.masked_fill(~inside, 0)
    kept = sharpness > threshold * sharpness.amax(dim=1, keepdim=True)
    rows = features[kept & inside]
    return rows[~rows.isnan().any(dim=1)]


def require_blocks(blocks: int, block: int, images: int, remedy: str) -> None:
    """Refuse a covariance that would be noise.

    Args:
        blocks: that a model would be fitted on.
        block: side of one in pixels.
        images: they come from.
        remedy: what would give more.

    Raises:
        MedrestoreError: under a hundred blocks.
    """
    if blocks < NIQE_LEAST_BLOCKS:
        raise MedrestoreError(
            f"{blocks} usable blocks of {block} px in {images} sharp images are too few for 36 features, which need "
            f"{NIQE_LEAST_BLOCKS} and better {NIQE_FEW_BLOCKS}; {remedy}"
        )


def niqe_model_of(rows: Tensor, block: int, threshold: float, about: dict[str, object] | None = None) -> NiqeModel:
    """The model of sharp images: mean and sample covariance of the rows of `niqe_sharp_rows`, `(K, 36)`.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < _FEWEST:
        raise ValueError(f"a NIQE model needs at least {_FEWEST} blocks, found {len(rows)}")
    return NiqeModel(rows.mean(dim=0).cpu(), torch.cov(rows.T).cpu(), block, threshold, about or {})


class NIQE(MeanOverImages):
    """Mean NIQE over the images of all updates, see `niqe`; images without a score are left out.

    Args:
        params: the model of sharp images, or its file.
    """

    higher_is_better = False

    def __init__(self, params: NiqeParams) -> None:
        super().__init__()
        self.model = _model(params)

    def update(self, image: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        values = niqe(image, params=self.model, mask=mask)
        self.add(values[~values.isnan()])


def _model(params: NiqeParams) -> NiqeModel:
    if isinstance(params, NiqeModel):
        return params
    if params is None:
        raise MedrestoreError(
            "NIQE has no model of sharp images; type metrics.niqe_params=FILE (.mat, .npz, or .safetensors made by "
            "python -m medrestore.fit_niqe)"
        )
    return read_niqe_model(Path(params))


def _distance(rows: Tensor, model: NiqeModel, drop_flat: bool) -> Tensor:
    """Distance of one image's blocks `(B, 36)` to the model."""
    whole = rows[~rows.isnan().any(dim=1)]
    if len(whole) < _FEWEST:
        return rows.new_tensor(torch.nan)
    mean, covariance = model.mean.to(rows), model.covariance.to(rows)
    apart = mean - (whole if drop_flat else rows).nanmean(dim=0)
    both = torch.linalg.pinv((covariance + torch.cov(whole.T)) / 2, hermitian=True)
    return (apart @ both @ apart).clamp_min(0).sqrt()


def _features(normalised: Tensor, block: int) -> Tensor:
    """The 18 features of a scale, `(N, H, W)` -> `(N, B, 18)`; one row of blocks in memory at a time."""
    return torch.cat([_row_features(_cut(row, block)[:, 0]) for row in normalised.split(block, dim=1)], dim=1)


def _row_features(blocks: Tensor) -> Tensor:
    """`(N, B, side, side)` -> `(N, B, 18)`."""
    alpha, left, right = aggd(blocks.flatten(-2))
    scale = _scale(alpha)
    found = [alpha, (left * scale + right * scale) / 2]
    for shift in _SHIFTS:
        products = blocks * blocks.roll(shift, dims=(-2, -1))
        alpha, left, right = aggd(products.flatten(-2))
        one, two, _ = gammas(alpha)
        scale = _scale(alpha)
        left, right = left * scale, right * scale
        found += [alpha, (right - left) * two / one, left, right]
    return torch.stack(found, dim=-1)


def _scale(alpha: Tensor) -> Tensor:
    """The factor from a root mean square to the scale parameter beta."""
    one, _, three = gammas(alpha)
    return (one / three).sqrt()


def _cut(plane: Tensor, block: int) -> Tensor:
    """`(N, H, W)` -> `(N, rows, columns, block, block)`."""
    return plane.unflatten(2, (-1, block)).unflatten(1, (-1, block)).transpose(2, 3)
