"""The two rows of houses of the street phantom: storeys of windows, shops with signs, end walls and fences in gaps."""

from __future__ import annotations

import numpy as np

from medrestore.data.phantoms.street_canvas import NEAREST, Canvas, Patch
from medrestore.data.phantoms.street_font import ink
from medrestore.data.phantoms.street_scene import MAP, Camera, Row, Street
from medrestore.data.phantoms.texture import Array
from medrestore.data.street_classes import BUILDING, FENCE

SHOP = 3.9  # height of the ground floor, metres
_FAR = 1e3
_GLASS = np.array((0.95, 1.0, 1.08), np.float32)


def paint_houses(canvas: Canvas, street: Street, camera: Camera) -> None:
    """Paint both rows, and the fences that close their gaps."""
    for side, row in zip((-1, 1), street.rows, strict=True):
        _paint_row(canvas, street, camera, row, side)


def _paint_row(canvas: Canvas, street: Street, camera: Camera, row: Row, side: int) -> None:
    """One row: a column of pixels meets a front, or through a gap the end wall of the house behind it, or nothing."""
    ahead = camera.right * side > 1e-3
    depth = np.where(ahead, (side * street.front - camera.x) / np.where(ahead, camera.right, 1), _FAR)
    z = camera.z + depth * camera.forth
    seen = np.flatnonzero(ahead & (depth > NEAREST) & (z < row.edges[-1]))
    if not len(seen):
        return
    columns = slice(int(seen[0]), int(seen[-1]) + 1)
    depth, z = depth[columns].astype(np.float32), z[columns]
    place = np.clip(np.searchsorted(row.edges, z, side="right") - 1, 0, len(row.edges) - 2)
    gap = place % 2 == 1
    house = (place + 1) // 2

    wall_depth = (row.edges[2 * house] - camera.z) / camera.forth[columns]  # of the end wall seen through a gap
    wall_x = np.abs(camera.x + wall_depth * camera.right[columns])
    lit = np.where(gap, 0.92 if street.sun else 0.85, {side: 0.72, 0: 0.9, -side: 1.1}[street.sun])
    along = np.where(gap, wall_x - street.front, z - row.edges[2 * house]).astype(np.float32)
    hit = np.where(gap, wall_depth, depth).astype(np.float32)
    heights = np.where(gap & (along > 11), 0, row.heights[house])

    rows = _rows(camera, np.minimum(hit, depth), heights)
    y = np.float32(camera.y) - hit[None] * camera.down[rows, None]
    patch = Patch(rows, columns, -along if side > 0 else along, y, hit)  # from left to right, as letters run
    colour = _front(street, row, patch, house, camera.focal, shops=~gap) * lit.astype(np.float32)[None, :, None]
    canvas.put(patch, colour, (y < heights[None]) & (y > 0), BUILDING)
    if gap.any():
        _paint_fence(canvas, street, camera, Patch(rows, columns, z, y, depth), gap)


def _rows(camera: Camera, depth: Array, top: Array | np.float32) -> slice:
    """Rows that an upright strip from the ground to `top` may cover."""
    first, last = ((camera.y - top) / depth).min(), (camera.y / depth).max()
    return slice(*np.searchsorted(camera.down, (first, last)).tolist())


def _paint_fence(canvas: Canvas, street: Street, camera: Camera, front: Patch, gap: Array) -> None:
    """Boards, a hand's width each, with a rail, in the gaps of a front."""
    span = np.flatnonzero(gap)
    part = slice(span[0], span[-1] + 1)
    gap, depth = gap[part], front.depth[part]
    rows = _rows(camera, depth[gap], np.float32(1.6))
    columns = slice(front.columns.start + part.start, front.columns.start + part.stop)
    patch = Patch(rows, columns, front.along[part], np.float32(camera.y) - depth[None] * camera.down[rows, None], depth)
    board = patch.along / 0.16
    number = np.floor(board).astype(np.int32)
    shade = (0.9 + 0.1 * street.grain[3].take(number, mode="wrap")) * np.where(board % 1 < 0.14, 0.55, 1)
    shade = shade[None] * np.where(np.abs(patch.y - 1.25) < 0.06, 1.18, 1)
    colour = shade[..., None].astype(np.float32) * np.array((0.42, 0.33, 0.25), np.float32)
    canvas.put(patch, colour, gap[None] & (patch.y < 1.6) & (patch.y > 0), FENCE)


