"""Where a fundus camera saw the retina: the bright disc in the dark frame of a photograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

from medrestore.errors import MedrestoreError
from medrestore.imaging.image import Image

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BLACK = 12 / 255  # no photograph of a retina is darker than this at its brightest
_LIFT = 0.25  # of the mean: a brighter frame is none
_ABOVE_GROUND = 12 / 255  # stretched grey: the ground of 95 photographs of four cameras, halo included, stays below
_WORKING_SIDE = 400  # pixels along the longer side while the disc is looked for
_OPENING = 0.1  # of the shorter side: what is narrower (letters, the camera's tab) is no part of the disc
_LEAST_AREA = 0.1  # of the picture
_LEAST_SOLID = 0.75  # of its convex hull: a disc, cut or whole, has all of it
_FEWEST_CORNERS = 2  # that are dark: a disc cut by a side of the picture leaves two
_LONGEST_SIDES = 2.0  # one to the other, of a cut disc and of an inscribed box
_BOX_SIDE = 192


def field_of_view(photograph: Tensor) -> Tensor:
    """Find the field of view of a fundus photograph.

    Grey stretched to its full range is cut at a third of its mean less 5 of 255, as EyeQ prepares its photographs, or
    lower where that would take a dim sector beside a glare for ground: a little above the median of what is darker. Of
    what is brighter, opened, the largest connected part is the disc, and its convex hull the field: dark vitreous and
    the shadow of a lid at the rim belong to it. Text in a corner is another part, the camera's tab is opened away.

    https://github.com/HzFu/EyeQ, EyeQ_preprocess/fundus_prep.py (which takes a whole circle instead of the hull)

    Args:
        photograph: (3, H, W) or (1, H, W) in [0, 1].

    Returns:
        bool (1, H, W), convex.

    Raises:
        MedrestoreError: No field is visible: the picture is black, what is bright in it is small or no disc, or no two
            corners are dark, so that the photograph fills its frame.
    """
    grey = _grey(photograph)
    if grey.max() < _BLACK:
        raise MedrestoreError(
            f"no field of view is visible: the image is black, its brightest pixel is {255 * grey.max():.0f} of 255"
        )
    # A frame that is not quite black is taken for zero; a photograph that fills its frame keeps its brightness.
    ground = min(float(grey.min()), _LIFT * float(grey.mean()))
    grey = (grey - ground) / (float(grey.max()) - ground)
    bright = grey > _threshold(grey)
    factor = max(1, round(max(grey.shape) / _WORKING_SIDE))
    disc = _disc(_reduced(bright, factor))
    hull = _hull(disc)
    solid = disc.sum() / max(hull.sum(), 1)
    tall, broad = (int(hull.any(axis).sum()) for axis in (1, 0))
    if hull.mean() < _LEAST_AREA or solid < _LEAST_SOLID or max(tall, broad) > _LONGEST_SIDES * min(tall, broad):
        raise MedrestoreError(
            f"no field of view is visible: the largest bright part covers {hull.mean():.0%} of the image, has sides of "
            f"{tall * factor} and {broad * factor} pixels and fills {solid:.0%} of its outline; a bright disc in a "
            "dark frame is expected"
        )
    # What the small picture found, exactly to the pixel: at full size only what is bright and near it counts.
    near = np.asarray(scipy.ndimage.binary_dilation(hull, np.ones((3, 3))), bool)
    near = near.repeat(factor, 0).repeat(factor, 1)[: grey.shape[0], : grey.shape[1]]
    near = np.pad(near, [(0, size - there) for size, there in zip(grey.shape, near.shape, strict=True)], "edge")
    field = _hull(_without_specks(bright & near))
    dark = sum(not field[row, column] for row in (0, -1) for column in (0, -1))
    if dark < _FEWEST_CORNERS:
        raise MedrestoreError(
            f"no field of view is visible: {dark} of the 4 corners of the image are dark, so the photograph fills its "
            "frame; a bright disc in a dark frame is expected"
        )
    return torch.from_numpy(field)[None]


def within_field(photograph: Image) -> Image:
    """The photograph with its field of view as mask; a mask that it has is cut to it.

    Raises:
        MedrestoreError: No field is visible, see `field_of_view`.
    """
    field = field_of_view(photograph.pixels)
    return replace(photograph, mask=field if photograph.mask is None else photograph.mask & field)


def inscribed_box(mask: Tensor) -> tuple[int, int, int, int]:
    """Find the largest upright rectangle inside a mask whose sides are at most 1 : 2.

    Args:
        mask: bool (1, H, W). Above 192 pixels a side it is searched on a coarser grid, then widened to the pixel.

    Returns:
        top, left, height, width.

    Raises:
        MedrestoreError: The mask marks nothing.
    """
    inside = mask[0].cpu().numpy().astype(bool)
    if not inside.any():
        raise MedrestoreError("the mask marks no pixel, so no box fits into it")
    factor = -(-max(inside.shape) // _BOX_SIDE)
    height, width = (size // factor for size in inside.shape)
    cells = inside[: height * factor, : width * factor].reshape(height, factor, width, factor)
    coarse = np.asarray(cells.all((1, 3)))
    if not coarse.any():  # too thin for the grid
        factor, coarse = 1, inside
    top, left, height, width = (factor * side for side in _largest_box(coarse))
    return _widened(inside, top, left, height, width) if factor > 1 else (top, left, height, width)


def _grey(photograph: Tensor) -> np.ndarray:
    pixels = photograph.detach().cpu()
    if len(pixels) == 1:
        return pixels[0].numpy()
    return torch.einsum("chw,c->hw", pixels, torch.tensor(_LUMA, dtype=pixels.dtype)).numpy()


def _threshold(grey: np.ndarray) -> float:
    published = max(_ABOVE_GROUND, float(grey.mean()) / 3 - 5 / 255)  # never so low that noise is bright
    darker = grey[grey <= published]
    return min(published, float(np.median(darker)) + _ABOVE_GROUND) if darker.size else published


def _reduced(bright: np.ndarray, factor: int) -> np.ndarray:
    """Return the mask on a coarser grid, True where most of a cell is."""
    if factor == 1:
        return bright
    height, width = (size // factor for size in bright.shape)
    cells = bright[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return cells.mean((1, 3)) > 0.5


def _disc(bright: np.ndarray) -> np.ndarray:
    """Return the largest connected part after an opening, its holes filled."""
    radius = max(1.0, _OPENING * min(bright.shape))
    # The edge of the picture is no edge of the disc: beyond it the disc goes on.
    wide = int(radius) + 1
    framed = np.pad(bright, wide, "edge")
    eroded = framed if framed.all() else _distance(framed) > radius
    if eroded.all() or not eroded.any():
        return eroded[wide:-wide, wide:-wide]
    opened = (_distance(~eroded) <= radius)[wide:-wide, wide:-wide]
    parts = _parts(opened)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return _filled(parts == sizes.argmax()) if sizes.any() else np.zeros_like(bright)


def _distance(mask: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.ndimage.distance_transform_edt(mask))


def _parts(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts from 1 on, 0 where the mask is False."""
    numbered = np.empty(mask.shape, np.int32)
    scipy.ndimage.label(mask, output=numbered)
    return numbered


