"""Errors in Hounsfield units by tissue: what a restored CT slice says about air, lung, soft tissue and bone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.degradations import blur
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.statistics import Score, Summary, summarise
from medrestore.imaging import Window, from_unit, to_unit, window_of

# HU, both ends included, told by the target. Lung is the normally aerated range of Gattinoni et al., Am J Respir Crit
# Care Med 164:1701 (2001); fat, water, blood and organs lie within 100 HU of water, bone above the blood with contrast
# medium (Kalender, Computed Tomography, 3rd ed. 2011, section 1.2). Values between two classes are mixtures: in none.
TISSUES: dict[str, tuple[float, float]] = {
    "air": (-1024.0, -950.0),
    "lung": (-900.0, -500.0),
    "soft_tissue": (-100.0, 100.0),
    "bone": (300.0, 1500.0),
}
LEAST_PIXELS = 50  # of a tissue in an image; fewer say nothing about it
_REGIONS = 4  # body regions shown
_GAP = 8  # pixels between the pictures of a slice
_SAME = 1e-3  # of the window: a blur computed again and the one that was evaluated


class TissueError(NamedTuple):
    """What a method did to one tissue of one image: `mae` and `bias` (restored minus truth) in HU over `pixels`."""

    mae: float
    bias: float
    pixels: int


def measurable(window: Window) -> list[str]:
    """The tissues whose whole range lies inside a window."""
    return [name for name, (low, high) in TISSUES.items() if window.low <= low and high <= window.high]


def tissue_errors(restored: Tensor, truth: Tensor, valid: Tensor, window: Window) -> dict[str, TissueError]:
    """HU errors of one image in each tissue that is measurable in the window and has at least 50 pixels.

    A pixel belongs to a tissue where a square of 2 x 2 pixels around it does: on the way from air to muscle the skin
    has a pixel in the range of lung.

    Args:
        restored: `(1, H, W)` in HU.
        truth: `(1, H, W)` in HU, which decides the tissue.
        valid: bool `(1, H, W)`; other pixels count nowhere.
        window: through which the method saw the image.

    Raises:
        ValueError: the shapes differ.
    """
    if not restored.shape == truth.shape == valid.shape:
        raise ValueError(f"shapes differ: {tuple(restored.shape)}, {tuple(truth.shape)}, {tuple(valid.shape)}")
    difference = restored.double() - truth.double()
    found = {}
    for name in measurable(window):
        low, high = TISSUES[name]
        errors = difference[_solid(valid & (truth >= low) & (truth <= high))]
        if errors.numel() >= LEAST_PIXELS:
            found[name] = TissueError(float(errors.abs().mean()), float(errors.mean()), errors.numel())
    return found


def _solid(mask: Tensor) -> Tensor:
    """What of a mask bool `(1, H, W)` squares of 2 x 2 pixels can cover (an opening): lines of one pixel are gone."""
    if min(mask.shape[-2:]) < 2:
        return torch.zeros_like(mask)
    squares = -torch.nn.functional.max_pool2d(-mask.float()[None], 2, stride=1)
    return torch.nn.functional.max_pool2d(torch.nn.functional.pad(squares, (1, 1, 1, 1)), 2, stride=1)[0] > 0


def degraded_hu(case: Case, window: Window) -> Tensor | None:
    """The degraded image in HU `(C, H, W)`, before the window cut it off; None where it cannot be known.

    A case keeps it only as the window shows it. Where its kernel is known the blur is done again; what then does not
    look the same through the window (noise was added, another size) is not taken.
    """
    if case.kernel is None or case.target is None or case.degraded.shape != case.target.shape:
        return None
    height, width = case.target.shape[-2:]
    again = blur(case.image.pixels[:, :height, :width], case.kernel)
    same = (to_unit(again, window) - case.degraded).abs().max() <= _SAME
    return again if bool(same) else None


def hidden(degraded: Tensor, size: tuple[int, int]) -> Tensor:
    """Where the window cut the degraded image off, bool `(1, H, W)` of `size`: it was at least so low, or so high.

    Args:
        degraded: `(C, h, w)` in [0, 1].
        size: height and width of the target.
    """
    cut = ((degraded <= 0) | (degraded >= 1)).any(dim=0, keepdim=True).float()[None]
    return torch.nn.functional.interpolate(cut, size=size, mode="nearest")[0] > 0


class HounsfieldErrors:
    """Mean absolute HU error and bias by tissue class, and full-size slices by body region.

    The restored image goes back to HU as `restore` writes it: the input's own values stay where the window hid them.
    Where the input's values there cannot be known (real pairs, noise after the blur) these pixels are left out for
    every method. Scores are `hu_mae/<tissue>` and `hu_bias/<tissue>`; images in other units are passed over.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._windows: dict[str, Window] = {}
        self._cases = 0
        self._cut = 0  # cases in which hidden pixels were left out
        self._shown: dict[str, tuple[bytes, str, str]] = {}

    def begin(self, context: Context) -> None:
        """Take the window and the rows of an evaluation; what was seen before is forgotten."""
        self._context = context
        self._windows, self._shown, self._cases, self._cut = {}, {}, 0, 0

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Scores of one CT slice by row; none for other images and for those without truth."""
        assert self._context is not None
        if case.image.unit != "HU" or case.target is None:
            return []
        window = window_of(case.image, self._context.window)
        assert window is not None  # None is the range of photographs
        self._cases += 1
        self._windows[_said(window)] = window
        height, width = case.target.shape[-2:]
        truth = case.image.pixels[:, :height, :width]
        valid = torch.ones(1, height, width, dtype=torch.bool) if case.mask is None else case.mask.bool()
        original = degraded_hu(case, window)
        if original is None:
            cut = hidden(case.degraded, (height, width))
            self._cut += int(cut.any())
            valid = valid & ~cut
        self._show(case, images, window)
        scores = []
        for method, image in images.items():
            values = from_unit(image, window, original)
            errors = tissue_errors(_grey(values), _grey(truth), valid, window)
            for tissue, error in errors.items():
                scores.append(Score(method, case.key, case.group, f"hu_mae/{tissue}", error.mae))
                scores.append(Score(method, case.key, case.group, f"hu_bias/{tissue}", error.bias))
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The tables and slices; None when no CT slice with truth was seen."""
        assert self._context is not None
        if not self._cases:
            return None
        own = [score for score in scores if score.metric.startswith(("hu_mae/", "hu_bias/"))]
        summaries = summarise(own, self._context.kinds, self._context.reference) if own else []
        window = "; ".join(self._windows)
        tables = [
            self._table(f"Mean absolute error in HU by tissue, window {window}", "hu_mae", summaries, ""),
            self._table(f"Bias in HU (restored minus truth) by tissue, window {window}", "hu_bias", summaries, "+"),
        ]
        section = Section(
            title="Hounsfield units by tissue",
            lines=self._lines(window),
            tables=tables if own else [],
            pictures=list(self._shown.values()),
        )
        return Finding(section)

    def _lines(self, window: str) -> list[str]:
        ranges = ", ".join(f"{_name(name)} {low:g} to {high:g}" for name, (low, high) in TISSUES.items())
        lines = [
            f"Tissue by the target's HU: {ranges}. Values between, and lines of one pixel, "
            "are mixtures of two tissues and count nowhere; what is not the body counts too, such as the couch.",
            "Mean [95 % interval over patients]. A tissue is measured only where the window holds its whole range: "
            f"window {window}.",
            "Where the degraded image lies outside the window it keeps its own values, as in a restored file, "
            "and the error is counted as such.",
        ]
        if self._cut:
            lines.append(
                f"In {self._cut} of {self._cases} images the degraded values outside the window are not known: "
                "these pixels are left out for every method."
            )
        if not any(measurable(seen) for seen in self._windows.values()):
            lines.append("No tissue is measurable in this window; type sampling.window=wide for all four.")
        return lines

    def _table(self, caption: str, metric: str, summaries: Sequence[Summary], sign: str) -> Table:
        assert self._context is not None
        found = {(row.method, row.metric): row for row in summaries}
        inside = {name for window in self._windows.values() for name in measurable(window)}

        def cell(method: str, tissue: str) -> str:
            if tissue not in inside:
                return "not measurable"
            row = found.get((method, f"{metric}/{tissue}"))
            if row is None or row.mean is None:
                return "none in these images"
            if row.low is None or row.high is None:
                return f"{row.mean:{sign}.1f} [not available], n={row.n}"
            return f"{row.mean:{sign}.1f} [{row.low:{sign}.1f}, {row.high:{sign}.1f}], n={row.n}"

        methods = [name for name in self._context.kinds if any(name == row.method for row in summaries)]
        rows = [[method, *(cell(method, tissue) for tissue in TISSUES)] for method in methods]
        return Table(caption, ["method", *map(_name, TISSUES)], rows)

    def _show(self, case: Case, images: Mapping[str, Tensor], window: Window) -> None:
        """Keep the first slice of each body region."""
        assert self._context is not None and case.target is not None
        region = _region(case)
        if region in self._shown or len(self._shown) == _REGIONS:
            return
        method = self._context.shown if self._context.shown in images else self._context.reference
        if method not in images:
            return
        caption = f"{region}, {case.key}: degraded, {method}, target; full size, window {_said(window)}"
        self._shown[region] = (
            side_by_side([case.degraded, images[method], case.target]),
            f"CT slice of the {region}: degraded, {method} and target side by side",
            caption,
        )


