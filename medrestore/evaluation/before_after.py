"""Photographs of one eye before and after surgery (S2, table 1): PSNR, SSIM, and how well the pairs are registered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.case_kinds import kind_of
from medrestore.evaluation.figures import picture
from medrestore.evaluation.natural_tables import difference_text
from medrestore.evaluation.no_reference_tables import cell_text
from medrestore.evaluation.scoring import MetricSettings, full_reference
from medrestore.evaluation.statistics import Score, Summary, compare, summarise
from medrestore.metrics import ciede2000

PSNR, SSIM, COLOUR = "before_after/psnr", "before_after/ssim", "before_after/ciede2000"
_SYNTHETIC = ("psnr", "ssim")
_TITLES = {PSNR: "PSNR (dB) ↑", SSIM: "SSIM ↑", COLOUR: "CIEDE2000 ↓", "psnr": "PSNR (dB) ↑", "ssim": "SSIM ↑"}
_DIGITS = {SSIM: 3, "ssim": 3}
_TITLE = "before and after surgery"
_SETTINGS = MetricSettings(lpips=False, lpips_weights="none")
_TILES = 8  # a side of the picture of the pair that fits worst
_WIDTH = 420  # pixels of one of its pictures


class Fit(NamedTuple):
    """How the photograph after surgery was laid over the one before.

    Attributes:
        down: pixels.
        right: pixels.
        angle: degrees.
        scale: of the later photograph, seen from the earlier.
        correlation_before: of their detail as the files are.
        correlation: of their detail once registered.
        overlap: share of the earlier field of view that the later one covers.
    """

    down: float
    right: float
    angle: float
    scale: float
    correlation_before: float
    correlation: float
    overlap: float


class BeforeAfter:
    """PSNR, SSIM and colour difference on real pairs, apart from images that were degraded on purpose.

    The photograph after surgery was laid over the one before by the source of the pair, so that every row is scored in
    the frame of its input; only the overlap of both fields of view counts. Pairs that nobody registered are counted and
    not scored here.
    """

    def __init__(self) -> None:
        self._context: Context | None = None

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._fits: dict[str, Fit] = {}
        self._synthetic: set[str] = set()
        self._unregistered = 0
        self._worst: tuple[str, float, bytes] | None = None

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """`before_after/<metric>` of every row on a registered pair; nothing for other images."""
        kind = kind_of(case)
        if kind == "synthetic":
            self._synthetic.add(case.key)
        self._unregistered += kind == "pair"
        if kind != "registered" or case.target is None:
            return []
        fit = self._fits[case.key] = _told(case)
        if self._worst is None or fit.correlation < self._worst[1]:
            self._worst = case.key, fit.correlation, _drawn(case.degraded, case.target)
        mask = None if case.mask is None else case.mask[None].bool()
        scores = []
        for name, image in images.items():
            values = full_reference(image, case, _SETTINGS)
            values["ciede2000"] = float(ciede2000(image[None], case.target[None], mask=mask))
            scores += [Score(name, case.key, case.group, f"before_after/{m}", value) for m, value in values.items()]
        return scores

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The section; None without a real pair. Synthetic images get a table and summaries of their own."""
        context = self._context
        if context is None:
            raise RuntimeError("begin(context) comes before the first case")
        if not self._fits:
            return Finding(Section(_TITLE, [self._not_scored()])) if self._unregistered else None
        ours = [score for score in scores if score.metric in (PSNR, SSIM, COLOUR)]
        made = [score for score in scores if score.metric in _SYNTHETIC and score.key in self._synthetic]
        rows = summarise(ours, context.kinds, context.reference)
        tables = [
            _score_table(rows, "Real pairs, before and after surgery", (PSNR, SSIM, COLOUR)),
            self._fit_table(ours, context),
        ]
        lines = [self._counted(), *_change(rows, ours, context), _EXPECTED, self._fitted()]
        spoken = len(lines)
        lines += [self._not_scored()] if self._unregistered else []
        named = []
        if made:
            rows = summarise(made, context.kinds, context.reference)
            tables.append(_score_table(rows, "Synthetic cataract, told apart from the real pairs", _SYNTHETIC))
            named = [row._replace(metric=f"synthetic/{row.metric}") for row in rows]
        pictures = []
        if self._worst is not None:
            key, correlation, data = self._worst
            caption = (
                f"{key}, the pair that fits worst (correlation {correlation:.2f}): before, after as it was laid over "
                "it, both in tiles: vessels go on from tile to tile where the pair fits"
            )
            pictures.append((data, "a pair before and after surgery, and both in tiles", caption))
        return Finding(Section(_TITLE, lines, tables, pictures, spoken=spoken), named)

    def _counted(self) -> str:
        text = f"{len(self._fits)} real pairs of photographs before and after surgery are scored where both see the eye"
        if self._synthetic:
            text += f"; {len(self._synthetic)} sharp images with a synthetic cataract are told of apart"
        return f"{text}."

    def _not_scored(self) -> str:
        return (
            f"{self._unregistered} pairs are in the table of all images as their files are; if they show eyes before "
            "and after surgery, type dataset=fundus dataset.before=DIR dataset.after=DIR to have them registered"
        )

    def _fitted(self) -> str:
        fits = list(self._fits.values())
        before, after = (
            math.fsum(values) / len(fits)
            for values in ([fit.correlation_before for fit in fits], [fit.correlation for fit in fits])
        )
        worst = min(fit.correlation for fit in fits)
        return (
            f"Registration: the detail of both photographs correlates by {after:.2f} on average, {worst:.2f} at worst, "
            f"and by {before:.2f} as the files are."
        )

    def _fit_table(self, scores: Sequence[Score], context: Context) -> Table:
        values = {(score.method, score.key): score.value for score in scores if score.metric == PSNR}
        rows = list(dict.fromkeys((context.reference, context.shown)))
        lines = []
        for key, fit in self._fits.items():
            found = [values.get((name, key), math.nan) for name in rows]
            lines.append(
                (
                    key,
                    f"{fit.down:+.1f}, {fit.right:+.1f}",
                    f"{fit.angle:+.2f}",
                    f"{fit.scale:.3f}",
                    f"{fit.correlation_before:.2f}",
                    f"{fit.correlation:.2f}",
                    f"{100 * fit.overlap:.0f} %",
                    *(f"{value:.2f}" for value in found),
                )
            )
        header = (
            "pair",
            "shift down, right (px)",
            "angle (degrees)",
            "scale",
            "correlation as the files are",
            "correlation registered",
            "overlap",
            *(f"PSNR of {name} (dB)" for name in rows),
        )
        return Table("How each pair was registered", header, lines)


