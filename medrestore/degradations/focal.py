"""Out-of-focus blur of paper S1: Gaussian or box, sizes drawn independently for x and y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from medrestore.degradations.apply import blur
from medrestore.degradations.kernels import SigmaRule, box_taps, gaussian_taps, outer, rms_radius, sigma_of
from medrestore.degradations.parameters import Parameters, draw_seed
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.errors import MedrestoreError

FocalKind = Literal["gaussian", "box"]


class FocalBlur:
    """Blurs with a separable Gaussian or box of random whole size; zero phase for even sizes too.

    Sizes are uniform whole numbers, independent in x and y, both ends included. S1 gives the sizes 3 to 6 and the two
    kinds; that they are whole, independent and equally likely is our reading.

    Args:
        sizes: smallest and largest size in pixels; size 1 is no blur.
        kinds: the kinds to draw from, of `gaussian` and `box`.
        probabilities: of each kind, in their order; None = equal.
        sigma: standard deviation of a Gaussian of a size, see `kernels.sigma_of`.
        sensor: noise and quantisation after the blur; None = none.

    Raises:
        MedrestoreError: sizes, kinds, probabilities or sigma make no sense.
    """

    scale = 1

    def __init__(
        self,
        sizes: Sequence[int] = (3, 6),
        kinds: Sequence[FocalKind] = ("gaussian", "box"),
        probabilities: Sequence[float] | None = None,
        sigma: SigmaRule | float = "opencv",
        sensor: Sensor | None = None,
    ) -> None:
        self.low, self.high = _checked_sizes(sizes)
        self.kinds = _checked_kinds(kinds)
        self.probabilities = _checked_probabilities(probabilities, len(self.kinds))
        self.sigma: SigmaRule | float = sigma
        self.sensor = sensor
        self.margin = self.high // 2
        sigma_of(self.high, sigma)  # refuses a wrong rule before the first image

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw the kind and both sizes; the description holds `kind`, `size_x`, `size_y`, `rms_radius` (pixels)."""
        kind = self.kinds[int(torch.multinomial(self.probabilities, 1, generator=generator))]
        size_x, size_y = torch.randint(self.low, self.high + 1, (2,), generator=generator).tolist()
        kernel = outer(self._taps(kind, size_y), self._taps(kind, size_x))
        description: dict[str, float | int | str] = {
            "type": "focal",
            "kind": kind,
            "size_x": size_x,
            "size_y": size_y,
            "rms_radius": rms_radius(kernel),
        }
        return Parameters(kernel, description, draw_seed(generator))

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Blur and record `(C, H, W)` or `(N, C, H, W)` of any unit; borders reflect."""
        assert parameters.kernel is not None
        return recorded(blur(image, parameters.kernel), self.sensor, parameters.seed)

    def _taps(self, kind: FocalKind, size: int) -> Tensor:
        return box_taps(size) if kind == "box" else gaussian_taps(size, sigma_of(size, self.sigma))


def _checked_sizes(sizes: Sequence[int]) -> tuple[int, int]:
    found = list(sizes) if isinstance(sizes, Sequence) else [sizes]
    whole = all(isinstance(size, int) for size in found)
    if len(found) != 2 or not whole or not 1 <= found[0] <= found[1]:
        raise MedrestoreError(f"sizes is the smallest and the largest whole size, found {found}; type sizes=[3,6]")
    return found[0], found[1]


def _checked_kinds(kinds: Sequence[FocalKind]) -> tuple[FocalKind, ...]:
    known = get_args(FocalKind)
    if not kinds or any(kind not in known for kind in kinds):
        raise MedrestoreError(f"kinds holds gaussian, box or both, found {kinds}; type kinds=[gaussian,box]")
    return tuple(kinds)


def _checked_probabilities(probabilities: Sequence[float] | None, count: int) -> Tensor:
    found = [1.0] * count if probabilities is None else list(probabilities)
    if len(found) != count or min(found) < 0 or sum(found) <= 0:
        raise MedrestoreError(f"probabilities needs one number >= 0 for each of {count} kinds, found {found}")
    return torch.tensor(found, dtype=torch.float64)