def side_by_side(images: Sequence[Tensor]) -> bytes:
    """Pictures `(C, H, W)` in [0, 1] in a row on white, pixel by pixel, as a grey PNG; smaller ones at the top."""
    planes = [(_grey(image)[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy() for image in images]
    height = max(plane.shape[0] for plane in planes)
    canvas = np.full((height, sum(plane.shape[1] + _GAP for plane in planes) - _GAP), 255, np.uint8)
    left = 0
    for plane in planes:
        canvas[: plane.shape[0], left : left + plane.shape[1]] = plane
        left += plane.shape[1] + _GAP
    buffer = io.BytesIO()
    PillowImage.fromarray(canvas).save(buffer, format="PNG")
    return buffer.getvalue()


def _grey(image: Tensor) -> Tensor:
    """CT in three channels (for a generator of photographs) is one image three times: their mean."""
    return image.detach().float().cpu().mean(dim=0, keepdim=True)


def _region(case: Case) -> str:
    """What part of the body the slice shows, as far as the data tell."""
    label = case.annotations.get("label")
    part = label if isinstance(label, str) and label else case.image.metadata.get("body_part")
    return str(part).lower() if part else "body part unknown"


def _name(tissue: str) -> str:
    return tissue.replace("_", " ")


def _said(window: Window) -> str:
    return f"{_name(window.name)} ({window.low:g} to {window.high:g} HU)"
