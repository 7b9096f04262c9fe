"""The degraded image itself: what every other row is compared with."""

from __future__ import annotations

from typing import Literal, Self

from torch import Tensor

from medrestore.classical.method import Setting


class Identity:
    """Does nothing; the reference row where the scale stays."""

    name = "identity"
    kind: Literal["reference"] = "reference"
    needs_kernel = False
    scale = 1

    @property
    def parameters(self) -> Setting:
        """None."""
        return {}

    def grid(self) -> list[Setting]:
        """Nothing to tune."""
        return [{}]

    def with_parameters(self, parameters: Setting) -> Self:
        """Itself."""
        return self

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """The degraded image, `(1, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return degraded.clamp(0, 1)
