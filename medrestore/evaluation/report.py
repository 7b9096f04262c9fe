"""One self-contained HTML file that says what was measured, shows it, and names its limits."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from medrestore.evaluation.assessment import Section
from medrestore.evaluation.statistics import Summary
from medrestore.evaluation.tables import heading, layout, notes, save_text

NOT_FOR_DIAGNOSIS = "Not for diagnosis: research use only."
_METRICS_PER_TABLE = 4  # what fits beside the method's name on a printed page
_FILES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to embed.

    Attributes:
        data: PNG or JPEG bytes, as `medrestore.evaluation.figures` makes them.
        alt: what it shows, for those who cannot see it.
        caption: printed below; empty = none.
    """

    data: bytes
    alt: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The image as a data URI."""
        kind = "png" if self.data.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{b64encode(self.data).decode()}"


class Made(NamedTuple):
    """What one row makes of a test image: its name and kind, JPEG bytes of the picture and, with a truth, its error."""

    method: str
    kind: str
    picture: bytes
    error: bytes | None


@dataclass(frozen=True, slots=True)
class CaseView:
    """One test image in the report.

    Attributes:
        rank: which of the test images it is, by the metric named in `reason`.
        key: its key, which says nothing about the patient.
        reason: why it stands here, such as "PSNR 31.20 dB, change to identity -0.35 dB".
        description: its degradation and whatever else is known, name and value.
        pictures: degraded, restored, target at reading size.
        strip: every method with zoom crops.
        maps: error and SSIM maps.
        made: the picture of every row by itself, for dashboards; the target last.
    """

    rank: Literal["worst", "median", "best"]
    key: str
    reason: str
    description: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]
    strip: Picture | None = None
    maps: Picture | None = None
    made: Sequence[Made] = ()


class SplitCount(NamedTuple):
    """One part of the data: its name, number of images and number of groups (patients, scenes)."""

    name: str
    images: int
    groups: int


class Departure(NamedTuple):
    """A setting that is not the paper's: its key, our value, the paper's value."""

    key: str
    ours: str
    paper: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report shows; plain text, escaped when written. An empty part is left out.

    Attributes:
        title: heading, such as "cervix_deblur: evaluation on the test split".
        created: date and time.
        version: of the package.
        command: the line that repeats the evaluation or the run.
        verdict: sentences of `medrestore.evaluation.tables.verdict`.
        summaries: rows of the table.
        footnotes: lines below the table, such as which LPIPS backbone or window was used.
        scores: box plots and scatter plots.
        sections: what the assessments found.
        cases: worst, median and best test images.
        curves: training curves.
        curve_notes: what they show, in words.
        kernels: shapes of the blur kernels.
        dataset: where the images came from, one line.
        splits: counts of the parts of the data.
        left_out: files that were not used, each with the reason.
        data_notes: what else was left out by rule or is unknown.
        recipe: name of the paper's recipe that the run is held against; empty = none.
        departures: what differs from that recipe; empty = nothing does.
        weights: what the weights were: trained from scratch, a pretrained feature network, random features, ...
        config: the run's configuration as YAML.
    """

    title: str
    created: str
    version: str
    command: str
    verdict: Sequence[str] = ()
    summaries: Sequence[Summary] = ()
    footnotes: Sequence[str] = ()
    scores: Sequence[Picture] = ()
    sections: Sequence[Section] = ()
    cases: Sequence[CaseView] = ()
    curves: Sequence[Picture] = ()
    curve_notes: Sequence[str] = ()
    kernels: Sequence[Picture] = ()
    dataset: str = ""
    splits: Sequence[SplitCount] = ()
    left_out: Sequence[tuple[str, str]] = ()
    data_notes: Sequence[str] = ()
    recipe: str = ""
    departures: Sequence[Departure] = ()
    weights: str = ""
    config: str = ""


def write_report(path: Path, content: Report) -> Path:
    """Write `content` as one HTML file: images embedded, no network, no script, light and dark, printable.

    The file's own policy forbids loading anything, so that text from a file name or a DICOM tag can neither run nor
    call home even if a browser misread it.

    Args:
        path: the file to write; replaced at once when all of it is there.
        content: what to show.

    Returns:
        `path`.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # everything: the template's suffix is .j2, which jinja2's own rule would not escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metrics, rows = layout(content.summaries)
    html = environment.get_template("report.html.j2").render(
        report=content,
        warning=NOT_FOR_DIAGNOSIS,
        parts=[metrics[start : start + _METRICS_PER_TABLE] for start in range(0, len(metrics), _METRICS_PER_TABLE)],
        rows=rows,
        heading=heading,
        picture=Picture,
        footnotes=[*(notes(content.summaries) if content.summaries else ()), *content.footnotes],
        left_out=content.left_out[:_FILES_SHOWN],
        more_left_out=max(0, len(content.left_out) - _FILES_SHOWN),
    )
    return save_text(path, html)
