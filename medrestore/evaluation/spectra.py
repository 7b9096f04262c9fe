"""The paper's pictures of one image: magnitude spectra, and where the outputs of two models differ (S4)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import SHARP, Context, Finding, Section
from medrestore.evaluation.figures import picture
from medrestore.evaluation.statistics import Score

_LEVELS = 255
GAIN = 8.0  # of the differences between two outputs, which are too small to see


class Spectra:
    """Shows the log magnitude spectra of one case, and how the learned rows' outputs differ from the shown one's.

    The case is the first one with a truth, or the one that is named.

    Args:
        key: of the case; "" for the first.
        gain: factor on the differences between outputs.
    """

    def __init__(self, key: str = "", gain: float = GAIN) -> None:
        self.key = key
        self.gain = gain
        self._context: Context | None = None
        self._pictures: list[tuple[bytes, str, str]] = []

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._pictures = []

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Draw the pictures of the case; no score of its own."""
        if self._context is None:
            raise RuntimeError("begin(context) comes before the first case")
        if self._pictures or case.target is None or self.key not in ("", case.key):
            return []
        shown, reference = self._context.shown, self._context.reference
        rows = {name: images[name] for name in (reference, shown)}
        strength = case.description.get("rms_radius")
        blur = f", blur of {strength:.2f} px" if isinstance(strength, float) else ""
        self._pictures.append(
            (
                magnitude_spectra({**rows, SHARP: case.target}),
                "magnitude spectra",
                f"{case.key}{blur}: log of 1 + magnitude in grey levels, Hann window, low frequencies in the middle",
            )
        )
        learned = [name for name in images if self._context.kinds.get(name) == "learned"]
        for other in learned:
            if other != shown and shown in learned:
                caption = f"{case.key}: |'{shown}' - '{other}'|, {self.gain:g} times amplified"
                drawn = picture(output_difference(images[shown], images[other], self.gain))
                self._pictures.append((drawn, f"difference between {shown} and {other}", caption))
        return []

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The pictures; None where no case was drawn."""
        return Finding(Section("spectra and differences", pictures=self._pictures)) if self._pictures else None


def log_magnitude(image: Tensor) -> Tensor:
    """Log of 1 + magnitude, in grey levels of 255, of the grey image's orthonormal Fourier transform, Hann window.

    The window keeps the image's borders from drawing a cross over everything.

    Args:
        image: `(C, H, W)` in [0, 1].

    Returns:
        `(H, W)` float64 >= 0, frequency zero at `[H // 2, W // 2]`.
    """
    grey = image.detach().double().cpu().mean(dim=0)
    height, width = (torch.hann_window(side, periodic=False, dtype=torch.float64) for side in grey.shape)
    spectrum = torch.fft.fft2((grey - grey.mean()) * height[:, None] * width, norm="ortho")
    return torch.fft.fftshift(_LEVELS * spectrum.abs()).log1p()


def magnitude_spectra(images: Mapping[str, Tensor]) -> bytes:
    """Log magnitude spectra side by side on one colour scale.

    Args:
        images: `(C, H, W)` in [0, 1] by name.

    Returns:
        PNG.
    """
    planes = {name: log_magnitude(image).numpy() for name, image in images.items()}
    top = max(float(np.percentile(plane, 99.9)) for plane in planes.values()) or 1.0
    height, width = next(iter(planes.values())).shape
    cell = 1000 // len(planes)
    figure = Figure(figsize=(10.8, (cell * height / width + 40) / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(planes), squeeze=False)[0]
    for axes, (name, plane) in zip(grid, planes.items(), strict=True):
        drawn = axes.imshow(plane, cmap="magma", vmin=0.0, vmax=top)
        axes.set_title(name, fontsize=9, parse_math=False)
        axes.set_axis_off()
    figure.colorbar(drawn, ax=list(grid), fraction=0.03, pad=0.02).ax.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def output_difference(first: Tensor, second: Tensor, gain: float = GAIN) -> Tensor:
    """Absolute difference of two images `(C, H, W)`, `gain` times as bright, cut at 1."""
    return ((first.float() - second.float()).abs() * gain).clamp(0, 1)
