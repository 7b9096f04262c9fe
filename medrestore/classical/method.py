"""What every row of the table is: something that makes an image from a degraded one."""

from __future__ import annotations

from typing import Literal, Protocol, Self

from torch import Tensor

MethodKind = Literal["reference", "classical", "oracle", "learned"]
Setting = dict[str, float | int]


class Method(Protocol):
    """A restorer with a few parameters that are chosen once, on validation, for all images."""

    @property
    def name(self) -> str:
        """Of the row."""
        ...

    @property
    def kind(self) -> MethodKind:
        """The reference others are compared with, a blind classical row, one that knows the kernel, or a network."""
        ...

    @property
    def needs_kernel(self) -> bool:
        """Whether `restore` needs the true kernel."""
        ...

    @property
    def scale(self) -> int:
        """Output size over input size."""
        ...

    @property
    def parameters(self) -> Setting:
        """The setting in use; `with_parameters(parameters)` gives the same method again."""
        ...

    def grid(self) -> list[Setting]:
        """Settings to choose from on validation; `[{}]` = nothing to tune."""
        ...

    def with_parameters(self, parameters: Setting) -> Self:
        """The method with another setting; what is not named stays."""
        ...

    def restore(self, degraded: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Restore `(1, C, H, W)` in [0, 1] to `scale` times the size, in [0, 1]; `kernel` is `(k, k')`, sum 1."""
        ...
