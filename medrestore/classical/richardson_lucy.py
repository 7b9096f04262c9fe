"""Richardson-Lucy deconvolution (Richardson 1972, Lucy 1974), blind to the true kernel: a Gaussian is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal, Self

from torch import Tensor

from medrestore.classical.gaussian import gaussian_blur
from medrestore.classical.method import Setting

_DARK = 1e-4  # added to all and taken off again: a black pixel would stay black, and a ratio to 0 says nothing
_FLOOR = 1e-6  # of the predicted image: above the rounding of an FFT, which could make it negative


@dataclass(frozen=True)
class RichardsonLucy:
    """x <- x * K(y / K x), started at y, with a Gaussian K; borders reflect.

    Attributes:
        sigma: of the assumed Gaussian, pixels.
        iterations: more of them sharpen more, noise included.
    """

    sigma: float = 0.8
    iterations: int = 6

    name = "richardson_lucy"
    kind: Literal["classical"] = field(default="classical", init=False)
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`sigma` and `iterations`."""
        return {"sigma": self.sigma, "iterations": self.iterations}

    def grid(self) -> list[Setting]:
        """Holds the best settings for focal blur of 3 to 6 px, and for small and big motion blur."""
        settings = product((0.8, 1.0, 1.2, 2.0), (3, 6, 12))
        return [{"sigma": sigma, "iterations": iterations} for sigma, iterations in settings]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another sigma or number of iterations."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Deconvolve `(1, C, H, W)` in [0, 1]; the true kernel is not looked at."""
        return richardson_lucy(
            degraded,
            lambda image: gaussian_blur(image, self.sigma),
            lambda image: gaussian_blur(image, self.sigma),
            self.iterations,
        )


def richardson_lucy(
    degraded: Tensor, blur: Callable[[Tensor], Tensor], turned: Callable[[Tensor], Tensor], iterations: int
) -> Tensor:
    """Repeat x <- x * K'(y / K x), started at y.

    Args:
        degraded: y, `(1, C, H, W)` in [0, 1].
        blur: K, by a kernel of sum 1.
        turned: K', by the same kernel turned by 180 degrees.
        iterations: how often.

    Returns:
        `(1, C, H, W)` in [0, 1].
    """
    observed = degraded.clamp(min=0) + _DARK
    restored = observed
    for _ in range(iterations):
        restored = restored * turned(observed / blur(restored).clamp(min=_FLOOR))
    return (restored - _DARK).clamp(0, 1)
