"""A trained generator as a row of the table."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn

from medrestore.classical import Setting
from medrestore.inference import WithinMemory


class Learned:
    """Restores whole images with a trained generator, tiled when they exceed the memory budget.

    Args:
        name: the row's name: `restored`, `pretrained`, or a baseline's experiment.
        generator: in evaluation mode; carries `scale`.
        memory_bytes: the budget of one image.
    """

    kind: Literal["learned"] = "learned"
    needs_kernel = False

    def __init__(self, name: str, generator: nn.Module, memory_bytes: int) -> None:
        self.name = name
        self._within = WithinMemory(generator, memory_bytes)
        self.scale = int(generator.scale)  # type: ignore[arg-type]
        self.parameters: Setting = {}

    def grid(self) -> list[Setting]:
        """Nothing to tune."""
        return [{}]

    def with_parameters(self, parameters: Setting) -> Self:
        """Itself: a trained network has no free setting."""
        return self

    @torch.inference_mode()
    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Restore `(1, C, H, W)` in [0, 1]; the kernel is not looked at."""
        return self._within.restore(degraded[0], "the first of them").clamp(0, 1)[None]

    def tiles_said(self) -> str | None:
        """What tiles changed, see `WithinMemory`; None where every image fitted whole."""
        return self._within.tiles_said("evaluation.memory_gb")
