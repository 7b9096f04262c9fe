"""Shared fakes: small phantom runs, an image folder, a clean process state."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

# A training of seconds: six patients, a network of a few hundred weights.
TINY = [
    "dataset.patients=6",
    "dataset.images_per_patient=2",
    "dataset.size=64",
    "dataset.natural_patients=2",
    "model.generator.width=4",
    "model.generator.depth=1",
    "sampling.crop=16",
    "sampling.batch_size=2",
    "sampling.crops_per_image=1",
    "sampling.val_images=2",
    "evaluation.tune_crop=32",
    "callbacks.sample_images=1",
    "hardware=cpu",
    "judge=none",
]
TINY_WGAN = ["model.critic.width=4", "model.critic_steps=2"]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of nine small photographs in three patients' folders."""
    root = tmp_path / "photographs"
    random = np.random.default_rng(0)
    for patient in range(3):
        folder = root / f"patient {patient}"
        folder.mkdir(parents=True)
        for number in range(3):
            low = random.uniform(40, 215, (6, 7, 3)).astype(np.uint8)
            Image.fromarray(low).resize((56, 48), Image.Resampling.BICUBIC).save(folder / f"ä ({number}).png")
    return root
