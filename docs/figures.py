"""Draw the README's figures from a finished run: python docs/figures.py outputs/cervix_deblur/<run>."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from medrestore.checkpoint import load_generator
from medrestore.classical import Unsharp
from medrestore.config import build, compose
from medrestore.data.seeding import generator_of
from medrestore.evaluation import figures
from medrestore.metrics import psnr
from medrestore.run import make_data
from medrestore.run_directory import Run

FOLDER = Path(__file__).parent / "figures"


def restored_case(run: Run) -> bytes:
    """One test image under three methods, with zoomed regions."""
    generator, _ = load_generator(run.directory)
    data = make_data(run.config, run.directory / "split.csv")
    case = next(case for case in data.cases("test") if case.annotations["label"] == "abnormal")
    assert case.target is not None
    with torch.inference_mode():
        restored = generator(case.degraded[None])[0]
    images = {"degraded": case.degraded, "unsharp": Unsharp().restore(case.degraded[None])[0], "restored": restored}
    captions = {name: f"{float(psnr(image[None], case.target[None])):.2f} dB" for name, image in images.items()}
    boxes = [figures.central_box(restored, 64), figures.most_changed_box(case.degraded, restored, 64)]
    return figures.strip({**images, "target": case.target}, boxes, captions)


def kernels() -> bytes:
    """Shapes of the focal and the motion blur."""
    drawn, captions = [], []
    for name in ("focal", "motion"):
        operator = build(compose("train", [f"degradation={name}"]).degradation.operator)
        for number in range(6):
            parameters = operator.sample(generator_of("figure", name, number))
            drawn.append(parameters.kernel)
            captions.append(f"{name}, rms {parameters.description['rms_radius']:.1f} px")
    return figures.kernel_sheet(drawn, captions)


def main() -> None:
    """Write the three figures."""
    run = Run.load(sys.argv[1])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "restored.png").write_bytes(restored_case(run))
    (FOLDER / "kernels.png").write_bytes(kernels())
    curves = figures.curves(run.directory / "metrics.csv")
    if curves is not None:
        (FOLDER / "curves.png").write_bytes(curves)


if __name__ == "__main__":
    main()
