"""What the raters said: screening, opinion scores, tests, files and a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medrestore import __version__
from medrestore.errors import MedrestoreError
from medrestore.evaluation.report import Report, write_report
from medrestore.evaluation.tables import save_text
from medrestore.study.database import Vote
from medrestore.study.manifest import REFERENCE, Study
from medrestore.study.opinions import Agreement, Opinion, Pair, agreement, differential, opinion, paired_tests, pooled
from medrestore.study.ratings import Ratings, any_finished, cell, collect, write_ratings
from medrestore.study.screening import Verdict, screen
from medrestore.study.sections import paper_figures, sections, verdict

SIMULATED = "SIMULATED RATERS: no person looked at these pictures"


@dataclass(frozen=True)
class Analysis:
    """What was found.

    Attributes:
        study: of which.
        ratings: the complete sessions.
        verdicts: on every rater, in the order of `ratings.raters`.
        scores: `(scenes, raters)` of the counted raters by row, the hidden reference last.
        groups: group of each scene.
        mos: mean opinion by row.
        dmos: mean differential score by row, without the reference.
        pairs: rows held against each other.
        single: agreement of one rater with another.
        mean: of the mean of all; both None with fewer than two raters.
    """

    study: Study
    ratings: Ratings
    verdicts: Sequence[Verdict]
    scores: Mapping[str, NDArray[np.float64]]
    groups: Sequence[str]
    mos: Mapping[str, Opinion]
    dmos: Mapping[str, Opinion]
    pairs: Sequence[Pair]
    single: Agreement | None
    mean: Agreement | None

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of every row."""
        return {row.name: row.kind for row in self.study.rows}

    @property
    def counted(self) -> int:
        """Number of raters whose scores count."""
        return sum(verdict.counted for verdict in self.verdicts)


def analyse(directory: Path, study: Study, votes: Sequence[Vote], who: str) -> Path:
    """Analyse the ratings and write `analysis/`: report.html, ratings.csv, opinions.csv, pictures.csv, raters.csv.

    Args:
        directory: of the study.
        study: what was rated.
        votes: all of them; people and simulated raters are never mixed.
        who: `people`, `simulated`, or `auto`: people when one has finished or there are no simulated raters.

    Returns:
        The report.

    Raises:
        MedrestoreError: nobody finished, or none of those who did can be counted.
    """
    if who not in ("auto", "people", "simulated"):
        raise MedrestoreError(f"who={who} is none of auto, people, simulated")
    simulated = who == "simulated"
    people = [vote for vote in votes if not vote.rater.simulated]
    if who == "auto" and len(people) < len(votes) and not any_finished(study, people):
        simulated = True
        if people:
            begun = len({vote.rater for vote in people})
            print(f"note: no person has finished yet ({begun} have begun); who=people looks at them alone")
    found = examine(study, collect(study, votes, simulated))
    output = directory / "analysis"
    write_ratings(output / "ratings.csv", study, [vote for vote in votes if vote.rater.simulated == simulated])
    _write_opinions(output / "opinions.csv", found)
    _write_pictures(output / "pictures.csv", found)
    _write_raters(output / "raters.csv", found)
    mark = SIMULATED if simulated else ""
    told = verdict(found)
    for line in [*([mark] if mark else []), *told]:
        print(line)
    about = study.run
    report = Report(
        title=f"{'SIMULATED ' if simulated else ''}Opinion study: {about.get('experiment') or study.title}",
        created=datetime.now().astimezone().isoformat(timespec="minutes"),
        version=__version__,
        command=f"python -m medrestore.study action=analyse output={directory} who={who}",
        verdict=[*([f"{mark}. Nothing here says anything about the methods."] if mark else []), *told],
        sections=sections(found, mark, directory),
        dataset=", ".join(
            f"{name} {about[name]}" for name in ("dataset", "window", "scale", "crop") if about.get(name)
        ),
    )
    return write_report(output / "report.html", report)


def examine(study: Study, ratings: Ratings) -> Analysis:
    """Screen the raters and compute everything from those who count.

    Raises:
        MedrestoreError: no rater can be counted.
    """
    verdicts = screen(ratings.scores, ratings.viewing_ms, ratings.retests)
    keep = [index for index, entry in enumerate(verdicts) if entry.counted]
    if not keep:
        raise MedrestoreError(f"none of the {len(verdicts)} raters who finished can be counted: ask more people")
    scores: dict[str, NDArray[np.float64]] = {}
    groups: list[str] = []
    for row in study.rows:
        _, groups, values = ratings.of(row.name)
        scores[row.name] = values[:, keep]
    mos = {name: pooled(values, groups, study.seed) for name, values in scores.items()}
    dmos = {
        name: pooled(differential(values, scores[REFERENCE]), groups, study.seed)
        for name, values in scores.items()
        if name != REFERENCE
    }
    pairs = paired_tests({name: values.mean(axis=1) for name, values in scores.items()}, groups)
    single, mean = agreement(np.concatenate(list(scores.values()))) if len(keep) > 1 else (None, None)
    return Analysis(study, ratings, verdicts, scores, groups, mos, dmos, pairs, single, mean)


def _write_opinions(path: Path, found: Analysis) -> None:
    header = (
        "simulated method kind mos mos_low mos_high sd_scenes dmos dmos_low dmos_high scenes raters ratings paper_mos"
    )
    paper = paper_figures(found)
    rows = []
    for name, mos in found.mos.items():
        dmos = found.dmos.get(name)
        differences = [None] * 3 if dmos is None else [dmos.mean, dmos.low, dmos.high]
        row = [int(found.ratings.simulated), name, found.kinds[name], mos.mean, mos.low, mos.high, mos.sd, *differences]
        rows.append([*row, len(found.groups), found.counted, mos.n, paper[name].mean if name in paper else None])
    _write(path, header.split(), rows)


def _write_pictures(path: Path, found: Analysis) -> None:
    """Every picture by itself, with the interval over raters."""
    rows = []
    for name, values in found.scores.items():
        scenes, groups, _ = found.ratings.of(name)
        differences = differential(values, found.scores[REFERENCE])
        for scene, group, scores, change in zip(scenes, groups, values, differences, strict=True):
            mos, dmos = opinion(scores), opinion(change)
            row = [int(found.ratings.simulated), scene, group, name, mos.mean, mos.sd, mos.low, mos.high]
            rows.append([*row, *((None, None, None) if name == REFERENCE else (dmos.mean, dmos.low, dmos.high)), mos.n])
    header = "simulated scene group method mos sd mos_low mos_high dmos dmos_low dmos_high raters"
    _write(path, header.split(), rows)


def _write_raters(path: Path, found: Analysis) -> None:
    rows: list[list[Any]] = []
    ratings = found.ratings
    for code, entry, time in zip(ratings.raters, found.verdicts, ratings.viewing_ms, strict=True):
        told = "counted" if entry.counted else entry.fault or "outlier"
        rows.append(
            [int(ratings.simulated), code, told, entry.correlation, entry.bias, entry.retest, time, int(entry.hasty)]
        )
    rows += [[int(ratings.simulated), code, "unfinished"] + [None] * 5 for code in ratings.unfinished]
    rows += [[int(ratings.simulated), code, "practice not passed"] + [None] * 5 for code in ratings.locked]
    _write(path, "simulated rater verdict correlation bias retest_change median_viewing_ms hasty".split(), rows)


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else cell(value) for value in row] for row in rows)
    save_text(path, text.getvalue())
