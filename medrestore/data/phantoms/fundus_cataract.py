"""How the eyes of the fundus phantom's patients are clouded by nature.

A draw of the synthetic cataract that nobody is told, and what that leaves out: a lens that yellows, light scattered
from one side, a camera that exposes for the bright veil.
"""

from __future__ import annotations

import numpy as np
import torch

from medrestore.data.phantoms.texture import Array, smoothstep
from medrestore.degradations import Cataract

SIGMA = (1.2, 2.4)  # pixels at severity 1 and a side of 512
GLARE = np.array([0.78, 0.92, 0.62], np.float32).reshape(3, 1, 1)


def cloud(rng: np.random.Generator, picture: Array, stop: Array, severity: float) -> Array:
    """Cloud a photograph without noise; black stays black.

    Args:
        rng: source of randomness.
        picture: (3, H, W) in [0, 1], black outside the field of view.
        stop: (H, W), light that the field stop lets through.
        severity: in [0, 1], 0 for a clear lens.

    Returns:
        (3, H, W) in [0, 1].
    """
    severity = float(severity)
    cataract = Cataract(strength=(severity, severity), sigma=SIGMA)
    draw = cataract.sample(torch.Generator().manual_seed(int(rng.integers(2**62))))
    clouded = cataract.apply(torch.from_numpy(picture), draw).numpy()
    yellow = np.array([rng.uniform(0.95, 1.03), rng.uniform(0.94, 1.04), rng.uniform(0.55, 0.85)], np.float32)
    clouded = clouded * (1 + severity * (yellow.reshape(3, 1, 1) - 1))
    glare = severity**1.5 * rng.uniform(0.2, 0.85) * _crescent(rng, len(stop)) * stop
    clouded = clouded + glare * (GLARE * np.float32(rng.uniform(0.85, 1.05)) - clouded)
    return np.clip(clouded * np.float32(1 - severity * rng.uniform(0, 0.12)), 0, 1)


def _crescent(rng: np.random.Generator, size: int) -> Array:
    """Light along one side of the picture, (H, W) in [0, 1]."""
    angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.5)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    away = np.hypot(y + np.float32(shift * np.sin(angle)), x + np.float32(shift * np.cos(angle)))
    return smoothstep(0.75, 1.45, away)
