"""Richardson-Lucy deconvolution with the true kernel: what knowing the blur would be worth, not a fair competitor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from torch import Tensor

from medrestore.classical.method import Setting
from medrestore.classical.richardson_lucy import richardson_lucy
from medrestore.degradations.apply import blur
from medrestore.errors import MedrestoreError


@dataclass(frozen=True)
class RichardsonLucyOracle:
    """x <- x * K'(y / K x), started at y, with each image's own kernel K; borders reflect.

    K' is the kernel turned by 180 degrees, with which the update also runs from a lopsided kernel against its shift.

    Attributes:
        iterations: more of them sharpen more, noise included; the only thing that is tuned.
    """

    iterations: int = 15

    name = "richardson_lucy_oracle"
    kind: Literal["oracle"] = field(default="oracle", init=False)
    needs_kernel = True
    scale = 1

    @property
    def parameters(self) -> Setting:
        """`iterations`."""
        return {"iterations": self.iterations}

    def grid(self) -> list[Setting]:
        """From noisy images to those without noise, where more always help and 30 are what the time of a run allows."""
        return [{"iterations": iterations} for iterations in (5, 15, 30)]

    def with_parameters(self, parameters: Setting) -> Self:
        """The same with another number of iterations."""
        return replace(self, **parameters)

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Deconvolve `(1, C, H, W)` in [0, 1] with the kernel that blurred it.

        Raises:
            MedrestoreError: no kernel is given.
        """
        if kernel is None:
            raise MedrestoreError(f"{self.name} needs the true kernel, found none; leave the row out for real pairs")
        turned = kernel.flip(0, 1)
        return richardson_lucy(
            degraded, lambda image: blur(image, kernel), lambda image: blur(image, turned), self.iterations
        )
