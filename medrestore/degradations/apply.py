"""Apply a kernel to images: convolution with reflected borders."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from medrestore.errors import MedrestoreError

_DIRECT_TAPS = 48  # up to so many taps, adding shifted images is faster than the FFT (measured, 256 to 1024 px)


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve images with a kernel; borders reflect without repeating the edge pixel.

    Few taps are summed as shifted images, many go through the FFT. The results agree to rounding: the mean is taken
    out before the FFT, so that its error follows the contrast and not the offset (HU).

    Args:
        image: `(C, H, W)` or `(N, C, H, W)`, any unit, float32 or float64.
        kernel: `(k, k')` of odd sizes; the same for all images and channels.

    Returns:
        The blurred images, of the same shape and type.

    Raises:
        MedrestoreError: a size of the kernel is even.
    """
    rows, columns = kernel.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise MedrestoreError(f"a kernel has odd sizes so that it has a middle, found {rows} x {columns}")
    return convolved(mirror_pad(image, rows // 2, columns // 2), kernel.to(image))


def convolved(padded: Tensor, kernel: Tensor) -> Tensor:
    """Convolve where the kernel lies inside the image: `(..., H + k - 1, W + k' - 1)` becomes `(..., H, W)`."""
    direct = int(torch.count_nonzero(kernel)) <= _DIRECT_TAPS
    return _shift_and_add(padded, kernel) if direct else _by_fft(padded, kernel)


def mirror_pad(image: Tensor, rows: int, columns: int) -> Tensor:
    """Add `rows` above and below and `columns` left and right of `(..., H, W)`, mirrored about the edge pixels.

    The margins may be larger than the image, which is then mirrored again and again.
    """
    height, width = image.shape[-2:]
    if rows < height and columns < width:
        return F.pad(image, (columns, columns, rows, rows), mode="reflect")
    row = mirrored(-rows, height + 2 * rows, height).to(image.device)
    column = mirrored(-columns, width + 2 * columns, width).to(image.device)
    return image[..., row, :][..., column]


def mirrored(start: int, count: int, size: int) -> Tensor:
    """Which of `size` pixels stand at `start, start + 1, ...` of their mirrored continuation, int64 `(count,)`."""
    index = torch.arange(start, start + count)
    if size == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * size - 2)
    return torch.minimum(index, 2 * size - 2 - index)


def _shift_and_add(padded: Tensor, kernel: Tensor) -> Tensor:
    height, width = (size - taps + 1 for size, taps in zip(padded.shape[-2:], kernel.shape, strict=True))
    total = padded.new_zeros(*padded.shape[:-2], height, width)
    for i, row in enumerate(kernel.flip(0, 1).tolist()):
        for j, weight in enumerate(row):
            if weight:
                total.add_(padded[..., i : i + height, j : j + width], alpha=weight)
    return total


def _by_fft(padded: Tensor, kernel: Tensor) -> Tensor:
    rows, columns = kernel.shape
    height, width = padded.shape[-2:]
    mean = padded.mean(dim=(-2, -1), keepdim=True)
    # Circular convolution of the padded size: what wraps around falls on the first rows and columns, which are cut.
    size = (next_fast_len(height, real=True), next_fast_len(width, real=True))
    spectrum = torch.fft.rfft2(padded - mean, s=size) * torch.fft.rfft2(kernel, s=size)
    full = torch.fft.irfft2(spectrum, s=size)
    return full[..., rows - 1 : height, columns - 1 : width] + mean * kernel.sum()
