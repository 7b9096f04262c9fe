"""The dark surround of a fundus photograph: no method may take it for part of the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

_DARK = 20 / 255  # the brightest channel of a surround, JPEG and sensor noise included (IDRiD's reaches 15)
_LEAST_SHARE = 0.005  # of the picture; less is a dark spot at the border, not a surround
_RIM = 0.005  # of the shorter side: where the field's edge is smeared over the surround, measured on four cameras


def enhance_field(photographs: Tensor, enhance: Callable[[Tensor], Tensor]) -> Tensor:
    """Enhance the lit field of each photograph as if it had no edge; its dark surround stays as it is.

    A method is given no mask, so the field is found by a threshold: the largest connected region with a channel above
    20/255, its holes included. All else (the surround, a caption in its corner) is returned as it came. `enhance` is
    given the box round the field, filled with the field mirrored about its edge, so that neither a local mean nor a
    histogram is dragged by black corners. In the rim, the outermost 0.5 % of the shorter side, the camera's edge fades
    to black: there the result fades by as much, from the nearest pixel inside, so that no halo stands along the edge.
    A picture with less than 0.5 % surround, e.g. a crop, is handed on as it is; one that is dark everywhere comes back
    as it is.

    Args:
        photographs: `(N, C, H, W)` in [0, 1].
        enhance: makes `(1, C, H, W)` from the same; it is clipped to [0, 1] here.

    Returns:
        `(N, C, H, W)` in [0, 1].
    """
    return torch.cat([_enhance_one(photograph[None], enhance) for photograph in photographs])


def _enhance_one(photograph: Tensor, enhance: Callable[[Tensor], Tensor]) -> Tensor:
    field = _lit_field(photograph[0].amax(0).cpu().numpy() > _DARK)
    if not field.any():
        return photograph
    if 1 - field.mean() < _LEAST_SHARE:
        return enhance(photograph).clamp(0, 1)
    box = ndimage.find_objects(field.astype(np.uint8))[0]
    inside = np.asarray(ndimage.distance_transform_edt(field))  # where the picture cuts the field there is no edge
    restored = photograph.clone()
    restored[:, :, *box] = _enhance_box(photograph[:, :, *box], inside[box], enhance)
    return restored


def _enhance_box(photograph: Tensor, inside: np.ndarray, enhance: Callable[[Tensor], Tensor]) -> Tensor:
    """`inside`: distance of each pixel `(H, W)` from the surround, 0 in it."""
    field = inside > 0
    core = inside > max(2, round(_RIM * min(inside.shape)))
    core = core if core.any() else field
    nearest = np.asarray(ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True))
    enhanced = enhance(_fetch(photograph, _mirrored(nearest, core))).clamp(0, 1)
    faded = photograph.mean(1, keepdim=True) / _fetch(photograph, nearest).mean(1, keepdim=True).clamp(min=_DARK / 3)
    rim = _fetch(enhanced, nearest) * faded.clamp(0, 1)
    lit, whole = (torch.from_numpy(mask).to(photograph.device) for mask in (field, core))
    return torch.where(whole, enhanced, torch.where(lit, rim, photograph))


def _fetch(picture: Tensor, positions: np.ndarray) -> Tensor:
    rows, columns = torch.from_numpy(positions).to(picture.device)
    return picture[:, :, rows, columns]


def _lit_field(bright: np.ndarray) -> np.ndarray:
    """The largest connected region that is bright, with the dark spots that it encloses; bool `(H, W)`."""
    labels, count = ndimage.label(bright)  # pyright: ignore[reportGeneralTypeIssues]
    if count == 0:
        return bright
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    dark, _ = ndimage.label(~largest)  # pyright: ignore[reportGeneralTypeIssues]
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    return ~np.isin(dark, border[border > 0])


def _mirrored(nearest: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Rows and columns `(2, H, W)`: in the core a pixel's own, outside as far beyond the nearest one, or that one."""
    beyond = 2 * nearest - np.indices(core.shape)
    limit = np.array(core.shape)[:, None, None]
    inside = np.where(((beyond >= 0) & (beyond < limit)).all(axis=0), beyond, nearest)
    return np.where(core[inside[0], inside[1]], inside, nearest)
