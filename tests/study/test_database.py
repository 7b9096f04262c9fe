"""Answers on disk: in turn, once, whole; files that are something else."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import small_study

from medrestore.errors import MedrestoreError
from medrestore.study.database import FILE, Answer, Database, OutOfTurn, people_rated
from medrestore.study.design import practice
from medrestore.study.manifest import Study, load_study, picture_path
from medrestore.study.raters import Rater, load_roster

RATER = Rater("r1")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(tmp_path)


def answer(number: int, score: int) -> Answer:
    return Answer(number, score, 1500, 1600, 900, 1.0)


def test_answers_come_back_in_order(tmp_path: Path, study: Study) -> None:
    database = Database(tmp_path, study)
    trials = practice(study, "r1", 1)
    for number, score in enumerate([3, 5, 1]):
        assert database.record(RATER, trials[number], answer(number, score))
    database.close()
    again = Database(tmp_path, study)
    assert again.scores(RATER) == [3, 5, 1] and again.scores(Rater("r2")) == []
    vote = again.votes()[1]
    assert (vote.rater, vote.number, vote.trial, vote.score) == (RATER, 1, trials[1], 5)
    assert (vote.viewing_ms, vote.width, vote.height, vote.ratio) == (1500, 1600, 900, 1.0)
    again.close()


def test_an_answer_counts_once_and_in_its_turn(tmp_path: Path, study: Study) -> None:
    database = Database(tmp_path, study)
    trial = practice(study, "r1", 1)[0]
    assert database.record(RATER, trial, answer(0, 4)) is True
    assert database.record(RATER, trial, answer(0, 4)) is False  # sent again after a lost connection
    for late in (answer(0, 5), answer(2, 4)):
        with pytest.raises(OutOfTurn):
            database.record(RATER, trial, late)
    assert database.scores(RATER) == [4]
    for wrong in (0, 6, 2.5):
        with pytest.raises(sqlite3.IntegrityError):
            database.record(RATER, trial, replace(answer(1, 3), score=wrong))
    assert database.scores(RATER) == [4] and len(database.votes()) == 1
    database.close()


def test_commits_are_on_the_disk(tmp_path: Path, study: Study) -> None:
    database = Database(tmp_path, study)
    read = database._connection.execute
    assert read("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert read("PRAGMA journal_mode").fetchone()[0] == "wal"
    database.close()


def test_simulated_raters_are_forgotten_and_people_are_not(tmp_path: Path, study: Study) -> None:
    database = Database(tmp_path, study)
    trial = practice(study, "r1", 1)[0]
    database.record(Rater("sim-001", True), trial, answer(0, 3))
    assert not people_rated(tmp_path)
    database.record(RATER, trial, answer(0, 4))
    assert people_rated(tmp_path)
    assert database.forget_simulated() == 1
    assert [vote.rater for vote in database.votes()] == [RATER]
    database.close()


def test_a_database_of_another_study_is_refused(tmp_path: Path, study: Study) -> None:
    Database(tmp_path, study).close()
    other = replace(study, seed=1)
    with pytest.raises(MedrestoreError, match=f"holds the ratings of study {study.id}, not of {other.id}"):
        Database(tmp_path, other)


@pytest.mark.parametrize("content", [b"rater,score\nr1,5\n" * 40, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, study: Study, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(MedrestoreError, match="cannot be used as a database"):
        Database(tmp_path, study)
    assert people_rated(tmp_path)  # nobody knows, so it is not overwritten


def test_a_study_comes_back_as_it_was_and_changes_are_seen(tmp_path: Path, study: Study) -> None:
    assert load_study(tmp_path).id == study.id
    path = picture_path(tmp_path, study.stimuli[3])
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(MedrestoreError, match="was changed since the study was built"):
        load_study(tmp_path)
    path.unlink()
    with pytest.raises(MedrestoreError, match="is missing since the study was built"):
        load_study(tmp_path)
    path.write_bytes(data)
    manifest = tmp_path / "study.json"
    manifest.write_text(manifest.read_text().replace("pretrained", "restored", 1))
    with pytest.raises(MedrestoreError, match="damaged or was changed by hand"):
        load_study(tmp_path)
    with pytest.raises(MedrestoreError, match="is no study"):
        load_study(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rater,token\nr1,abcdefghijklmnopqrst\nr2,abc", "line 3: .* cut short"),
        ("rater,token\nr1,abcdefghijklmnopqrst\nr1,bbcdefghijklmnopqrst\n", "line 3: r1 or its token is there twice"),
        ("rater,token\n", "names no rater"),
        ("rater,token\n=cmd(),abcdefghijklmnopqrst\n", "line 2"),
    ],
)
def test_a_damaged_list_of_raters_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "raters.csv").write_text(text)
    with pytest.raises(MedrestoreError, match=told):
        load_roster(tmp_path)
