"""Motion blur that differs from place to place, which S4 names as future work."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medrestore.degradations.hand import Preset, hand_of
from medrestore.degradations.kernels import rms_radius, trim
from medrestore.degradations.parameters import Parameters, draw_seed, frame_of
from medrestore.degradations.sensor import Sensor, recorded
from medrestore.degradations.trajectory import canvas_for, splat
from medrestore.degradations.varying import blur_varying, window_means
from medrestore.errors import MedrestoreError


class PatchwiseMotionBlur:
    """Blurs along random paths that change smoothly over the image; each is centred, so that pairs stay registered.

    Three paths p, q, r are drawn as in `MotionBlur`. At (y, x), both from -1 to 1 over the image, the path is
    (p + s (y q + x r)) / sqrt(1 + s^2 (y^2 + x^2)) with s the variation: as strong on average everywhere, but of
    another shape and direction. A grid of kernels follows it, blended between (`varying.blur_varying`). The grid spans
    the whole image: a training crop gets the blur of its place by `Parameters.frame`.

    Args:
        preset: as for `MotionBlur`.
        length: of each of the three paths in pixels; None = the preset's; 0 = no blur.
        exposure: fraction of the paths that is exposed, in (0, 1]; None = the preset's.
        anxiety: one number, or the range it is drawn from; None = the preset's.
        variation: s; 0 = the same kernel everywhere.
        grid: rows and columns of kernels, at least 2. The larger the variation and the blur, the more are needed:
            where neighbours differ by more than their own width, their blend is a double image.
        samples: points of a path.
        sensor: noise and quantisation after the blur; None = none.

    Raises:
        MedrestoreError: a number is out of range.
    """

    scale = 1

    def __init__(
        self,
        preset: Preset = "small",
        length: float | None = None,
        exposure: float | None = None,
        anxiety: float | Sequence[float] | None = None,
        variation: float = 0.5,
        grid: int = 6,
        samples: int = 1000,
        sensor: Sensor | None = None,
    ) -> None:
        self.hand = hand_of(preset, length, exposure, anxiety, samples)
        if not 0 <= variation < math.inf:
            raise MedrestoreError(f"variation is a number >= 0, found {variation}; type variation=0.5")
        if not isinstance(grid, int) or grid < 2:
            raise MedrestoreError(f"grid is a whole number of kernels >= 2, found {grid!r}; type grid=6")
        self.variation, self.grid, self.sensor = variation, grid, sensor
        # The sum of three paths of length L with weights of square sum 1 is at most sqrt(3) L long.
        self.canvas = canvas_for(self.hand.length * min(math.sqrt(3), 1 + 2 * variation), self.hand.exposure)
        self.margin = self.canvas // 2

    def sample(self, generator: torch.Generator) -> Parameters:
        """Draw the paths; `field` holds the kernels, float32 `(grid, grid, k, k')`.

        The description holds `length`, `exposure`, `anxiety`, `variation` and `rms_radius` (pixels): that of the mean
        kernel over the image.
        """
        anxiety = self.hand.draw_anxiety(generator)
        base, down, across = (self.hand.draw_path(anxiety, generator) for _ in range(3))
        x = self.variation * torch.linspace(-1, 1, self.grid, dtype=torch.float64)[:, None]
        y = x[:, None]
        weights = self.hand.weights
        lit = weights > 0
        paths = (base[lit] + y * down[lit] + x * across[lit]) / torch.sqrt(1 + y**2 + x**2)
        field = splat(paths, weights[lit], self.canvas)
        share = window_means(self.grid)
        mean = torch.einsum("i,j,ijkl->kl", share, share, field)
        support = trim(mean)
        top, left = ((self.canvas - size) // 2 for size in support.shape)
        field = field[:, :, top : self.canvas - top, left : self.canvas - left].float()
        description: dict[str, float | int | str] = {
            "type": "motion_patchwise",
            "length": self.hand.length,
            "exposure": self.hand.exposure,
            "anxiety": anxiety,
            "variation": self.variation,
            "rms_radius": rms_radius(mean),
        }
        return Parameters(None, description, draw_seed(generator), field=field, margin=max(support.shape) // 2)

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """Blur and record `(C, H, W)` or `(N, C, H, W)` of any unit; borders reflect."""
        assert parameters.field is not None
        blurred = blur_varying(image, parameters.field, frame_of(image, parameters))
        return recorded(blurred, self.sensor, parameters.seed)
