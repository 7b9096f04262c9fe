"""Wiener deconvolution with the true kernel: what knowing the blur would be worth, not a fair competitor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

from torch import Tensor

from medrestore.classical.method import Setting
from medrestore.classical.wiener import deconvolve
from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class WienerOracle:
    """Wiener filter that is given each image's own kernel; only the noise level and the spectrum are tuned.

    Attributes:
        noise: noise-to-signal ratio.
        decay: the signal's power is taken to fall as 1 / f^decay; a white signal (0) suits wide kernels, whose errors
            come from the borders.
    """

    noise: float = 0.01
    decay: float = 2.0

    name = "wiener_oracle"
    kind: Literal["oracle"] = field(default="oracle", init=False)
    needs_kernel = True
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`noise` and `decay`."""
        return {"noise": self.noise, "decay": self.decay}

    def grid(self) -> list[Setting]:
        """From 8-bit images down to images without noise."""
        noises = (3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-6)
        return [{"noise": noise, "decay": decay} for noise, decay in product(noises, (0.0, 2.0))]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another noise or decay."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Deconvolve `(1, C, H, W)` in [0, 1] with the kernel that blurred it.

        Raises:
            MedrestoreError: no kernel is given.
        """
        if kernel is None:
            raise MedrestoreError("wiener_oracle needs the true kernel, found none; leave the row out for real pairs")
        return deconvolve(degraded, kernel, self.noise, self.decay).clamp(0, 1)
