"""A small study on disk, without any network: scenes of noise that every row smooths more or less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from medrestore.study.assemble import Scene, Settings, assemble
from medrestore.study.manifest import Row, Study

ROWS = [
    Row("bicubic", "reference", "best interpolation on validation"),
    Row("pretrained", "learned", ""),
    Row("restored", "learned", ""),
]
RUN = {"experiment": "brain_sr", "budget": "quick", "paper": "S5", "dataset": "phantom", "conditions": "0" * 64}


def scenes(count: int, size: tuple[int, int] = (48, 40), colour: bool = False) -> Iterator[Scene]:
    for number in range(count):
        random = np.random.default_rng(number)
        low = random.uniform(20, 235, (6, 5, 3) if colour else (6, 5)).astype(np.uint8)
        truth = Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)
        noisy = np.asarray(truth).astype(float) + random.normal(0, 12, np.asarray(truth).shape)
        truth = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        pictures = {"reference": np.asarray(truth)}
        for blur, row in enumerate(reversed(ROWS), start=1):
            pictures[row.name] = np.asarray(truth.filter(ImageFilter.GaussianBlur(blur)))
        yield Scene(f"{number:012x}", f"patient{number % 11}", pictures)


def small_study(
    directory: Path,
    count: int = 8,
    raters: int = 3,
    title: str = "Picture rating",
    size: tuple[int, int] = (48, 40),
    practice: int = 3,
    anchors: int = 1,
    repeats: float = 0.1,
    rows: list[Row] = ROWS,
) -> Study:
    settings = Settings(
        title=title,
        question="How good is the quality of this picture?",
        seed=0,
        repeats=repeats,
        anchors=anchors,
        practice=practice,
        crop=640,
        raters=raters,
    )
    return assemble(directory, scenes(count, size), rows, settings, RUN)
