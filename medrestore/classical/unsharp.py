"""Unsharp masking: the image plus what a blur takes away from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

from torch import Tensor

from medrestore.classical.gaussian import gaussian_blur
from medrestore.classical.method import Setting


@dataclass(frozen=True)
class Unsharp:
    """restored = degraded + amount (degraded - blurred).

    Attributes:
        sigma: of the Gaussian blur, pixels.
        amount: how much is added; 0 = the degraded image.
    """

    sigma: float = 1.25
    amount: float = 0.5

    name = "unsharp"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`sigma` and `amount`."""
        return {"sigma": self.sigma, "amount": self.amount}

    def grid(self) -> list[Setting]:
        """Holds the best settings for focal blur of 3 to 6 px, and for small and big motion blur."""
        return [
            {"sigma": sigma, "amount": amount} for sigma, amount in product((1.25, 2.0, 3.0), (0.25, 0.5, 0.75, 1.0))
        ]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another sigma or amount."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Sharpen `(1, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return (degraded + self.amount * (degraded - gaussian_blur(degraded, self.sigma))).clamp(0, 1)
