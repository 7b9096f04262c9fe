"""Scores inside what is marked: does an enlargement help where the reader looks?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from medrestore.data.regions import part_boxes
from medrestore.data.samples import Case
from medrestore.evaluation.assessment import Context, Finding, Section, Table
from medrestore.evaluation.case_kinds import mask_of, region_of
from medrestore.evaluation.figures import Box, strip
from medrestore.evaluation.lesion_focus import NAME
from medrestore.evaluation.statistics import Score, Summary, compare, p_text, summarise
from medrestore.evaluation.tables import heading
from medrestore.metrics import psnr, ssim

_TITLE = "Inside the marked regions"
_METRICS = ("lesion/psnr", "lesion/ssim")
_SSIM_SIDE = 11  # the window of SSIM
_SHOWN, _ZOOM = 2, 64  # cases with pictures, pixels around a region


class MarkedRegions:
    """`lesion/psnr` and `lesion/ssim` of every row inside the marked region: its mask, else the boxes around lesions.

    Rows of lesion-focused networks are looked at as well: in how many images they are an interpolation and nothing
    else, and how many of the marked pixels they change.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._seen = self._marked = 0
        self._untouched: dict[str, int] = {}
        self._changed: dict[str, list[float]] = {}
        self._pictures: list[tuple[bytes, str, str]] = []

    def begin(self, context: Context) -> None:
        """Forget what was seen before."""
        self._context = context
        self._seen = self._marked = 0
        self._untouched = {name: 0 for name in context.kinds if name.startswith(NAME)}
        self._changed = {name: [] for name in self._untouched}
        self._pictures = []

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Scores of every row inside the region of a case with truth; none where nothing is marked."""
        if case.target is None:
            return []
        self._seen += 1
        height, width = case.target.shape[-2:]
        region = region_of(case, height, width)
        self._look_at_focused(images, region)
        valid = mask_of(case, case.target)
        if region is not None and valid is not None:
            region = region & valid[0] if bool((region & valid[0]).any()) else None
        if region is None:
            return []
        self._marked += 1
        if len(self._pictures) < _SHOWN:
            self._pictures.append(_picture(case, {**images, "target": case.target}, region))
        scores: list[Score] = []
        for name, image in images.items():
            pair = image[None], case.target[None]
            found = {"lesion/psnr": psnr(*pair, mask=region[None])}
            if min(height, width) >= _SSIM_SIDE:
                found["lesion/ssim"] = ssim(*pair, mask=region[None])
            scores += [Score(name, case.key, case.group, metric, float(value)) for metric, value in found.items()]
        return scores

    def _look_at_focused(self, images: Mapping[str, Tensor], region: Tensor | None) -> None:
        """Where a lesion-focused row is no interpolation: the one that it agrees with in most pixels is behind it."""
        assert self._context is not None
        behind = [image for name, image in images.items() if self._context.kinds.get(name) != "learned"]
        for name in self._untouched:
            changed = min(
                ((images[name] != image).any(dim=0, keepdim=True) for image in behind),
                key=lambda differs: int(differs.sum()),
            )
            self._untouched[name] += int(not changed.any())
            if region is not None:
                self._changed[name].append(float(changed[region].float().mean()))

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """The table, and what lesion-focused rows did; one line where no image has a region."""
        context = self._context
        assert context is not None
        if not self._seen:
            return None
        if not self._marked:
            line = f"not done: in none of the {self._seen} images with truth a region is marked"
            return Finding(Section(_TITLE, [line, *self._focused()], spoken=1 + len(self._untouched)))
        own = [score for score in scores if score.metric in _METRICS]
        found = {(row.method, row.metric): row for row in summarise(own, context.kinds, context.reference)}
        metrics = [metric for metric in _METRICS if any(metric == known for _, known in found)]
        rows = [
            [name, *(_cell(found.get((name, metric))) for metric in metrics)]
            for name in context.kinds
            if any((name, metric) in found for metric in metrics)
        ]
        table = Table(
            f"Inside the marked regions of {self._marked} images: mean [95 % interval over groups], difference to the "
            "reference row",
            ["row", *map(heading, metrics)],
            rows,
        )
        told = [*self._against(own), *self._focused()]
        count = f"{self._marked} of {self._seen} images with truth have a marked region; the others have no score here."
        return Finding(Section(_TITLE, [*told, count], [table], self._pictures, spoken=len(told)))

    def _against(self, scores: Sequence[Score]) -> list[str]:
        """Each lesion-focused row against the network of the whole image and the reference, in PSNR."""
        assert self._context is not None
        lines = []
        others = dict.fromkeys((self._context.shown, self._context.reference))
        for name in self._untouched:
            parts = []
            for other in others:
                found = compare(scores, name, other, _METRICS[0])
                if other == name or found.difference is None:
                    continue
                p_value = "" if found.p_value is None else f", {p_text(found.p_value)}"
                parts.append(f"{found.difference:+.2f} dB to '{other}'{p_value}")
            if parts:
                lines.append(f"'{name}', PSNR inside the regions: {'; '.join(parts)}.")
        return lines

    def _focused(self) -> list[str]:
        lines = []
        for name, count in self._untouched.items():
            line = f"'{name}' is the interpolation and nothing else in {count} of {self._seen} images, where it has no "
            changed = self._changed[name]
            share = f"; it changes {100 * sum(changed) / len(changed):.0f} % of the marked pixels" if changed else ""
            lines.append(f"{line}region{share}.")
        return lines


def _picture(case: Case, images: Mapping[str, Tensor], region: Tensor) -> tuple[bytes, str, str]:
    """All rows, with the surroundings of the largest part of the region."""
    boxes = part_boxes(region)
    x0, y0, x1, y1 = boxes[((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argmax()].tolist()
    height, width = region.shape[-2:]
    side = min(_ZOOM, height, width)
    top = min(max(0, (y0 + y1 - side) // 2), height - side)
    left = min(max(0, (x0 + x1 - side) // 2), width - side)
    drawn = strip(images, [Box(top, left, side, side)], {})
    return drawn, "all rows with the marked region zoomed", f"{case.key}: around the largest marked part"


def _cell(row: Summary | None) -> str:
    if row is None or row.mean is None:
        return "not available"
    digits = 2 if row.metric == _METRICS[0] else 4
    text = f"{row.mean:.{digits}f}"
    if row.low is not None and row.high is not None:
        text += f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    if row.difference is not None:
        text += f", {row.difference:+.{digits}f}"
    return f"{text}, {p_text(row.p_value)}" if row.p_value is not None else text
