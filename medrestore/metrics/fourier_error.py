"""Fourier error (S4): how far the magnitude spectra of two images lie apart."""

from __future__ import annotations

import torch
from torch import Tensor

from medrestore.metrics.accumulate import MeanOverImages
from medrestore.metrics.checks import check_pair


@torch.no_grad()
def fourier_error(preds: Tensor, target: Tensor, *, grey: bool = False) -> Tensor:
    """Mean squared difference of the magnitude spectra, mean over frequencies and channels; lower is better.

    The transform is orthonormal, so the error hangs neither on the image's size nor exceeds the mean squared error. It
    is blind to phase: an image and its circular shift are equal. There is no mask, because cutting an image's outline
    into it changes all frequencies.

    Args:
        preds: `(N, C, H, W)` in [0, 1].
        target: of the same shape, in [0, 1].
        grey: average the channels before the transform, as S4 says ("channels are averaged"); another number, for one
            channel the same.

    Returns:
        `(N,)` float64.

    Raises:
        ValueError: shapes differ or values lie outside [0, 1].
    """
    check_pair(preds, target)
    first, second = (_magnitudes(image.double(), grey) for image in (preds, target))
    return ((first - second) ** 2).mean(dim=(1, 2, 3))


def _magnitudes(image: Tensor, grey: bool) -> Tensor:
    return torch.fft.fft2(image.mean(dim=1, keepdim=True) if grey else image, norm="ortho").abs()


class FourierError(MeanOverImages):
    """Mean Fourier error over the images of all updates, see `fourier_error`.

    Args:
        grey: average the channels before the transform.
    """

    higher_is_better = False

    def __init__(self, grey: bool = False) -> None:
        super().__init__()
        self.grey = grey

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the images of a batch, `(N, C, H, W)` in [0, 1]."""
        self.add(fourier_error(preds, target, grey=self.grey))
