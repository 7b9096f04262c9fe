"""No degradation: for real pairs, whose degraded image is a file of its own, and for noise alone."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.degradations.parameters import Parameters, draw_seed
from medrestore.degradations.sensor import Sensor, recorded


class Identity:
    """Leaves the image as it is, but for the sensor.

    Args:
        sensor: noise and quantisation; None = none.
    """

    margin = 0
    scale = 1

    def __init__(self, sensor: Sensor | None = None) -> None:
        self.sensor = sensor

    def sample(self, generator: torch.Generator) -> Parameters:
        """Nothing is drawn but the sensor's seed."""
        return Parameters(None, {"type": "none"}, draw_seed(generator))

    def apply(self, image: Tensor, parameters: Parameters) -> Tensor:
        """The recorded image, `(C, H, W)` or `(N, C, H, W)` of any unit."""
        return recorded(image, self.sensor, parameters.seed)
