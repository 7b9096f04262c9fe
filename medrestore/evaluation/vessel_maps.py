"""Vessels by two filters that learn nothing: Frangi and the matched filter.

Both look at the inverted green channel, where vessels are bright, and give a response in the image's own units: no
equalisation of contrast before, and no constant taken from the image at hand. Otherwise a blurred image would be handed
back, before it is judged, the contrast that it lost.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.feature import hessian_matrix, hessian_matrix_eigvals
from skimage.filters import frangi
from torch import Tensor
from torch.nn.functional import conv2d, pad

from medrestore.data.vessel_truth import Fundus
from medrestore.evaluation.vessel_scores import best_threshold

_SIGMAS = range(2, 5)  # pixels; skimage's 1, 3, ..., 9 finds less: its Hessian is not normalised, so the finest decides
_MARGIN = 3  # pixels of the edge of the field of view that are not looked at
_CANDIDATES = 200
_MOST = 64  # photographs that thresholds are fixed on


@dataclass(frozen=True)
class FilterSettings:
    """What two filters need to know, fixed once on sharp photographs.

    The defaults are for evaluations without a judge: what `fit_filters` finds on 25 photographs of HRF and CHASE_DB1.

    Attributes:
        gamma: Frangi's scale of structuredness, in units of the Hessian's norm.
        frangi: a pixel is vessel from this response of Frangi's filter on.
        matched: the same of the matched filter, a difference of grey means.
    """

    gamma: float = 0.011
    frangi: float = 0.017
    matched: float = 0.02


def eroded(inside: NDArray[np.bool_], margin: int = _MARGIN) -> NDArray[np.bool_]:
    """The field of view `(H, W)` without what is less than `margin` pixels from its edge; an image's frame is none."""
    if inside.all():
        return inside
    return np.asarray(distance_transform_edt(inside)) > margin


def inverted_green(fundus: Fundus) -> NDArray[np.float32]:
    """1 - green (or grey), `(H, W)`; the nearest value inside the eroded field of view stands for what lies outside."""
    image = fundus.image
    inverse = 1 - image[1 if image.shape[0] == 3 else 0].numpy()
    inside = eroded(fundus.inside.numpy())
    if inside.all() or not inside.any():
        return inverse
    places = np.asarray(distance_transform_edt(~inside, return_distances=False, return_indices=True))
    return inverse[places[0], places[1]]


def frangi_response(inverse: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Frangi's vesselness (MICCAI 1998) of bright lines, in [0, 1].

    Args:
        inverse: `(H, W)`, see `inverted_green`.
        gamma: fixed. Left to skimage it is half the largest Hessian norm of the image itself, and a blurred image then
            answers as strongly as a sharp one.
    """
    return frangi(inverse, sigmas=_SIGMAS, alpha=0.5, beta=0.5, gamma=gamma, black_ridges=False)


def own_gamma(inverse: NDArray[np.float32]) -> float:
    """What skimage would take for this image alone: half the largest norm of its Hessian at the finest scale."""
    hessian = hessian_matrix(inverse, _SIGMAS[0], mode="reflect", use_gaussian_derivatives=True)
    return float(np.sqrt((hessian_matrix_eigvals(hessian) ** 2).sum(0)).max()) / 2


@functools.lru_cache(maxsize=4)
def matched_kernels(sigma: float = 2.0, length: float = 9.0, angles: int = 12) -> Tensor:
    """Pieces of a bright line with a Gaussian profile, `(angles, 1, k, k)` float64 (Chaudhuri et al., TMI 8(3), 1989).

    Across the line the kernel reaches 3 sigma to each side, along it half of `length`. Its mean is taken away, and it
    is divided by the sum of its positive values (the paper multiplies by 10 and rounds): the response is the grey mean
    of the line minus that of its surroundings.

    Args:
        sigma: of the profile in pixels.
        length: of the piece in pixels.
        angles: evenly spaced over half a turn.
    """
    reach = math.ceil(math.hypot(3 * sigma, length / 2))
    grid = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    kernels = []
    for angle in (math.pi * number / angles for number in range(angles)):
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        support = (across.abs() <= 3 * sigma + 1e-9) & (along.abs() <= length / 2 + 1e-9)
        profile = torch.where(support, torch.exp(-(across**2) / (2 * sigma**2)), torch.zeros_like(x))
        kernel = torch.where(support, profile - profile.sum() / support.sum(), torch.zeros_like(x))
        kernels.append(kernel / kernel.clamp(min=0).sum())
    return torch.stack(kernels)[:, None]


def matched_response(inverse: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest response over all angles, `(H, W)`; the edge of the image is repeated."""
    kernels = matched_kernels().float()
    reach = kernels.shape[-1] // 2
    image = pad(torch.from_numpy(inverse)[None, None], (reach,) * 4, mode="replicate")
    return conv2d(image, kernels)[0].amax(0).numpy()


def fit_filters(photographs: Iterable[Fundus]) -> FilterSettings | None:
    """Fix Frangi's gamma and both thresholds on sharp photographs with a reference, at most 64.

    gamma is the median of what skimage takes for each of them alone; each threshold, of 200 evenly spread quantiles
    of the upper half of the responses, is the one with the largest mean Dice.

    Returns:
        The settings; None where no photograph has a vessel.
    """
    known = []
    for fundus in photographs:
        if fundus.vessels is not None:
            inside = eroded(fundus.inside.numpy())
            truth = fundus.vessels.numpy()[inside]
            if truth.any():
                known.append((inverted_green(fundus), inside, truth))
        if len(known) == _MOST:
            break
    if not known:
        return None
    gamma = max(float(np.median([own_gamma(inverse) for inverse, _, _ in known])), 1e-6)
    truths = [truth for _, _, truth in known]
    of_frangi = [frangi_response(inverse, gamma)[inside] for inverse, inside, _ in known]
    of_matched = [matched_response(inverse)[inside] for inverse, inside, _ in known]
    return FilterSettings(gamma, *(best_threshold(some, truths, _candidates(some)) for some in (of_frangi, of_matched)))


def _candidates(responses: Sequence[NDArray]) -> NDArray[np.float64]:
    few = np.concatenate([response[:: max(1, response.size // 20_000)] for response in responses])
    spread = np.unique(np.quantile(few.astype(np.float64), np.linspace(0.5, 0.999, _CANDIDATES)))
    return spread[spread > 0] if (spread > 0).any() else spread
