"""From scenes with every method's picture to a study on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from medrestore import __version__
from medrestore.errors import MedrestoreError
from medrestore.study.database import FILE, people_rated
from medrestore.study.design import session
from medrestore.study.manifest import (
    ANCHOR,
    REFERENCE,
    SIMULATION,
    Plan,
    Purpose,
    Row,
    Stimulus,
    Study,
    picture_path,
    save_study,
)
from medrestore.study.raters import new_roster, save_roster
from medrestore.study.stimuli import Levels, central, pixelated, png

PRACTICE_SCENES = 2
LEAST_SCENES = PRACTICE_SCENES + 3  # with three rated ones every choice of repeats has an order
_SECONDS_A_PICTURE, _LONGEST_MINUTES = 7, 30  # ITU-T P.910: half an hour at most


@dataclass(frozen=True)
class Scene:
    """One test image: its key, the hashed group, and the picture of each row, the truth as `reference`."""

    key: str
    group: str
    pictures: Mapping[str, Levels]


@dataclass(frozen=True)
class Settings:
    """How a study is made.

    Attributes:
        title: what raters read first.
        question: what they are asked about each picture.
        seed: of orders and repeats.
        repeats: share of the rated pictures shown twice, for the agreement of a rater with himself.
        anchors: strongly degraded pictures hidden in the session.
        practice: pictures that show the range.
        crop: larger pictures are cut to their middle of this many pixels; None = never.
        raters: number of personal links.
        min_screen: smallest screen in CSS pixels.
    """

    title: str
    question: str
    seed: int
    repeats: float
    anchors: int
    practice: int
    crop: int | None
    raters: int
    min_screen: tuple[int, int] = (1280, 720)


def assemble(
    directory: Path, scenes: Iterable[Scene], rows: Sequence[Row], settings: Settings, run: Mapping[str, str]
) -> Study:
    """Write pictures, raters' links and, last, the manifest that makes the directory a study.

    Args:
        directory: of the study; one that holds ratings of people is refused.
        scenes: streamed, one in memory at a time; the first ones are for practice.
        rows: the methods without the hidden reference.
        settings: how.
        run: what the manifest tells of the evaluation.

    Raises:
        MedrestoreError: too few scenes, or a study with ratings is in the way.
    """
    make_room(directory)
    stimuli: list[Stimulus] = []
    count = 0
    for scene in scenes:
        rated = count >= PRACTICE_SCENES
        anchored = not rated or count < PRACTICE_SCENES + settings.anchors
        for method in [*(row.name for row in rows), REFERENCE, *([ANCHOR] if anchored else [])]:
            levels = scene.pictures[REFERENCE if method == ANCHOR else method]
            levels = central(levels, settings.crop)
            purpose: Purpose = "practice" if not rated else "anchor" if method == ANCHOR else "rated"
            stimuli.append(_write(directory, scene, method, purpose, levels, settings.seed))
        count += 1
    if count < LEAST_SCENES:
        raise MedrestoreError(
            f"a study needs at least {LEAST_SCENES} test images with truth, {PRACTICE_SCENES} of them for practice: "
            f"found {count}; evaluate more images"
        )
    rated_count = sum(stimulus.purpose == "rated" for stimulus in stimuli)
    study = Study(
        title=settings.title,
        question=settings.question,
        seed=settings.seed,
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
        version=__version__,
        run={**run, "crop": "none" if settings.crop is None else str(settings.crop)},
        rows=(*rows, Row(REFERENCE, "truth", "hidden reference")),
        plan=Plan(settings.practice, repeats=round(settings.repeats * rated_count), min_screen=settings.min_screen),
        stimuli=tuple(stimuli),
    )
    save_roster(directory, new_roster(settings.raters))
    save_study(directory, study)
    return study


def make_room(directory: Path) -> None:
    """Remove an older study that no person has rated yet; simulated ratings go with it.

    Raises:
        MedrestoreError: it was rated, or the folder holds something else.
    """
    if people_rated(directory):
        raise MedrestoreError(f"output={directory} holds ratings already: type another output=, they must not be mixed")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "study.json").exists():
        if {entry.name for entry in directory.iterdir()} - {"stimuli", "raters.csv"}:
            raise MedrestoreError(f"output={directory} holds other files: type an empty or new folder")
    for name in ("study.json", "standalone.html", SIMULATION, FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (directory / name).unlink(missing_ok=True)
    (directory / "stimuli").mkdir(parents=True, exist_ok=True)
    for picture in (directory / "stimuli").glob("*.png"):
        picture.unlink()


def minutes(study: Study) -> float:
    """How long a session takes, at seven seconds a picture."""
    return _SECONDS_A_PICTURE * len(session(study, "a rater")) / 60


def length_note(study: Study) -> str | None:
    """What to do when a session is too long; None when it is not."""
    if minutes(study) <= _LONGEST_MINUTES:
        return None
    return f"a session takes about {minutes(study):.0f} minutes, {_LONGEST_MINUTES} are the most: type scenes= smaller"


def _write(directory: Path, scene: Scene, method: str, purpose: Purpose, levels: Levels, seed: int) -> Stimulus:
    if method == ANCHOR:
        levels = pixelated(levels)
    data = png(levels)
    stimulus = Stimulus(
        id=hashlib.sha256(f"{seed}\n{scene.key}\n{method}".encode("utf-8", "surrogateescape")).hexdigest()[:16],
        scene=scene.key,
        group=scene.group,
        method=method,
        purpose=purpose,
        sha256=hashlib.sha256(data).hexdigest(),
        width=levels.shape[1],
        height=levels.shape[0],
    )
    picture_path(directory, stimulus).write_bytes(data)
    return stimulus