def _front(street: Street, row: Row, patch: Patch, house: Array, focal: float, shops: Array) -> Array:
    """Colour (h, w, 3) of a wall; positions along it in metres."""
    along, y, depth = patch.along, patch.y, patch.depth
    noise = street.clouds.ravel().take(
        (y * 24).astype(np.int32) % MAP * MAP + ((along * 24).astype(np.int32) % MAP)[None]
    )
    grain = street.grain.ravel().take(
        (y * 50).astype(np.int32) % MAP * MAP + ((along * 50).astype(np.int32) % MAP)[None]
    )
    sharp = np.clip(focal * 0.12 / (depth * 4), 0, 1)  # joints finer than a pixel are not painted
    joint = row.courses[house].astype(np.float32)
    courses = ((y % np.float32(0.42)) < 0.05) * joint[None] * sharp
    shade = 1 + 0.06 * noise + 0.05 * grain * sharp - courses
    shade -= np.float32(0.22) * (y < 0.5)
    top = row.heights[house].astype(np.float32)[None]
    shade *= np.where(top - y < 0.45, np.float32(1.18), np.where(top - y < 0.6, np.float32(0.72), np.float32(1)))

    floor = row.floors[house].astype(np.float32)[None]
    storey = (y - SHOP) / floor
    level = np.floor(storey)
    up = storey - level
    bay = along / row.bays[house].astype(np.float32)
    number = np.floor(bay)
    right = bay - number
    wide, tall = row.windows[house].astype(np.float32).T
    pane_right, pane_up = (right - 0.5) / wide + 0.5, (up - 0.48) / tall[None] + 0.5
    beside = (np.abs(pane_right - 0.5) < 0.5)[None]
    windows = beside & (np.abs(pane_up - 0.5) < 0.5) & (y > SHOP) & (top - y > 0.8)
    shade += np.float32(0.2) * ((np.abs(pane_right - 0.5) < 0.58)[None] & (np.abs(pane_up + 0.05) < 0.05) & (y > SHOP))
    shade -= np.float32(0.15) * ((np.abs(up - 0.02) < 0.025) & (y > SHOP))

    colour = row.colours[house].astype(np.float32)[None] * shade[..., None]
    bars = (np.abs(pane_right - 0.5) > 0.43) | (np.abs(pane_right - 0.5) < 0.035)
    frame = bars[None] | (np.abs(pane_up - 0.5) > 0.45) | (np.abs(pane_up - 0.66) < 0.03)
    chance = street.grain.ravel().take((level * 37 + (number * 11 + house * 29)[None]).astype(np.int32), mode="wrap")
    curtain = (chance > 0.5) & (np.abs(pane_right - 0.5) > 0.22)[None]
    mirrored = 0.16 + 0.05 * chance + 0.22 * np.clip(pane_up + 0.4 * chance - 0.2, 0, 1)  # the sky, in a dark room
    pane = np.where(frame, np.float32(0.8), np.where(curtain, 0.6 + 0.05 * grain, mirrored))
    np.copyto(colour, pane[..., None] * _GLASS, where=windows[..., None])
    _shop(street, row, patch, house, shops, colour)
    return colour


def _shop(street: Street, row: Row, patch: Patch, house: Array, shops: Array, colour: Array) -> None:
    """Ground floor: panes between pillars, and a board with the shop's name."""
    lower = np.flatnonzero((patch.y < SHOP).any(axis=1))
    if not len(lower) or not shops.any():
        return
    part = slice(lower[0], None)
    y, along, colour = patch.y[part], patch.along, colour[part]
    pillar = along % 2.6
    pane = ((pillar > 0.3) & shops)[None] & (y > 0.55) & (y < 2.75)
    goods = street.grain.ravel().take((y * 5).astype(np.int32) % MAP * MAP + ((along * 5).astype(np.int32) % MAP)[None])
    inside = (0.2 + 0.05 * goods + 0.12 * (y > 2.1))[..., None] * np.array((1.08, 1.0, 0.92), np.float32)
    frame = (np.abs(pillar - 0.33) < 0.05) | (np.abs(pillar - 1.45) < 0.03)
    np.copyto(colour, np.where(frame[None, :, None], np.float32(0.16), inside), where=pane[..., None])

    band = shops[None] & (y > 2.9) & (y < 3.65)
    boards = np.broadcast_to(row.sign_colours[house].astype(np.float32)[None], colour.shape)
    np.copyto(colour, boards, where=band[..., None])
    for number in np.unique(house[shops]):
        columns = np.flatnonzero(shops & (house == number))
        near = slice(columns[0], columns[-1] + 1)
        page = row.signs[number]
        width = 0.62 * page.shape[1] / page.shape[0]
        at = (along[near] - 1.2) % (width + 3.2) / width
        letters = ink(page, at[None], (y[:, near] - 2.95) / 0.65) & band[:, near]
        np.copyto(colour[:, near], np.float32(0.93), where=letters[..., None])
