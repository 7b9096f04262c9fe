"""What an evaluation measures beyond the full-reference table: judges, no-reference scores, tissue errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from medrestore.classical import MethodKind
from medrestore.data.samples import Case
from medrestore.degradations import Degradation
from medrestore.evaluation.statistics import Score, Summary

SHARP = "sharp"  # the target itself as a row, where a judge looks at it


class Boxes(NamedTuple):
    """What a detector found in one image.

    Attributes:
        boxes: float `(k, 4)`: x0, y0, x1, y1 in pixels.
        scores: float `(k,)` in [0, 1].
    """

    boxes: Tensor
    scores: Tensor


class Detector(Protocol):
    """A frozen judge that finds abnormal tissue. See `medrestore.tasks`."""

    @property
    def description(self) -> str:
        """What it is and what it was trained on, one line for the report."""
        ...

    @property
    def threshold(self) -> float:
        """An image with a score of at least this is called abnormal; fixed on sharp validation images."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """From the collection's own words to `normal` and `abnormal`, such as {"melanoma": "abnormal"}."""
        ...

    def predict(self, image: Tensor) -> Boxes:
        """Abnormal boxes in `(C, H, W)` in [0, 1], by falling score."""
        ...


class Segmenter(Protocol):
    """A frozen judge that names every pixel.

    Attributes:
        classes: names of the classes, by number.
        description: what it is and what it was trained on, one line for the report.
    """

    classes: Sequence[str]
    description: str

    def predict(self, image: Tensor) -> Tensor:
        """Class of every pixel, int64 `(H, W)`, of `(C, H, W)` in [0, 1]."""
        ...


@dataclass(frozen=True)
class Context:
    """What an assessment is told before the first case.

    Attributes:
        kinds: kind of every row, in the table's order; the reference row first.
        reference: the row that differences are taken to.
        shown: the learned row that verdicts and pictures are about, or the reference where there is none.
        window: `sampling.window`: photographs as they are, or a window of `imaging.WINDOWS`, or (centre, width).
        judge: the frozen judge of an experiment, found again or trained now; None with `judge=none`.
        output: folder for files of its own.
        references: the sharp training images one by one, `(C, H, W)` in [0, 1] with the mask bool `(1, H, W)` where
            there is one, in an order that mixes patients; None where nothing can be fitted to them.
        degradation: what made the degraded images of the sharp ones; None where nothing is asked of it.
    """

    kinds: Mapping[str, MethodKind]
    reference: str
    shown: str
    window: str | Sequence[float]
    judge: Callable[[str], Any] | None
    output: Path
    references: Callable[[], Iterator[tuple[Tensor, Tensor | None]]] | None = None
    degradation: Degradation | None = None


class Table(NamedTuple):
    """A table of a report: plain text, escaped when written."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        title: heading.
        lines: sentences; the first ones are printed on the screen as well when `spoken` says how many.
        tables: tables.
        pictures: PNG or JPEG bytes with what they show and a caption.
        spoken: how many of `lines` also go to the screen.
    """

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[bytes, str, str]] = ()
    spoken: int = 0


@dataclass(frozen=True)
class Finding:
    """What an assessment found.

    Attributes:
        section: its part of the report.
        summaries: rows of `summary.csv` for scores of a whole set (AUC, accuracy); means of per-image scores are
            summarised by the caller.
    """

    section: Section
    summaries: Sequence[Summary] = field(default_factory=list)


class Assessment(Protocol):
    """One part of an evaluation; sees every case once, with the image of every method.

    Built from a config (`evaluation.assessments.<name>`), then `begin`, `observe` for each case, `finish`.
    """

    def begin(self, context: Context) -> None:
        """Take what is needed for the run at hand; a judge is found or trained here."""
        ...

    def observe(self, case: Case, images: Mapping[str, Tensor]) -> list[Score]:
        """Score one case.

        Args:
            case: the case; `target` is None for images degraded by nature.
            images: `(C, H, W)` in [0, 1] by row name, `identity` (or the reference) first.

        Returns:
            Scores of single images, named `<assessment>/<metric>`; they go to `scores.csv`.
        """
        ...

    def finish(self, scores: Sequence[Score]) -> Finding | None:
        """Make the report's section when all cases were seen; `scores` are all scores of the evaluation.

        None where the data gave it nothing to look at and there is nothing to say.
        """
        ...
