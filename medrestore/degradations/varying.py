"""Blur that differs from place to place: a grid of kernels, blended by smooth windows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medrestore.degradations.apply import convolved, mirror_pad
from medrestore.degradations.kernels import trim
from medrestore.degradations.parameters import Frame


def blur_varying(image: Tensor, kernels: Tensor, frame: Frame | None = None) -> Tensor:
    """Convolve every pixel with its own kernel, blended from the four nearest of a grid; borders reflect.

    The kernels stand on a regular grid from edge to edge of the whole image. The weight of each falls from 1 at its
    place to 0 at its neighbours' by a raised cosine in rows and columns; the weights sum to 1 everywhere, so that a
    constant image stays and equal kernels blur as `blur` does.

    Args:
        image: `(C, H, W)` or `(N, C, H, W)`, any unit, float32 or float64.
        kernels: `(rows, columns, k, k')`, odd sizes; one row or column = no change along that axis.
        frame: where the image lies in the whole one; None = it is the whole one.

    Returns:
        The blurred images, of the same shape and type.
    """
    height, width = image.shape[-2:]
    whole = Frame(height, width, 0, 0) if frame is None else frame
    rows, columns, tall, wide = kernels.shape
    down = windows(rows, whole.height, whole.top, height).to(image)
    across = windows(columns, whole.width, whole.left, width).to(image)
    padded = mirror_pad(image, tall // 2, wide // 2)
    blended = torch.zeros_like(image)
    for i, vertical in enumerate(down):
        for j, horizontal in enumerate(across):
            y, x = _support(vertical), _support(horizontal)
            if y.start == y.stop or x.start == x.stop:
                continue
            kernel = trim(kernels[i, j]).to(image)
            top, left = (tall - kernel.shape[0]) // 2, (wide - kernel.shape[1]) // 2
            patch = padded[..., y.start + top : y.stop + tall - 1 - top, x.start + left : x.stop + wide - 1 - left]
            blended[..., y, x] += convolved(patch, kernel) * torch.outer(vertical[y], horizontal[x])
    return blended


def windows(count: int, size: int, start: int, length: int) -> Tensor:
    """Weights of `count` places spread from the first to the last of `size` pixels, float64 `(count, length)`.

    Row i belongs to place i, column n to pixel `start + n`; beyond the image the weights of its edge hold. Every
    column sums to 1.
    """
    pixels = torch.arange(start, start + length, dtype=torch.float64).clamp(0, size - 1)
    where = pixels * ((count - 1) / max(1, size - 1))
    distance = (where - torch.arange(count, dtype=torch.float64)[:, None]).abs()
    return torch.where(distance < 1, torch.cos(math.pi / 2 * distance) ** 2, 0.0)


def window_means(count: int) -> Tensor:
    """The share of an image's side that each place's window stands for, float64 `(count,)`, sum 1."""
    if count == 1:
        return torch.ones(1, dtype=torch.float64)
    shares = torch.full((count,), 1 / (count - 1), dtype=torch.float64)
    shares[[0, -1]] /= 2
    return shares


def _support(window: Tensor) -> slice:
    inside = window.nonzero().flatten()
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
