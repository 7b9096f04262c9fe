"""Draw the figures of README and docs from a finished run of generated images.

python docs/figures.py outputs/cervix_deblur/<run>              all of them
python docs/figures.py outputs/cervix_deblur/<run> dashboard    those named
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

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


# The panels of docs/dashboards.md: title, names in metrics.csv, whether the axis is logarithmic.
PANELS = [
    ("1 quality: val/psnr", ["val/psnr"], False),
    ("1 quality: val/ssim", ["val/ssim"], False),
    ("3 generator", ["train/generator/loss", "train/generator/l1", "train/generator/adversarial"], False),
    ("4 critic", ["train/critic/distance", "train/critic/penalty"], False),
    ("5 steps: gradient norms", ["train/generator/gradient_norm", "train/critic/gradient_norm"], True),
    ("5 steps: learning rates", ["learning_rate/generator", "learning_rate/critic"], True),
]


def dashboard(run: Run, path: Path) -> None:
    """The panel layout of a dashboard, filled from the run's own files: numbers, slider of pictures, evaluation."""
    with (run.directory / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(11, 11.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(4, 3, height_ratios=[1, 1, 2.4, 1.1])
    places = [grid[0, 0], grid[0, 1], grid[0, 2], grid[1, 0], grid[1, 1], grid[1, 2]]
    for place, (title, names, logarithmic) in zip(places, PANELS, strict=True):
        axes = figure.add_subplot(place)
        for name in names:
            points = [(float(row["generator_updates"]), float(row[name])) for row in rows if row.get(name)]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("generator_updates", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_yscale("log" if logarithmic else "linear")
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    _slider(figure, grid[2, :], run)
    _evaluation(figure, grid[3, :], run)
    drawn = io.BytesIO()
    figure.savefig(drawn, metadata={"Software": None})
    # 256 colours show panels and curves as well, in less than half the bytes
    Image.open(drawn).convert("RGB").quantize(256).save(path, optimize=True)


def _slider(figure: Figure, place: Any, run: Run) -> None:
    """The first image in the first, a middle and the last epoch that has a picture."""
    paths = sorted((run.directory / "samples").glob("epoch_*.png"))
    shown = list(dict.fromkeys([paths[0], paths[len(paths) // 2], paths[-1]]))
    cells = place.subgridspec(len(shown), 1, hspace=0.02)
    for number, picture in enumerate(shown):
        axes = figure.add_subplot(cells[number])
        pixels = np.asarray(Image.open(picture).convert("RGB"))
        height = pixels.shape[1] // 4  # four square panels of the first image, of which the middle is shown
        axes.imshow(pixels[height // 4 : height // 4 * 3])
        axes.set_ylabel(picture.stem.replace("_0", " ").replace("_", " "), fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
        if number == 0:
            said = "2 pictures: samples/image_1, slider over epochs: degraded, restored, target, error x5 (middle)"
            axes.set_title(said, fontsize=10, loc="left")


def _evaluation(figure: Figure, place: Any, run: Run) -> None:
    """`evaluation/summary`: PSNR and SSIM of every row."""
    with (run.directory / "evaluation" / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] in ("psnr", "ssim") and row["mean"]]
    methods = list(dict.fromkeys((row["method"], row["kind"]) for row in rows))
    values = {(row["method"], row["metric"]): float(row["mean"]) for row in rows}
    cells = [
        [name, kind, f"{values[name, 'psnr']:.2f}", f"{values[name, 'ssim']:.4f}"]
        for name, kind in methods
        if (name, "psnr") in values and (name, "ssim") in values
    ]
    axes = figure.add_subplot(place)
    axes.set_axis_off()
    axes.set_title("7 evaluation: evaluation/summary (test images)", fontsize=10, loc="left")
    table = axes.table(cells, colLabels=["method", "kind", "psnr", "ssim"], loc="center", cellLoc="left", edges="B")
    table.auto_set_font_size(False)
    table.set_fontsize(8)


def main() -> None:
    """Write the figures that were named, or all."""
    run, named = Run.load(sys.argv[1]), sys.argv[2:] or ["restored", "kernels", "curves", "dashboard"]
    FOLDER.mkdir(exist_ok=True)
    if "restored" in named:
        (FOLDER / "restored.png").write_bytes(restored_case(run))
    if "kernels" in named:
        (FOLDER / "kernels.png").write_bytes(kernels())
    curves = figures.curves(run.directory / "metrics.csv") if "curves" in named else None
    if curves is not None:
        (FOLDER / "curves.png").write_bytes(curves)
    if "dashboard" in named:
        dashboard(run, FOLDER / "dashboard.png")


if __name__ == "__main__":
    main()
