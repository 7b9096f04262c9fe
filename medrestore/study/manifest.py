"""What a study consists of, as it lies in `study.json`: never sent to a browser, for it says which method is which."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import save_text

FORMAT = 1
REFERENCE = "reference"  # the hidden reference: the truth, rated unmarked among the others
ANCHOR = "anchor"  # the strongly degraded picture that nobody can find good
SIMULATION = "simulation.json"  # taste and faults of simulated raters
Purpose = Literal["rated", "anchor", "practice"]


@dataclass(frozen=True)
class Row:
    """A method of the study.

    Attributes:
        name: as in the evaluation's table, or `reference`.
        kind: reference row, classical, learned, `truth` for the hidden reference.
        note: why it is there, such as "best interpolation on validation".
    """

    name: str
    kind: str
    note: str


@dataclass(frozen=True)
class Stimulus:
    """One picture.

    Attributes:
        id: 16 hex digits; its file is `stimuli/<id>.png`.
        scene: key of the test image it shows.
        group: hashed patient or scene of that image.
        method: the row that made it, `reference` or `anchor`.
        purpose: `rated` for the result, `anchor` for attention, `practice` for the block before.
        sha256: of the file.
        width: in pixels.
        height: in pixels.
    """

    id: str
    scene: str
    group: str
    method: str
    purpose: Purpose
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class Plan:
    """How a session goes.

    Attributes:
        practice: pictures that show the range, before the gates are added.
        attempts: how often the practice may be repeated before the rater is turned away.
        stabilising: pictures at the start of the session whose ratings are dropped.
        repeats: pictures that are shown twice.
        min_screen: smallest screen in CSS pixels, width and height.
    """

    practice: int = 5
    attempts: int = 3
    stabilising: int = 2
    repeats: int = 5
    min_screen: tuple[int, int] = (1280, 720)


@dataclass(frozen=True, eq=False)  # compared by its id; hashed as the object it is, for the cache of orders
class Study:
    """A study.

    Attributes:
        title: what raters read above the instructions.
        question: what they are asked about each picture.
        seed: of scenes, orders and repeats.
        created: date and time.
        version: of the package.
        run: experiment, paper, budget, dataset, patients, window and conditions hash of the evaluation, and the crop.
        rows: the methods, the hidden reference last.
        plan: how a session goes.
        stimuli: the pictures.
    """

    title: str
    question: str
    seed: int
    created: str
    version: str
    run: Mapping[str, str]
    rows: tuple[Row, ...]
    plan: Plan
    stimuli: tuple[Stimulus, ...]

    @cached_property
    def id(self) -> str:
        """16 hex digits of everything above: a database or an answers file of another study has another."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def by_id(self) -> dict[str, Stimulus]:
        """The pictures by their ids."""
        return {stimulus.id: stimulus for stimulus in self.stimuli}

    def of(self, purpose: Purpose) -> list[Stimulus]:
        """The pictures of a purpose, in the order of the manifest."""
        return [stimulus for stimulus in self.stimuli if stimulus.purpose == purpose]


def save_study(directory: Path, study: Study) -> Path:
    """Write `study.json`, which makes the directory a study."""
    content = {"format": FORMAT, "id": study.id, **asdict(study)}
    return save_text(directory / "study.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_study(directory: Path, check_pictures: bool = True) -> Study:
    """Read a study and check that nothing of it was changed.

    Args:
        directory: as `build` wrote it.
        check_pictures: whether the pictures' hashes are compared.

    Raises:
        MedrestoreError: no study there, a file that was changed, a picture that is missing or was changed.
    """
    path = directory / "study.json"
    if not path.is_file():
        raise MedrestoreError(f"output={directory} is no study: it has no study.json; type action=build run=DIR first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        study = _study(content)
        if content["format"] != FORMAT or content["id"] != study.id:
            raise ValueError("its id does not fit its content")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise MedrestoreError(f"'{path}' is damaged or was changed by hand: build the study again") from None
    if check_pictures:
        for stimulus in study.stimuli:
            picture = picture_path(directory, stimulus)
            if not picture.is_file() or hashlib.sha256(picture.read_bytes()).hexdigest() != stimulus.sha256:
                what = "was changed" if picture.is_file() else "is missing"
                raise MedrestoreError(f"'{picture}' {what} since the study was built: build it again")
    return study


def picture_path(directory: Path, stimulus: Stimulus) -> Path:
    """Where a picture lies."""
    return directory / "stimuli" / f"{stimulus.id}.png"


def _study(content: Mapping[str, Any]) -> Study:
    plan = dict(content["plan"])
    width, height = plan.pop("min_screen")
    return Study(
        title=content["title"],
        question=content["question"],
        seed=content["seed"],
        created=content["created"],
        version=content["version"],
        run=content["run"],
        rows=tuple(Row(**row) for row in content["rows"]),
        plan=Plan(**plan, min_screen=(width, height)),
        stimuli=tuple(Stimulus(**stimulus) for stimulus in content["stimuli"]),
    )
