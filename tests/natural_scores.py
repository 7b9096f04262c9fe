"""A picture and models that NIQE and BRISQUE are tried on: what they say is nothing but numbers of the right shape."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch

from medrestore.metrics import BrisqueModel, NiqeModel


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Texture everywhere, of another strength and grain from place to place, `(1, channels, H, W)` float64."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    rough = scipy.ndimage.gaussian_filter(random.normal(0, 1, (height, width)), 0.8)
    grey = 0.5 + 0.2 * np.sin(x / 5) * np.cos(y / 7) + 0.15 * rough * (0.3 + y / height) + 0.02 * rough**2
    return torch.from_numpy(np.clip(np.stack([grey * scale for scale in (1.0, 0.8, 0.9)[:channels]]), 0, 1))[None]


def niqe_model(seed: int = 1, block: int = 16) -> NiqeModel:
    random = np.random.default_rng(seed)
    root = random.normal(0, 0.2, (36, 50))
    covariance = torch.from_numpy(root @ root.T)
    return NiqeModel(torch.from_numpy(random.uniform(0.1, 1, 36)), (covariance + covariance.T) / 2, block)


def brisque_model(seed: int = 0, support: int = 12) -> BrisqueModel:
    random = np.random.default_rng(seed)
    vectors, weights = random.uniform(-1, 1, (support, 36)), random.normal(0, 80, support)
    least, most = random.uniform(-1, 0, 36), random.uniform(1, 3, 36)
    return BrisqueModel(*map(torch.from_numpy, (vectors, weights)), 0.05, -40.0, *map(torch.from_numpy, (least, most)))