def _filled(mask: np.ndarray) -> np.ndarray:
    # Faster than binary_fill_holes: the ground is every dark part that reaches the edge.
    parts = _parts(~mask)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return ~np.isin(parts, np.unique(edge[edge > 0]))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Drop single bright pixels of a noisy ground, each of which would stretch the hull."""
    wide = np.pad(mask, 1, "edge")
    kept = scipy.ndimage.binary_opening(wide, np.ones((3, 3)))[1:-1, 1:-1]
    return kept if kept.any() else mask


def _hull(mask: np.ndarray) -> np.ndarray:
    """Return the pixels whose centres lie in the convex hull of the mask's."""
    rows = np.flatnonzero(mask.any(1))
    if len(rows) < 3:
        return mask
    left = mask[rows].argmax(1)
    right = mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    spanned = np.arange(rows[0], rows[-1] + 1)
    first = np.ceil(_lower_chain(rows, left, spanned) - 1e-9)
    last = np.floor(-_lower_chain(rows, -right, spanned) + 1e-9)
    columns = np.arange(mask.shape[1])
    hull = np.zeros_like(mask)
    hull[rows[0] : rows[-1] + 1] = (columns >= first[:, None]) & (columns <= last[:, None])
    return hull


def _lower_chain(places: np.ndarray, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the lower convex hull of points, interpolated (Andrew's monotone chain)."""
    chain: list[tuple[int, int]] = []
    for x, y in zip(places.tolist(), values.tolist(), strict=True):
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            chain.pop()
        chain.append((x, y))
    corners = np.array(chain, float)
    return np.interp(where, corners[:, 0], corners[:, 1])


def _largest_box(inside: np.ndarray) -> tuple[int, int, int, int]:
    """Return the largest box by the classic stack: every maximal rectangle is met, and cut to the allowed sides."""
    best, found = 0, (0, 0, 0, 0)
    heights = np.zeros(inside.shape[1] + 1, int)  # the last one closes every bar
    for bottom, row in enumerate(inside):
        heights[:-1] = np.where(row, heights[:-1] + 1, 0)
        open_bars: list[tuple[int, int]] = []  # left, height
        for column, bar in enumerate(heights.tolist()):
            left = column
            while open_bars and open_bars[-1][1] >= bar:
                left, height = open_bars.pop()
                width = column - left
                tall = min(height, int(_LONGEST_SIDES * width))
                broad = min(width, int(_LONGEST_SIDES * height))
                if tall * broad > best:
                    top = bottom + 1 - height + (height - tall) // 2
                    best, found = tall * broad, (top, left + (width - broad) // 2, tall, broad)
            if bar:
                open_bars.append((left, bar))
    return found


def _widened(inside: np.ndarray, top: int, left: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Move the sides outward pixel by pixel, in turn, while all of the box stays inside."""
    bottom, right = top + height, left + width
    moved = True
    while moved:
        moved = False
        tall, broad = bottom - top, right - left
        if tall < _LONGEST_SIDES * broad:
            if top > 0 and inside[top - 1, left:right].all():
                top, moved = top - 1, True
            if bottom < inside.shape[0] and inside[bottom, left:right].all():
                bottom, moved = bottom + 1, True
        if broad < _LONGEST_SIDES * tall:
            if left > 0 and inside[top:bottom, left - 1].all():
                left, moved = left - 1, True
            if right < inside.shape[1] and inside[top:bottom, right].all():
                right, moved = right + 1, True
    return top, left, bottom - top, right - left
