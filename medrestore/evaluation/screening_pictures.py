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
_GAP = 12  # pixels between images
_TITLE, _CAPTION = 34, 36  # pixels above a row and above its images
_ROW = _TITLE + _CAPTION + _CELL + _GAP


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
    # Placed by hand, in pixels from the top left: a layout engine would draw every image twice, seconds for a sheet.
    width, height = PER_ROW * (_CELL + _GAP) + _GAP, max(1, len(rows)) * _ROW
    figure = Figure(figsize=((width + 0.01) / _DPI, (height + 0.01) / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    for row, (title, images) in enumerate(rows):
        top = row * _ROW + _TITLE
        figure.text(_GAP / width, 1 - (top - 10) / height, title, fontsize=10, fontweight="bold")
        for column, (caption, image) in enumerate(images):
            left = _GAP + column * (_CELL + _GAP)
            figure.text(
                (left + _CELL / 2) / width,
                1 - (top + _CAPTION - 4) / height,
                caption,
                fontsize=8,
                ha="center",
                parse_math=False,
            )
            place = (left / width, 1 - (top + _CAPTION + _CELL) / height, _CELL / width, _CELL / height)
            axes = figure.add_axes(place)
            axes.set_axis_off()
            axes.imshow(_thumbnail(image), cmap="gray", vmin=0.0, vmax=1.0)
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
