"""Peak memory and time of restoring large photographs: 4096 x 4096 and a fundus camera's 3504 x 2336.

python benchmarks/restore.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from medrestore.checkpoint import save_generator
from medrestore.config import build, compose, plain


class Photograph(NamedTuple):
    """What is restored, by which experiment's generator, and within how many GiB."""

    experiment: str
    budget: str
    height: int
    width: int
    memory_gb: float


PHOTOGRAPHS = (
    Photograph("cervix_deblur", "quick", 4096, 4096, 1.0),
    Photograph("retina_enhance", "quick", 2336, 3504, 2.0),
    Photograph("retina_enhance", "paper", 2336, 3504, 2.0),
)


def peak_of(command: list[str]) -> tuple[float, float, str]:
    """Peak resident memory in GiB, seconds and output of a command."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return usage.ru_maxrss / 2**20, time.perf_counter() - start, printed


def restore(photograph: Photograph, root: Path) -> tuple[float, float, str]:
    """Restore one photograph by the command, with untrained weights."""
    config = compose("train", [f"experiment={photograph.experiment}", f"budget={photograph.budget}"])
    network = plain(config.model.generator)
    save_generator(root / "generator.safetensors", build(config.model.generator), network, {"window": "auto"})
    noise = np.random.default_rng(0).integers(0, 256, (photograph.height, photograph.width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "large.png", compress_level=1)
    places = [f"run={root}/generator.safetensors", f"input={root}/large.png", f"output={root}/out", "overwrite=true"]
    return peak_of(["-m", "medrestore.restore", *places, f"memory_gb={photograph.memory_gb}"])


def main() -> None:
    alone, _, _ = peak_of(["-c", "import torch"])
    for photograph in PHOTOGRAPHS:
        with TemporaryDirectory() as folder:
            peak, seconds, printed = restore(photograph, Path(folder))
        print(
            f"{photograph.experiment}, budget={photograph.budget}, {photograph.height} x {photograph.width}, "
            f"memory_gb={photograph.memory_gb:g}: {peak - alone:.2f} GiB above torch imported ({alone:.2f} GiB), "
            f"{seconds:.0f} s"
        )
        print("".join(f"  {line}\n" for line in printed.splitlines()), end="")


if __name__ == "__main__":
    main()
