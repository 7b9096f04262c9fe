"""The ratings of a study as a table: who is complete, what counts, and the CSV that may be given away."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import save_text
from medrestore.study.database import Vote
from medrestore.study.design import place, trials_of
from medrestore.study.manifest import Stimulus, Study
from medrestore.study.raters import Rater

_FIELDS = "rater simulated number block repeat scene group method score viewing_ms window_width window_height ratio"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that begins so


@dataclass(frozen=True)
class Ratings:
    """The complete sessions of a study.

    Attributes:
        raters: who finished, by code.
        unfinished: codes of those who did not.
        locked: codes of those who did not pass the practice.
        pictures: rated ones and anchors, in the order of the manifest.
        scores: `(pictures, raters)`, the first look at each.
        viewing_ms: median viewing time of each rater.
        retests: first and second score of the pictures each rater saw twice.
        simulated: whether the raters are simulated.
    """

    raters: Sequence[str]
    unfinished: Sequence[str]
    locked: Sequence[str]
    pictures: Sequence[Stimulus]
    scores: NDArray[np.float64]
    viewing_ms: Sequence[float]
    retests: Sequence[Sequence[tuple[int, int]]]
    simulated: bool

    def of(self, method: str) -> tuple[list[str], list[str], NDArray[np.float64]]:
        """Scenes, their groups and the scores `(scenes, raters)` of a row, ordered by scene."""
        chosen = sorted(
            (picture.scene, picture.group, index)
            for index, picture in enumerate(self.pictures)
            if picture.method == method and picture.purpose == "rated"
        )
        scenes, groups = [scene for scene, _, _ in chosen], [group for _, group, _ in chosen]
        return scenes, groups, self.scores[[index for _, _, index in chosen]]


def collect(study: Study, votes: Sequence[Vote], simulated: bool) -> Ratings:
    """Put the votes of people, or of simulated raters, into a table.

    Raises:
        MedrestoreError: nobody finished, or a vote does not fit the plan of the study.
    """
    by_rater: dict[Rater, list[Vote]] = {}
    for vote in votes:
        if vote.rater.simulated == simulated:
            by_rater.setdefault(vote.rater, []).append(vote)
    pictures = [*study.of("rated"), *study.of("anchor")]
    row = {picture.id: index for index, picture in enumerate(pictures)}
    finished: list[str] = []
    unfinished: list[str] = []
    locked: list[str] = []
    columns, times, retests = [], [], []
    for rater, given in sorted(by_rater.items(), key=lambda pair: pair[0].code):
        _check(study, rater, given)
        phase = place(study, rater.code, [vote.score for vote in given]).phase
        if phase != "finished":
            (locked if phase == "locked" else unfinished).append(rater.code)
            continue
        column = np.full(len(pictures), np.nan)
        again = []
        main = [vote for vote in given if vote.trial.block == "main"]
        for vote in main:
            if vote.trial.repeat:
                again.append((int(column[row[vote.trial.stimulus]]), vote.score))
            else:
                column[row[vote.trial.stimulus]] = vote.score
        finished.append(rater.code)
        columns.append(column)
        times.append(float(median(vote.viewing_ms for vote in main)))
        retests.append(again)
    if not finished:
        who = "simulated rater" if simulated else "rater"
        what = f"{len(unfinished)} have begun, {len(locked)} did not pass the practice" if by_rater else "nobody began"
        raise MedrestoreError(f"no {who} has finished ({what}); type action=serve and send the links")
    return Ratings(finished, unfinished, locked, pictures, np.stack(columns, axis=1), times, retests, simulated)


def any_finished(study: Study, votes: Sequence[Vote]) -> bool:
    """Whether one of those who voted has rated to the end."""
    scores: dict[Rater, list[int]] = {}
    for vote in votes:
        scores.setdefault(vote.rater, []).append(vote.score)
    return any(place(study, rater.code, given).phase == "finished" for rater, given in scores.items())


def _check(study: Study, rater: Rater, votes: Sequence[Vote]) -> None:
    """The orders are a function of the plan: a database that tells another one was written by something else."""
    planned = trials_of(study, rater.code, [vote.score for vote in votes])
    numbers = [vote.number for vote in votes]
    if numbers != list(range(len(votes))) or [vote.trial for vote in votes] != planned:
        raise MedrestoreError(
            f"the answers of {rater.code} do not fit the plan of study {study.id}: the database is damaged"
        )


def write_ratings(path: Path, study: Study, votes: Sequence[Vote]) -> Path:
    """Write every answer as CSV, practice and repeats included; a rater is a random code."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS.split())
    for vote in votes:
        picture = study.by_id[vote.trial.stimulus]
        row = [vote.rater.code, int(vote.rater.simulated), vote.number, vote.trial.block, int(vote.trial.repeat)]
        row += [picture.scene, picture.group, picture.method, vote.score, vote.viewing_ms, vote.width, vote.height]
        writer.writerow([cell(value) for value in [*row, vote.ratio]])
    return save_text(path, text.getvalue())


def cell(value: object) -> object:
    """A value for a CSV; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
