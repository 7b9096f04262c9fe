"""What a screening kept and dropped, to look at: the scores with the threshold, and a sheet of images around it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from medrestore.data.screened import Look

PER_ROW = 6  # images of the sheet
_COLOURS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73", "no part": "#999999"}  # Okabe and Ito
_DPI = 100
_BINS = 40
_CELL = 176  # pixels of an image on the sheet


def histogram(scores: Mapping[str, Sequence[float]], threshold: float, title: str) -> bytes:
    """The scores of each part on top of each other, and the threshold; PNG.

    Args:
        scores: of the images of each part: train, val, test, no part.
        threshold: what is at most this is dropped.
        title: above the picture.
    """
    figure, axes = _axes(760, 400)
    shown = {part: values for part, values in scores.items() if values}
    every = np.array([score for values in shown.values() for score in values])
    edges = np.histogram_bin_edges(every, _BINS)
    axes.hist(
        list(shown.values()),
        bins=edges.tolist(),
        stacked=True,
        color=[_COLOURS[part] for part in shown],
        label=[f"{part} ({len(values)})" for part, values in shown.items()],
    )
    axes.axvspan(edges[0], threshold, color="#FBEFE6", zorder=0)
    dropped = int((every <= threshold).sum())
    axes.axvline(threshold, color="#D55E00", linewidth=1.5, label=f"threshold {threshold:#.4g}")
    axes.set_title(f"{title}\n{dropped} at most the threshold: dropped, {len(every) - dropped} kept", fontsize=9)
    axes.set_xlabel("pixel difference", fontsize=9)
    axes.set_ylabel("images", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def chosen(looks: Sequence[Look], dropped: set[str]) -> list[tuple[str, list[Look]]]:
    """The rows of a contact sheet, with their titles: lowest and highest scores, and those next to the threshold.

    Where a side has few images, none is shown twice and a row may be short or missing.
    """
    ranked = sorted(looks, key=lambda look: (look.score, look.item.key))
    gone = [look for look in ranked if look.item.key in dropped]
    kept = [look for look in ranked if look.item.key not in dropped]
    rows = [
        ("dropped, lowest scores", gone[:PER_ROW]),
        ("dropped, highest scores", gone[PER_ROW:][-PER_ROW:]),
        ("kept, lowest scores", kept[:PER_ROW]),
        ("kept, highest scores", kept[PER_ROW:][-PER_ROW:]),
    ]
    return [(title, row) for title, row in rows if row]


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, Tensor]]]]) -> bytes:
    """Images in rows with a title each and a caption above every image; PNG.

    Args:
        rows: title, and captions with images (C, H, W) in [0, 1], at most six a row.
    """
    figure = Figure(
        figsize=((PER_ROW * _CELL + 0.01) / _DPI, (len(rows) * (_CELL + 70) + 0.01) / _DPI),
        dpi=_DPI,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    for part, (title, images) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        part.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
        grid = part.subplots(1, PER_ROW, squeeze=False)[0]
        for axes in grid:
            axes.set_axis_off()
        for axes, (caption, image) in zip(grid, images, strict=False):
            axes.imshow(_thumbnail(image), cmap="gray", vmin=0.0, vmax=1.0)
            axes.set_title(caption, fontsize=8, parse_math=False)
    return _png(figure)


def _thumbnail(image: Tensor) -> np.ndarray:
    """(C, H, W) -> (h, w) or (h, w, 3), made no wider or taller than a cell."""
    scale = _CELL / max(image.shape[1:])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in image.shape[1:]]
        image = interpolate(image[None], size=size, mode="area")[0]
    shown = image.clamp(0, 1).to(torch.float32)
    return shown[0].numpy() if shown.shape[0] == 1 else shown.permute(1, 2, 0).numpy()


def _axes(width: int, height: int):
    figure = Figure(figsize=((width + 0.01) / _DPI, (height + 0.01) / _DPI), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
