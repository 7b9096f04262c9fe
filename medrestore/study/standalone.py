"""A study as one HTML file for places without a server; its answers come back as a file."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import save_text
from medrestore.study.database import Answer, Database, OutOfTurn
from medrestore.study.design import GATE_HIGH, GATE_LOW, place, practice, session
from medrestore.study.manifest import ANCHOR, REFERENCE, Study, picture_path
from medrestore.study.raters import Rater, Roster

_PAGES = Path(__file__).with_name("pages")
_MOST_BYTES = 10_000_000  # of an answers file
_FIELDS = {"number": int, "score": int, "viewing_ms": int, "width": int, "height": int, "ratio": (int, float)}


def write_standalone(directory: Path, study: Study, roster: Roster) -> Path:
    """Write `standalone.html`: page, pictures and every rater's order in one file that loads nothing.

    A rater types the code; methods are not named in it, and scenes neither.
    """
    index = {stimulus.id: number for number, stimulus in enumerate(study.stimuli)}
    attempts = range(1, study.plan.attempts + 1)
    data = {
        "study": study.id,
        "title": study.title,
        "question": study.question,
        "minimum": list(study.plan.min_screen),
        "low": GATE_LOW,
        "high": GATE_HIGH,
        "gates": {
            str(index[s.id]): "high" if s.method == REFERENCE else "low"
            for s in study.of("practice")
            if s.method in (REFERENCE, ANCHOR)
        },
        "roster": {
            rater.code: {
                "practice": [[index[t.stimulus] for t in practice(study, rater.code, attempt)] for attempt in attempts],
                "session": [index[t.stimulus] for t in session(study, rater.code)],
            }
            for rater in roster.values()
        },
        "images": [b64encode(picture_path(directory, s).read_bytes()).decode() for s in study.stimuli],
    }
    page, style, script = ((_PAGES / f"study.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    safe = json.dumps(data).replace("<", "\\u003c")  # a title cannot end the script element
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    pieces = {
        '<meta charset="utf-8">': f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" '
        f'content="{policy}">',
        '<link rel="stylesheet" href="/assets/study.css">': f"<style>\n{style}</style>",
        '<script src="/assets/study.js" defer></script>': "",
        "</body>": f'<script type="application/json" id="study-data">{safe}</script>\n'
        f"<script>{script}</script>\n</body>",
    }
    for mark, content in pieces.items():
        assert mark in page, mark
        page = page.replace(mark, content, 1)
    return save_text(directory / "standalone.html", page)


def answer_files(where: Path) -> list[Path]:
    """The answers files of a folder, or the one file named.

    Raises:
        MedrestoreError: none there.
    """
    files = sorted(where.glob("*.json")) if where.is_dir() else [where]
    if not files or not files[0].is_file():
        raise MedrestoreError(f"answers={where}: no answers file (*.json) there")
    return files


def import_answers(files: Iterable[Path], study: Study, roster: Roster, database: Database) -> list[str]:
    """Put answers files into the database; one that is there already is left as it is.

    Returns:
        A line a file.

    Raises:
        MedrestoreError: a file that is cut short, of another study, of an unknown rater, or with wrong answers.
            Files before it stay imported.
    """
    by_code = {rater.code: rater for rater in roster.values()}
    lines = []
    for path in files:
        rater, answers = _read(path, study, by_code)
        scores: list[int] = []
        for answer in answers:
            if place(study, rater.code, scores).trial is None:
                raise MedrestoreError(f"'{path}' has {len(answers)} answers, its session ends after {len(scores)}")
            scores.append(answer.score)
        phase = place(study, rater.code, scores).phase
        if phase in ("practice", "main"):
            raise MedrestoreError(f"'{path}' ends in the middle of the session of {rater.code}: ask for the whole file")
        new = 0
        for answer in answers:
            trial = place(study, rater.code, scores[: answer.number]).trial
            assert trial is not None
            try:
                new += database.record(rater, trial, answer, "file")
            except OutOfTurn:
                raise MedrestoreError(
                    f"'{path}': {rater.code} has answered picture {answer.number} differently before; "
                    "keep one of the two, and give every rater a code of his own"
                ) from None
        lines.append(f"{path.name}: {new} answers of {rater.code}" + ("" if new else ", which were there already"))
    return lines


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _read(path: Path, study: Study, by_code: Mapping[str, Rater]) -> tuple[Rater, list[Answer]]:
    """What a file says, checked field by field: it was in other hands."""
    if path.stat().st_size > _MOST_BYTES:
        raise MedrestoreError(f"'{path}' is no answers file: it has {path.stat().st_size} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except ValueError:
        raise MedrestoreError(f"'{path}' ends too early or is no answers file: ask for it again") from None
    votes = content.get("votes") if isinstance(content, dict) else None
    if not isinstance(votes, list) or content.get("format") != 1:
        raise MedrestoreError(f"'{path}' is no answers file of this version: ask for it again")
    if content.get("study") != study.id:
        raise MedrestoreError(f"'{path}' is of study {str(content.get('study'))[:32]!r}, not of {study.id}")
    rater = by_code.get(str(content.get("rater")))
    if rater is None:
        raise MedrestoreError(f"'{path}' is of rater {str(content.get('rater'))[:32]!r}, whom raters.csv does not name")
    if content.get("count") != len(votes) or content.get("end") != "complete":
        raise MedrestoreError(f"'{path}' is cut short: it has {len(votes)} of {content.get('count')} answers")
    return rater, [_answer(path, number, vote) for number, vote in enumerate(votes)]


def _answer(path: Path, number: int, vote: Any) -> Answer:
    if not isinstance(vote, dict) or set(vote) != set(_FIELDS):
        raise MedrestoreError(f"'{path}', answer {number}: its fields are not {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        if not isinstance(vote[name], kind) or isinstance(vote[name], bool):
            raise MedrestoreError(f"'{path}', answer {number}: {name} is {vote[name]!r}, not a number")
    if vote["number"] != number or not 1 <= vote["score"] <= 5:
        raise MedrestoreError(f"'{path}', answer {number}: number {vote['number']}, score {vote['score']}; 1 to 5 are")
    if min(vote["viewing_ms"], vote["width"], vote["height"], vote["ratio"]) < 0 or vote["viewing_ms"] > 86_400_000:
        raise MedrestoreError(f"'{path}', answer {number}: a size or time that cannot be")
    return Answer(**vote)
