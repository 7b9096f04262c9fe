"""Restore images of any size within a memory budget, in overlapping tiles where they are too large.

Neighbouring tiles share a strip. On each side of it the pixels that a tile's cut could have changed are not used; in
between the two are blended by a raised cosine whose weights sum to 1. Where a generator's `context` is finite, the
result is therefore that of the whole image. Where it is None (statistics or attention over the whole image), each
tile has its own statistics: the seams are smooth, but the result differs from that of the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medrestore.errors import MedrestoreError

# Tiles start at multiples of this, so that a strided generator sees the grid of the whole image; the strides of all
# generators divide it.
_ALIGNMENT = 32
# Shared by neighbours, and left unused on each side of it, where the context is the whole image.
_OVERLAP, _UNUSED = 64, 16
# Tensors of the largest kind held at once, the copies inside convolutions included: measured 3 to 7 for our networks.
_LIVE_TENSORS = 8


@dataclass(frozen=True)
class _Span:
    """One tile's extent along one axis, in input pixels, and its weights in output pixels."""

    start: int
    stop: int
    weights: Tensor


def restore_image(
    generator: nn.Module,
    image: Tensor,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    memory_bytes: int | None = None,
) -> Tensor:
    """Restore one image, whole where it fits, else in tiles.

    A grey image is repeated for a generator of three channels and its result averaged; the channels of a colour image
    go one by one through a generator of one. The generator runs in evaluation mode, where its weights lie; its
    training mode is put back. When a device runs out of memory the tiles are halved.

    Args:
        generator: `(N, channels, H, W)` -> `(N, channels, scale*H, scale*W)` in [0, 1] with the attributes `channels`,
            `scale` and `context` (int, or None: tiles then differ from the whole image, see the module).
        image: `(C, H, W)` in [0, 1], C is 1 or 3.
        tile: side of the largest tile in pixels; None to choose it from the budget.
        overlap: pixels that neighbours share, at least twice the context; None for that, or 64 without a finite one.
        memory_bytes: what the restoration may take, input and output included; None for the whole image at once. Kept
            by estimate, and not below what the smallest tile needs.

    Returns:
        `(C, scale*H, scale*W)`, float32, on the image's device.

    Raises:
        MedrestoreError: a number of channels that does not fit the generator.
    """
    network: Any = generator
    channels, height, width = image.shape
    if {channels, network.channels} not in ({1}, {3}, {1, 3}):
        raise MedrestoreError(
            f"the image has {channels} channels, the generator takes {network.channels}; convert it to grey or RGB"
        )
    shared, unused = _strip(network.context, overlap)
    smallest, whole = 2 * shared, _aligned(max(height, width))
    # made outside of inference mode: an ordinary tensor, which the caller may change in place
    output = torch.zeros(channels, network.scale * height, network.scale * width, device=image.device)
    with _evaluating(generator), torch.inference_mode():
        side = whole
        if tile is not None:
            side = tile
        elif memory_bytes is not None:
            within = _side_within(memory_bytes, generator, image)
            side = whole if within is None else within
        side = min(whole, max(smallest, side // _ALIGNMENT * _ALIGNMENT))
        while True:
            try:
                _restore_tiles(generator, image, output, side, shared, unused)
                return output
            except torch.OutOfMemoryError:
                if side <= smallest:
                    raise
            output.zero_()
            side = max(smallest, _aligned(side // 2))


def _restore_tiles(generator: nn.Module, image: Tensor, output: Tensor, side: int, shared: int, unused: int) -> None:
    """Restore in tiles of at most `side` pixels and add them up in `output`, which starts at 0."""
    scale = int(generator.scale)  # type: ignore[arg-type]
    device = _device(generator, image)
    columns = _spans(image.shape[2], side, shared, unused, scale)
    for row in _spans(image.shape[1], side, shared, unused, scale):
        for column in columns:
            part = image[:, row.start : row.stop, column.start : column.stop]
            restored = _restore_channels(generator, part.to(device)).to(output)
            place = output[:, scale * row.start : scale * row.stop, scale * column.start : scale * column.stop]
            place.addcmul_(restored, (row.weights[:, None] * column.weights).to(output))


def _restore_channels(generator: nn.Module, image: Tensor) -> Tensor:
    """Restore `(C, H, W)` with a generator of C channels, of three for a grey image, or of one for a colour image."""
    if image.shape[0] == generator.channels:
        return generator(image[None])[0]
    if image.shape[0] == 1:
        return generator(image.expand(3, -1, -1)[None])[0].mean(dim=0, keepdim=True)
    return torch.cat([generator(channel[None, None])[0] for channel in image])


def _strip(context: int | None, overlap: int | None) -> tuple[int, int]:
    """Width of the strip that neighbours share, and of its part on each side that is not used."""
    if context is None:
        shared = _aligned(max(1, _OVERLAP if overlap is None else overlap))
        return shared, min(_UNUSED, shared // 2)
    return _aligned(max(1, 2 * context, overlap or 0)), context


def _spans(size: int, side: int, shared: int, unused: int, scale: int) -> list[_Span]:
    """Cut `size` pixels into spans of about equal length of which each shares `shared` pixels with the next."""
    if size <= side:
        return [_Span(0, size, torch.ones(scale * size))]
    count = math.ceil((size - shared) / (side - shared))
    step = _aligned(math.ceil((size - shared) / count))
    rise = torch.zeros(scale * shared)
    blended = scale * (shared - 2 * unused)
    phase = (torch.arange(blended) + 0.5) / max(1, blended) * math.pi
    rise[scale * unused : scale * unused + blended] = (1 - phase.cos()) / 2
    rise[scale * unused + blended :] = 1
    spans = []
    for start in range(0, size - shared, step):
        stop = min(start + step + shared, size)
        weights = torch.ones(scale * (stop - start))
        if start > 0:
            weights[: scale * shared] = rise
        if stop < size:
            weights[-scale * shared :] = 1 - rise
        spans.append(_Span(start, stop, weights))
    return spans


def memory_for(generator: nn.Module, image: Tensor) -> int:
    """Bytes that restoring an image `(C, H, W)` whole takes, input and output included; an estimate from above."""
    with _evaluating(generator), torch.inference_mode():
        return _held(generator, image) + math.ceil(_working(generator, image) * image[0].numel())


def tile_within(generator: nn.Module, image: Tensor, memory_bytes: int) -> int | None:
    """The side in pixels of the tiles that an image `(C, H, W)` is cut into by a budget; None where it fits whole."""
    with _evaluating(generator), torch.inference_mode():
        side = _side_within(memory_bytes, generator, image)
    return None if side is None else max(smallest_tile(generator), side // _ALIGNMENT * _ALIGNMENT)


def smallest_tile(generator: nn.Module) -> int:
    """The least side in pixels of a tile: as much again as neighbours share."""
    return 2 * _strip(generator.context, None)[0]  # type: ignore[arg-type]


def _side_within(memory_bytes: int, generator: nn.Module, image: Tensor) -> int | None:
    """The side of the square that what input and output leave of the budget is enough for; None where all fits."""
    affordable = max(0, memory_bytes - _held(generator, image)) / _working(generator, image)
    return None if affordable >= image[0].numel() else math.isqrt(int(affordable))


def _held(generator: nn.Module, image: Tensor) -> int:
    """Bytes of input and output."""
    return 4 * image.numel() * (1 + int(generator.scale) ** 2)  # type: ignore[arg-type]


def _working(generator: nn.Module, image: Tensor) -> float:
    """Bytes an input pixel that the generator takes while it runs."""
    return _LIVE_TENSORS * _largest_tensor(generator, _device(generator, image))


def _largest_tensor(generator: nn.Module, device: torch.device) -> float:
    """Bytes an input pixel of the largest tensor that a module of the generator returns, seen on a small image."""
    side = max(2 * _ALIGNMENT, int(getattr(generator, "stride", 1)))  # padding would count as pixels
    sizes = [1]

    def watch(module: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes.append(output.numel() * output.element_size())

    hooks = [module.register_forward_hook(watch) for module in generator.modules()]
    try:
        generator(torch.zeros(1, int(generator.channels), side, side, device=device))  # type: ignore[arg-type]
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes) / side**2


@contextmanager
def _evaluating(generator: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every submodule gets back the mode it had."""
    modes = [(module, module.training) for module in generator.modules()]
    generator.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _device(generator: nn.Module, image: Tensor) -> torch.device:
    return next(generator.parameters(), image).device


def _aligned(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT
