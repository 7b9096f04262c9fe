"""The ratings on disk: SQLite, one row an answer, on the disk before anyone is told that it is saved."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError
from medrestore.study.design import Trial
from medrestore.study.manifest import Study
from medrestore.study.raters import Rater

FILE = "ratings.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    rater TEXT PRIMARY KEY, simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)), way TEXT NOT NULL,
    started TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS votes (
    rater TEXT NOT NULL REFERENCES raters (rater), number INTEGER NOT NULL CHECK (number >= 0),
    stimulus TEXT NOT NULL, block TEXT NOT NULL, repeat INTEGER NOT NULL,
    score INTEGER NOT NULL CHECK (score BETWEEN 1 AND 5 AND typeof(score) = 'integer'),
    viewing_ms INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, ratio REAL NOT NULL,
    received TEXT NOT NULL, PRIMARY KEY (rater, number)
);
"""


@dataclass(frozen=True)
class Answer:
    """What a browser says about one picture.

    Attributes:
        number: which answer of this rater it is, from 0.
        score: 1 (Bad) to 5 (Excellent).
        viewing_ms: how long the picture was in view.
        width: of the window's inside, CSS pixels.
        height: of the window's inside.
        ratio: device pixels a CSS pixel.
    """

    number: int
    score: int
    viewing_ms: int
    width: int
    height: int
    ratio: float


@dataclass(frozen=True)
class Vote:
    """A stored answer: who, which, on what, and the answer itself."""

    rater: Rater
    number: int
    trial: Trial
    score: int
    viewing_ms: int
    width: int
    height: int
    ratio: float
    received: str


class OutOfTurn(Exception):
    """An answer to a picture that was answered differently before, or is not yet to be shown."""


def people_rated(directory: Path) -> bool:
    """Whether a study's folder holds answers of people; a file that cannot be read may hold some."""
    path = directory / FILE
    if not path.is_file():
        return False
    try:
        connection = sqlite3.connect(path, timeout=5)
        try:
            return bool(connection.execute("SELECT count(*) FROM raters WHERE simulated = 0").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return True


class Database:
    """The ratings of one study.

    Args:
        directory: of the study; `ratings.sqlite` is made there.
        study: what the ratings must belong to.

    Raises:
        MedrestoreError: a file of another study, or one that is no such database.
    """

    def __init__(self, directory: Path, study: Study) -> None:
        self.path = directory / FILE
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # a commit returns when the disk has it
            self._connection.execute("PRAGMA foreign_keys = ON")
            with self._writing() as connection:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('study', ?)", (study.id,))
                found = connection.execute("SELECT value FROM meta WHERE key = 'study'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise MedrestoreError(
                f"'{self.path}' cannot be used as a database ({error}): put a copy of it back or move it away"
            ) from None
        if found != study.id:
            self._connection.close()
            raise MedrestoreError(
                f"'{self.path}' holds the ratings of study {found}, not of {study.id}: move it to its own study"
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nothing of it stays when it fails."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def scores(self, rater: Rater) -> list[int]:
        """A rater's scores in the order given."""
        with self._lock:
            rows = self._connection.execute("SELECT score FROM votes WHERE rater = ? ORDER BY number", (rater.code,))
            return [score for (score,) in rows]

    def record(self, rater: Rater, trial: Trial, answer: Answer, way: str = "server") -> bool:
        """Store one answer; when this returns, it is on the disk.

        Args:
            rater: whose.
            trial: what it is about.
            answer: the answer; its number must be the number of answers so far.
            way: `server` or `file`.

        Returns:
            Whether it is new; False = the same answer was there, as after a lost connection.

        Raises:
            OutOfTurn: another score was given before, or answers before it are missing.
        """
        with self._writing() as connection:
            query = "SELECT score FROM votes WHERE rater = ? ORDER BY number"
            scores = [score for (score,) in connection.execute(query, (rater.code,))]
            if answer.number < len(scores):
                if scores[answer.number] == answer.score:
                    return False
                raise OutOfTurn(f"picture {answer.number} was rated already")
            if answer.number > len(scores):
                raise OutOfTurn(f"picture {answer.number} is not yet to be rated: {len(scores)} were")
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            connection.execute(
                "INSERT OR IGNORE INTO raters VALUES (?, ?, ?, ?)", (rater.code, int(rater.simulated), way, now)
            )
            values: tuple[Any, ...] = (rater.code, answer.number, trial.stimulus, trial.block, int(trial.repeat))
            values += (answer.score, answer.viewing_ms, answer.width, answer.height, answer.ratio, now)
            connection.execute(f"INSERT INTO votes VALUES ({', '.join('?' * len(values))})", values)
        return True

    def votes(self) -> list[Vote]:
        """All answers, by rater and number."""
        query = """SELECT raters.rater, simulated, number, stimulus, block, repeat, score, viewing_ms, width, height,
            ratio, received FROM votes JOIN raters USING (rater) ORDER BY raters.rater, number"""
        with self._lock:
            rows = self._connection.execute(query).fetchall()
        return [
            Vote(Rater(row[0], bool(row[1])), row[2], Trial(row[3], row[4], bool(row[5])), *row[6:]) for row in rows
        ]

    def forget_simulated(self) -> int:
        """Remove the ratings of simulated raters, and of nobody else; the number of raters removed."""
        with self._writing() as connection:
            connection.execute("DELETE FROM votes WHERE rater IN (SELECT rater FROM raters WHERE simulated = 1)")
            return connection.execute("DELETE FROM raters WHERE simulated = 1").rowcount
