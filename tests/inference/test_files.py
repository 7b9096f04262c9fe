"""Files restored by a generator that knows fundus photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from medrestore.checkpoint import save_generator
from medrestore.inference.files import restore_files
from medrestore.networks import PlainResidual

NETWORK = {"_target_": "medrestore.networks.PlainResidual", "channels": 3, "width": 4, "depth": 1}


def white(directory: Path, field_of_view: bool) -> Path:
    """A generator that paints everything white."""
    generator = PlainResidual(3, 4, 1)
    nn.init.constant_(generator.last.bias, 2.0)  # type: ignore[arg-type]
    about = {"window": "auto", "scale": 1, "field_of_view": field_of_view}
    return save_generator(directory / f"{field_of_view}.safetensors", generator, NETWORK, about)


def restored(run: Path, source: Path, output: Path) -> Tensor:
    outcome = restore_files(run, source, output, False, 2**30, None, torch.device("cpu"), lambda paths, _: paths)
    assert not outcome.failed
    return torch.from_numpy(np.array(PIL.Image.open(output / source.name)))


def test_nothing_is_painted_outside_the_field_of_view(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:160, :160] - 79.5
    eye = (rows**2 + columns**2 < 70**2)[..., None] * np.array([180, 90, 40])
    PIL.Image.fromarray(eye.astype(np.uint8)).save(tmp_path / "eye.png")
    everywhere = restored(white(tmp_path, False), tmp_path / "eye.png", tmp_path / "a")
    inside = restored(white(tmp_path, True), tmp_path / "eye.png", tmp_path / "b")
    assert bool((everywhere == 255).all())
    assert bool((inside[80, 80] == 255).all()) and not bool(inside[:8, :8].any())
    assert 0.5 < float((inside == 255).all(-1).float().mean()) < 0.65  # pi 70^2 / 160^2 = 0.60


def test_a_photograph_without_a_field_of_view_is_listed(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(90, 200, (96, 96, 3)).astype(np.uint8)
    PIL.Image.fromarray(grey).save(tmp_path / "wall.png")
    run = white(tmp_path, True)
    outcome = restore_files(
        run, tmp_path / "wall.png", tmp_path / "out", False, 2**30, None, torch.device("cpu"), lambda paths, _: paths
    )
    ((path, reason),) = outcome.failed
    assert path.name == "wall.png" and "wall.png" in reason and "\n" not in reason
