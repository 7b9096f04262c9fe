"""Photographs of eyes for tests: a textured disc in a dark frame, whose retina moves under the camera's field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def retina(shift: tuple[int, int] = (0, 0), veil: float = 0.0, side: int = 128, seed: int = 0) -> np.ndarray:
    """A textured disc, (side, side, 3) in [0, 1]."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    waves = random.uniform(0.15, 0.7, 60)[:, None, None]
    turn, phase = random.uniform(0, 2 * np.pi, (2, 60, 1, 1))
    along = np.sin(turn) * (rows - shift[0]) + np.cos(turn) * (columns - shift[1])
    texture = 0.5 + 0.05 * np.cos(waves * along + phase).sum(0) / 2
    field = rows**2 + columns**2 <= (0.45 * side) ** 2
    picture = np.stack([0.9 * texture, 0.6 * texture, 0.2 * texture], -1) * (1 - veil) + veil * 0.6
    return np.clip(picture, 0, 1) * field[..., None]


def save(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) or (H, W) in [0, 1] on 8-bit levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(path)