_EXPECTED = (
    "Photographs before and after surgery differ in light, focus and camera, not only in the cataract: PSNR of 16 to "
    "19 dB is to be expected (S2 reports 16.38 to 19.24), and a row gains by what shifts its light as well."
)


def _told(case: Case) -> Fit:
    """What the source says of a pair that it registered; a number it does not tell is NaN."""
    found = case.image.metadata
    return Fit(*(float(found.get(f"registration_{name}", math.nan)) for name in Fit._fields))


def _score_table(rows: Sequence[Summary], title: str, metrics: Sequence[str]) -> Table:
    found = {(row.method, row.metric): row for row in rows}
    lines = []
    for name, kind in {row.method: row.kind for row in rows}.items():
        cells = [cell_text(found.get((name, metric)), _DIGITS.get(metric, 2)) for metric in metrics]
        lines.append((name, kind, *cells, str(max(row.n for row in rows if row.method == name))))
    caption = f"{title}: mean [95 % interval over groups], difference to the reference row"
    return Table(caption, ("method", "kind", *(_TITLES[metric] for metric in metrics), "images"), lines)


def _change(rows: Sequence[Summary], scores: Sequence[Score], context: Context) -> list[str]:
    """PSNR of the shown row against the input, in a sentence."""
    table = {row.method: row.mean for row in rows if row.metric == PSNR}
    before, after = table.get(context.reference), table.get(context.shown)
    if context.shown == context.reference or before is None or after is None:
        return []
    gain = difference_text(compare(scores, context.shown, context.reference, PSNR))
    return [f"PSNR to the photograph after surgery: '{context.reference}' {before:.2f} dB, '{context.shown}' "
            f"{after:.2f} dB, difference {gain}."]  # fmt: skip


def _drawn(before: Tensor, after: Tensor) -> bytes:
    """Before, after and both in tiles, side by side, as JPEG."""
    before, after = before.cpu(), after.cpu()
    height, width = before.shape[-2:]
    rows, columns = (torch.arange(side) * _TILES // side for side in (height, width))
    odd = (rows[:, None] + columns) % 2 == 1
    gap = torch.ones(before.shape[0], height, max(2, width // 60))
    return picture(torch.cat([before, gap, after, gap, torch.where(odd, after, before)], dim=2), 3 * _WIDTH)
