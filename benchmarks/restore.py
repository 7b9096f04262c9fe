"""Peak memory and time of restoring a 4096 x 4096 RGB photograph with the quick generator.

python benchmarks/restore.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from medrestore.checkpoint import save_generator
from medrestore.config import build, compose, plain

SIDE = 4096


def peak_of(command: list[str]) -> tuple[float, float]:
    """Peak resident memory in GiB and seconds of a command."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return usage.ru_maxrss / 2**20, time.perf_counter() - start


def main() -> None:
    config = compose("train", ["experiment=cervix_deblur"])
    network = plain(config.model.generator)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        save_generator(root / "generator.safetensors", build(config.model.generator), network, {"window": "auto"})
        noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "large.png", compress_level=1)
        alone, _ = peak_of(["-c", "import torch"])
        arguments = [f"run={root}/generator.safetensors", f"input={root}/large.png", f"output={root}/out"]
        peak, seconds = peak_of(["-m", "medrestore.restore", *arguments])
    print(f"restore {SIDE} x {SIDE}: {peak - alone:.2f} GiB above torch imported ({alone:.2f} GiB), {seconds:.0f} s")


if __name__ == "__main__":
    main()
