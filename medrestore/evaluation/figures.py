"""The pictures of a report, as PNG or JPEG bytes: curves, kernels, strips with zoom crops, maps, scores.

Drawn with matplotlib's objects on the Agg canvas: no display and no global state, so it works in any process.
Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor

from medrestore.evaluation.statistics import Score
from medrestore.evaluation.tables import heading

_COLOURS = {"reference": "#777777", "classical": "#0072B2", "oracle": "#CC79A7", "learned": "#D55E00"}
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_BOX_COLOURS = ("#E69F00", "#56B4E9")
_DPI = 100
_ERROR_GAIN = 5.0  # the error panel shows five times the absolute difference
_WIDTH, _GAP, _FRAME, _LABEL = 1108, 8, 2, 34  # pixels of a strip: all of it, gap, frame, two lines of text
_PER_ROW, _WIDEST = 5, 216  # pictures a row, pixels of the widest picture


class Box(NamedTuple):
    """A region of an image in pixels: `top` and `left` corner, `height` and `width`."""

    top: int
    left: int
    height: int
    width: int


def central_box(image: Tensor, size: int) -> Box:
    """The square of `size` pixels in the middle of an image (C, H, W), smaller where the image is."""
    height, width = (min(size, side) for side in image.shape[-2:])
    return Box((image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2, height, width)


def most_changed_box(a: Tensor, b: Tensor, size: int) -> Box:
    """The square of `size` pixels where two images (C, H, W) differ most in mean absolute value; first one if equal."""
    change = (a - b).abs().double().mean(dim=0)
    box = central_box(a, size)
    total = torch.nn.functional.pad(change, (1, 0, 1, 0)).cumsum(0).cumsum(1)  # (H + 1, W + 1) integral image
    h, w = box.height, box.width
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return Box(top, left, h, w)


def picture(image: Tensor, width: int = 640) -> bytes:
    """An image (C, H, W) in [0, 1] as JPEG of quality 95, made smaller where it is wider than `width` pixels."""
    array = _array(image)
    shown = PillowImage.fromarray(array if image.shape[0] == 3 else array[..., 0])
    if shown.width > width:
        shown = shown.resize((width, max(1, round(shown.height * width / shown.width))), PillowImage.Resampling.BOX)
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def error_panel(image: Tensor, target: Tensor) -> Tensor:
    """Five times the absolute difference, mean over the channels: `(1, H, W)` in [0, 1]."""
    return ((image - target).abs().mean(0, keepdim=True) * _ERROR_GAIN).clamp(0, 1)


def strip(images: Mapping[str, Tensor], boxes: Sequence[Box], captions: Mapping[str, str]) -> bytes:
    """All methods side by side on one case, with pixel-exact zoom crops below each picture.

    Args:
        images: (C, H, W) in [0, 1] by method, of one size; smaller ones (the degraded image of a super-resolution
            case) are enlarged by nearest neighbour.
        boxes: regions to zoom into, outlined in the pictures; each crop is enlarged by a whole factor, pixel by pixel.
        captions: a line below the method's name, such as "33.12 dB"; a method may have none.

    Returns:
        PNG, at most five pictures a row and 1108 pixels wide.
    """
    height, width = (max(image.shape[side] for image in images.values()) for side in (-2, -1))
    same = {
        name: _array(torch.nn.functional.interpolate(image[None], size=(height, width), mode="nearest")[0])
        for name, image in images.items()
    }
    down = math.ceil(len(images) / _PER_ROW)
    across = math.ceil(len(images) / down)  # 8 pictures stand 4 + 4, not 5 + 3
    cell = min(_WIDEST, (_WIDTH - _GAP) // across - _GAP)
    columns = {name: _column(image, boxes, cell) for name, image in same.items()}
    row_height = _LABEL + max(column.shape[0] for column in columns.values()) + _GAP
    canvas = np.full((down * row_height, across * (cell + _GAP) + _GAP, 3), 255, dtype=np.uint8)
    figure = _figure(canvas.shape[1], canvas.shape[0])
    for index, (name, column) in enumerate(columns.items()):
        left, top = _GAP + index % across * (cell + _GAP), index // across * row_height
        canvas[top + _LABEL : top + _LABEL + column.shape[0], left - _FRAME : left + cell + _FRAME] = column
        for offset, text, weight in ((13, name, "bold"), (28, captions.get(name, ""), "normal")):
            place = left / canvas.shape[1], 1 - (top + offset) / canvas.shape[0]
            figure.text(*place, text, size=9, weight=weight, va="baseline", parse_math=False)
    figure.figimage(canvas, 0, 0, origin="upper")
    return _png(figure)


def _column(image: NDArray[np.uint8], boxes: Sequence[Box], cell: int) -> NDArray[np.uint8]:
    """One picture (H, W, 3), `cell` pixels wide, its crops below it, on white with room for frames at both sides."""
    height, width = image.shape[:2]
    scale = cell / width
    small = np.asarray(
        PillowImage.fromarray(image).resize((cell, max(1, round(height * scale))), PillowImage.Resampling.BOX)
    )
    parts = [np.pad(small, ((0, 0), (_FRAME, _FRAME), (0, 0)), constant_values=255)]
    for number, box in enumerate(boxes):
        colour = _BOX_COLOURS[number % len(_BOX_COLOURS)]
        corners = [round(edge * scale) for edge in (box.top, box.left, box.top + box.height, box.left + box.width)]
        _outline(parts[0], corners[0], corners[1] + _FRAME, corners[2], corners[3] + _FRAME, colour)
        factor = max(1, cell // max(box.height, box.width))
        crop = image[box.top : box.top + min(box.height, cell), box.left : box.left + min(box.width, cell)]
        crop = crop.repeat(factor, axis=0).repeat(factor, axis=1)
        block = np.full((crop.shape[0] + 2 * _FRAME + _GAP, cell + 2 * _FRAME, 3), 255, dtype=np.uint8)
        inside = slice(_GAP + _FRAME, _GAP + _FRAME + crop.shape[0]), slice(_FRAME, _FRAME + crop.shape[1])
        _outline(block, _GAP, 0, inside[0].stop + _FRAME, inside[1].stop + _FRAME, colour)
        block[inside] = crop
        parts.append(block)
    return np.concatenate(parts)


def _outline(canvas: NDArray[np.uint8], top: int, left: int, bottom: int, right: int, colour: str) -> None:
    rgb = tuple(bytes.fromhex(colour[1:]))
    for rows, columns in (
        (slice(top, top + _FRAME), slice(left, right)),
        (slice(bottom - _FRAME, bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + _FRAME)),
        (slice(top, bottom), slice(right - _FRAME, right)),
    ):
        canvas[rows, columns] = rgb


def maps(errors: Mapping[str, Tensor], ssims: Mapping[str, Tensor]) -> bytes:
    """Error maps (above) and SSIM maps (below) of some methods, each row on one colour scale with its bar.

    Args:
        errors: absolute error against the target, (C, H, W) or (H, W) in [0, 1], by method; channels are averaged.
        ssims: SSIM map (C, H, W) or (H, W) in [-1, 1], by method; channels are averaged.

    Returns:
        PNG. The error scale ends at the 99.5th percentile over all methods, the SSIM scale begins at the 0.5th.
    """
    above = {name: _plane(error) for name, error in errors.items()}
    below = {name: _plane(ssim) for name, ssim in ssims.items()}
    rows = (
        ("absolute error", above, "magma", (0.0, max(_percentile(above, 99.5), 1 / 255))),
        ("SSIM map", below, "viridis", (min(_percentile(below, 0.5), 0.99), 1.0)),
    )
    columns = max(len(above), len(below))
    height, width = next(iter(above.values())).shape
    cell = min(320, 1000 // columns)
    figure = _figure(columns * cell + 90, round(2 * (cell * height / width + 34)))
    grid = figure.subplots(2, columns, squeeze=False)
    for axes, (label, planes, colours, (low, high)) in zip(grid, rows, strict=True):
        drawn = None
        for place, (name, plane) in zip(axes, planes.items(), strict=False):
            drawn = place.imshow(plane, cmap=colours, vmin=low, vmax=high)
            place.set_title(f"{label}: {name}", fontsize=9, parse_math=False)
        for place in axes:
            place.set_axis_off()
        if drawn is not None:
            figure.colorbar(drawn, ax=list(axes), fraction=0.05, pad=0.02).ax.tick_params(labelsize=8)
    return _png(figure)


def _percentile(planes: Mapping[str, NDArray[np.float64]], percent: float) -> float:
    finite = np.concatenate([plane[np.isfinite(plane)] for plane in planes.values()])
    return float(np.percentile(finite, percent)) if finite.size else 0.0


def kernel_sheet(kernels: Sequence[Tensor], captions: Sequence[str]) -> bytes:
    """Blur kernels (k, k') at one pixel size, each from zero (dark) to its own largest value, with a caption each."""
    side = max(max(kernel.shape) for kernel in kernels)
    columns, rows = min(8, len(kernels)), math.ceil(len(kernels) / 8)
    figure = _figure(columns * 130, rows * 160)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, kernel, caption in zip(grid.flat, kernels, captions, strict=False):
        canvas = np.zeros((side, side))
        top, left = ((side - length) // 2 for length in kernel.shape)
        canvas[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel.detach().cpu().numpy()
        axes.imshow(canvas, cmap="cividis", vmin=0.0, interpolation="nearest")
        axes.set_title(caption, fontsize=8, parse_math=False)
    return _png(figure)


def curves(metrics_csv: Path, keys: Sequence[str] | None = None) -> bytes | None:
    """Training curves over epochs, one small panel a quantity, losses coloured by network.

    Scores of training images stand in the panel of the same score of validation images.

    Args:
        metrics_csv: as written by Lightning's CSVLogger: columns `epoch`, `step`, `train/...`, `val/...`, mostly empty.
        keys: columns to draw; None = all of `train/` and `val/`.

    Returns:
        PNG with the mean of each epoch, or None where there is nothing to draw (no file, no finite value).
    """
    series = {key: line for key, line in _series(metrics_csv).items() if keys is None or key in keys}
    if not series:
        return None
    seen = {key: series.pop(f"train/{key[4:]}", {}) for key in list(series) if key.startswith("val/")}
    networks = list(dict.fromkeys(key.split("/")[1] for key in series if key.startswith("train/")))
    colours = {f"train/{network}": _LINES[1 + index % 5] for index, network in enumerate(networks)}
    columns, rows = min(3, len(series)), math.ceil(len(series) / 3)
    figure = _figure(columns * 360, rows * 220)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in list(grid.flat)[len(series) :]:
        axes.set_axis_off()
    for axes, (key, line) in zip(grid.flat, series.items(), strict=False):
        _curve(axes, line, colours.get("/".join(key.split("/")[:2]), _LINES[0]), "validation images")
        split, name = key.split("/", 1)
        axes.set_title(f"validation: {heading(name)}" if split == "val" else name.replace("/", ": "), fontsize=9)
        if seen.get(key):
            _curve(axes, seen[key], _LINES[1], "training images")
            axes.set_title(heading(name), fontsize=9)
            axes.legend(fontsize=8, frameon=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
        axes.set_xlabel("epoch", fontsize=8)
    return _png(figure)


def _curve(axes: Axes, line: Mapping[int, Sequence[float]], colour: str, label: str) -> None:
    """The mean of each epoch."""
    epochs = sorted(line)
    means = [math.fsum(line[epoch]) / len(line[epoch]) for epoch in epochs]
    axes.plot(epochs, means, color=colour, marker="o" if len(epochs) <= 30 else "", markersize=3, label=label)


def _series(metrics_csv: Path) -> dict[str, dict[int, list[float]]]:
    """Finite values by column and epoch; training first, then validation."""
    if not metrics_csv.is_file():
        return {}
    series: dict[str, dict[int, list[float]]] = {}
    with metrics_csv.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for key in (key for key in row if key and key.startswith(("train/", "val/")) and row[key] and row["epoch"]):
                value = float(row[key])
                if math.isfinite(value):
                    series.setdefault(key, {}).setdefault(int(float(row["epoch"])), []).append(value)
    series = {key: line for key, line in series.items() if f"{key.removesuffix('_step')}_epoch" not in series}
    return dict(sorted(series.items(), key=lambda item: item[0].startswith("val/")))


def box_plot(scores: Sequence[Score], kinds: Mapping[str, str], metric: str) -> bytes | None:
    """One metric by method: quartiles, whiskers to 1.5 box lengths, every image as a dot, coloured by kind.

    Args:
        scores: the score table.
        kinds: kind of every method; their order is the order from top to bottom.
        metric: which metric.

    Returns:
        PNG, or None when there is no finite value.
    """
    values: dict[str, list[float]] = {method: [] for method in kinds}
    for score in scores:
        if score.metric == metric and math.isfinite(score.value):
            values[score.method].append(score.value)
    values = {method: found for method, found in values.items() if found}
    if not values:
        return None
    figure = _figure(690, 70 + 36 * len(values))
    axes = figure.subplots()
    line = {"color": "black", "linewidth": 1.5}
    axes.boxplot(
        list(values.values()),
        tick_labels=list(values),
        orientation="horizontal",
        showfliers=False,
        widths=0.6,
        medianprops=line,
    )
    for place, (method, found) in enumerate(values.items(), start=1):
        spread = np.random.default_rng(place).uniform(-0.18, 0.18, len(found))
        axes.plot(found, place + spread, ".", color=_COLOURS[kinds[method]], alpha=0.6, markersize=6, markeredgewidth=0)
    axes.invert_yaxis()
    _plain(axes, "x")
    axes.set_xlabel(heading(metric), fontsize=9)
    return _png(figure)


def paired_scatter(scores: Sequence[Score], method: str, reference: str, metric: str) -> bytes | None:
    """Every image as a dot, the reference row's value across and the method's up; on the diagonal nothing changed.

    Returns:
        PNG, or None when the two methods share no image with finite values.
    """
    values = {(row.method, row.key): row.value for row in scores if row.metric == metric and math.isfinite(row.value)}
    keys = [key for name, key in values if name == method and (reference, key) in values]
    if not keys:
        return None
    across, up = [values[reference, key] for key in keys], [values[method, key] for key in keys]
    figure = _figure(400, 380)
    axes = figure.subplots()
    ends = [min(*across, *up), max(*across, *up)]
    axes.plot(ends, ends, color="#777777", linewidth=1, linestyle="--")
    axes.plot(across, up, "o", color=_COLOURS["learned"], alpha=0.7, markersize=5, markeredgewidth=0)
    _plain(axes, "both")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"{reference}: {heading(metric)}", fontsize=9)
    axes.set_ylabel(f"{method}: {heading(metric)}", fontsize=9)
    return _png(figure)


def scatter(x: Sequence[float] | NDArray, y: Sequence[float] | NDArray, across: str, up: str) -> bytes:
    """A dot an image, with the names of both axes; PNG."""
    figure = _figure(420, 320)
    axes = figure.subplots()
    axes.scatter(x, y, s=18, color="#0b5cad", alpha=0.8, linewidths=0)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    _plain(axes, "both")
    return _png(figure)


def _array(image: Tensor) -> NDArray[np.uint8]:
    """(C, H, W) in [0, 1] -> (H, W, 3) of whole levels."""
    levels = (image.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.expand(3, -1, -1).permute(1, 2, 0).numpy())


def _plane(values: Tensor) -> NDArray[np.float64]:
    plane = values.detach().double().cpu()
    return (plane.mean(dim=0) if plane.ndim == 3 else plane).numpy()


def _figure(width: int, height: int) -> Figure:
    """An empty figure of a size in pixels."""
    figure = Figure(figsize=((width + 0.01) / _DPI, (height + 0.01) / _DPI), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
