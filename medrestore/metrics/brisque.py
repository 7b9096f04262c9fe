"""BRISQUE without reference (Mittal et al., TIP 2012), as the LIVE release computes it, in float64.

A regression of opinions about distorted photographs (LIVE release 2): about 0 (best) to 100 and beyond, not clamped. It
takes smooth anatomy and a black background for blur, and noise for sharpness: never select a model by it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.brisque_files import read_brisque_model
from medrestore.metrics.checks import mask_for
from medrestore.metrics.natural_statistics import aggd, check_photograph, gammas, ggd, grey_levels, half_size, mscn
from medrestore.metrics.quality_models import BrisqueModel

BrisqueParams = BrisqueModel | str | Path | Sequence[str | Path] | None
_SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))  # down and right, around the whole image


@torch.no_grad()
def brisque(image: Tensor, *, params: BrisqueParams = None, mask: Tensor | None = None) -> Tensor:
    """BRISQUE of each image; lower is better.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3 (RGB); rounded to 8 bit.
        params: the regression, or its files: the folder of LIVE's `allmodel` and `allrange`, or both paths.
        mask: bool `(N, 1, H, W)`, or `(1, 1, H, W)` for all. The statistics are those of a whole image, so that the
            largest upright rectangle inside the mask is scored, as if it were the image. None = the whole image.

    Returns:
        `(N,)` float64; NaN for an image of one colour and where the mask is empty.

    Raises:
        ValueError: another shape, or values outside [0, 1].
        MedrestoreError: no regression, or files that are none.
    """
    check_photograph(image, "BRISQUE")
    model = _model(params)
    if mask is None:
        return _score(brisque_features(image), model)
    mask = mask_for(mask, image)
    scores = [_inside(one[None], region, model) for one, region in zip(image, mask, strict=True)]
    return torch.cat(scores)


@torch.no_grad()
def brisque_features(image: Tensor) -> Tensor:
    """The 36 features of each image, unscaled, `(N, 36)` float64: 18 at full size, 18 at half size.

    At each scale alpha and mean square of the normalised contrast, then alpha, eta and both mean squares of its
    products with the neighbour to the right, below, below right and above right.

    Args:
        image: `(N, C, H, W)` in [0, 1], C 1 or 3.

    Raises:
        ValueError: another shape, or values outside [0, 1].
    """
    check_photograph(image, "BRISQUE")
    plane = grey_levels(image)
    return torch.cat([_features(plane), _features(half_size(plane))], dim=-1)


class BRISQUE(MeanOverImages):
    """Mean BRISQUE over the images of all updates, see `brisque`; images without a score are left out.

    Args:
        params: the regression, or its files.
    """

    higher_is_better = False

    def __init__(self, params: BrisqueParams) -> None:
        super().__init__()
        self.model = _model(params)

    def update(self, image: Tensor, mask: Tensor | None = None) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        values = brisque(image, params=self.model, mask=mask)
        self.add(values[~values.isnan()])


def _model(params: BrisqueParams) -> BrisqueModel:
    if isinstance(params, BrisqueModel):
        return params
    if params is None:
        raise MedrestoreError(
            "BRISQUE has no regression; type metrics.brisque_params=DIR with the folder of LIVE's files allmodel and "
            "allrange"
        )
    return read_brisque_model(params)


def _inside(image: Tensor, region: Tensor, model: BrisqueModel) -> Tensor:
    """The score `(1,)` of the largest rectangle inside a region, bool `(1, H, W)`."""
    if not region.any():
        return image.new_full((1,), torch.nan, dtype=torch.float64)
    from medrestore.imaging.field_of_view import inscribed_box

    top, left, height, width = inscribed_box(region)
    return _score(brisque_features(image[..., top : top + height, left : left + width]), model)


def _score(features: Tensor, model: BrisqueModel) -> Tensor:
    """The regression's answer for features `(N, 36)`."""
    least, most, support, weights = (
        tensor.to(features) for tensor in (model.least, model.most, model.support, model.weights)
    )
    scaled = model.low + (model.high - model.low) * (features - least) / (most - least)
    distance = (support - scaled[:, None]).square().sum(dim=-1)  # (N, S)
    return torch.exp(-model.gamma * distance) @ weights - model.rho


def _features(plane: Tensor) -> Tensor:
    """The 18 features of a scale, `(N, H, W)` -> `(N, 18)`."""
    normalised = mscn(plane, "zero").normalised
    found = [*ggd(normalised.flatten(1))]
    for shift in _SHIFTS:
        alpha, left, right = aggd((normalised * normalised.roll(shift, dims=(-2, -1))).flatten(1))
        one, two, three = gammas(alpha)
        eta = (right - left) * two / one * (one / three).sqrt()
        found += [alpha, eta, left.square(), right.square()]
    return torch.stack(found, dim=-1)
