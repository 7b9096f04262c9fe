"""Answers files: a whole one counts, anything else is one clear line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_study import ROWS, small_study

from medrestore.errors import MedrestoreError
from medrestore.study.database import Database
from medrestore.study.design import place
from medrestore.study.manifest import ANCHOR, REFERENCE, Study
from medrestore.study.raters import load_roster
from medrestore.study.standalone import answer_files, import_answers, write_standalone


def whole_file(study: Study, code: str) -> dict[str, Any]:
    scores: list[int] = []
    votes = []
    while (now := place(study, code, scores)).trial is not None:
        score = {REFERENCE: 5, ANCHOR: 1}.get(study.by_id[now.trial.stimulus].method, 3)
        votes.append(
            {"number": now.number, "score": score, "viewing_ms": 1200, "width": 1600, "height": 900, "ratio": 1.25}
        )
        scores.append(score)
    return {"format": 1, "study": study.id, "rater": code, "count": len(votes), "votes": votes, "end": "complete"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(tmp_path, count=5)


def imported(directory: Path, study: Study, text: str) -> list[str]:
    path = directory / "answers.json"
    path.write_text(text, encoding="utf-8")
    database = Database(directory, study)
    try:
        return import_answers(answer_files(path), study, load_roster(directory), database)
    finally:
        database.close()


def test_a_whole_file_counts_once(tmp_path: Path, study: Study) -> None:
    rater = next(iter(load_roster(tmp_path).values()))
    file = whole_file(study, rater.code)
    assert imported(tmp_path, study, json.dumps(file)) == [f"answers.json: {file['count']} answers of {rater.code}"]
    assert "were there already" in imported(tmp_path, study, json.dumps(file))[0]
    database = Database(tmp_path, study)
    assert place(study, rater.code, database.scores(rater)).phase == "finished"
    assert len(database.votes()) == file["count"]
    database.close()


def vote(at: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda file: file["votes"][at].update(fields)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file["votes"].pop(), "is cut short: it has"),
        (lambda file: file.pop("end"), "is cut short"),
        (lambda file: file.update(votes=file["votes"][:20], count=20), "ends in the middle of the session"),
        (lambda file: file.update(study="0" * 16), "is of study '0000000000000000', not of"),
        (lambda file: file.update(rater="=cmd|'/c calc'!A0"), "whom raters.csv does not name"),
        (lambda file: file.update(rater="<script>"), "whom raters.csv does not name"),
        (lambda file: file.update(votes="abc"), "no answers file of this version"),
        (vote(3, score=6), "answer 3: number 3, score 6"),
        (vote(3, score=0), "answer 3: number 3, score 0"),
        (vote(3, score="4"), "answer 3: score is '4', not a number"),
        (vote(3, score=True), "answer 3: score is True, not a number"),
        (vote(3, number=4), "answer 3: number 4"),
        (vote(3, viewing_ms=-5), "answer 3: a size or time"),
        (vote(3, name="x"), "answer 3: its fields are not"),
        (lambda file: file["votes"].append(file["votes"][-1] | {"number": file["count"]}), "is cut short"),
        (
            lambda file: file.update(
                votes=[*file["votes"], file["votes"][-1] | {"number": file["count"]}], count=file["count"] + 1
            ),
            "its session ends after",
        ),
    ],
)
def test_a_file_that_is_not_right_is_one_line_and_leaves_nothing(
    tmp_path: Path, study: Study, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    file = whole_file(study, next(iter(load_roster(tmp_path).values())).code)
    change(file)
    with pytest.raises(MedrestoreError, match=re.escape(told)) as error:
        imported(tmp_path, study, json.dumps(file))
    assert len(str(error.value).splitlines()) == 1
    database = Database(tmp_path, study)
    assert database.votes() == []
    database.close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_file_cut_short_is_one_line(tmp_path: Path, study: Study, share: float) -> None:
    text = json.dumps(whole_file(study, next(iter(load_roster(tmp_path).values())).code))
    with pytest.raises(MedrestoreError, match="ends too early or is no answers file"):
        imported(tmp_path, study, text[: int(share * len(text))])


def test_other_answers_of_the_same_rater_are_refused(tmp_path: Path, study: Study) -> None:
    rater = next(iter(load_roster(tmp_path).values()))
    file = whole_file(study, rater.code)
    imported(tmp_path, study, json.dumps(file))
    file["votes"][-1]["score"] = 4
    with pytest.raises(MedrestoreError, match=r"has answered picture .* differently before"):
        imported(tmp_path, study, json.dumps(file))


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MedrestoreError, match="no answers file"):
        answer_files(tmp_path)


def test_the_page_is_whole_and_says_no_method(tmp_path: Path) -> None:
    study = small_study(tmp_path, count=5, title="</script><script>alert(1)</script>")
    page = write_standalone(tmp_path, study, load_roster(tmp_path)).read_text(encoding="utf-8")
    assert page.count("<script") == 2 and "<script>alert" not in page
    assert not re.search(r"(src|href)=\"/", page)
    outside = page.split('id="study-data">')[1].split("</script>")[0]
    data = json.loads(outside)
    assert len(data["images"]) == len(study.stimuli) and data["title"] == study.title
    for name in [row.name for row in ROWS] + [s.scene for s in study.stimuli] + [s.id for s in study.stimuli]:
        assert name not in page
