"""The server over real HTTP: what it gives, what it refuses, and that no vote is lost."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_study import ROWS, small_study

pytest.importorskip("fastapi", reason="the extra study is not installed")

from medrestore.errors import MedrestoreError
from medrestore.study.database import Database
from medrestore.study.design import place, practice
from medrestore.study.manifest import ANCHOR, REFERENCE, Study, picture_path
from medrestore.study.raters import Rater, load_roster, simulated_roster
from medrestore.study.serve import listen
from medrestore.study.simulate import running

SCRIPT = "<script>alert(1)</script>"


class Served:
    """A running study and a way to ask it."""

    def __init__(self, directory: Path, study: Study, port: int, database: Database) -> None:
        self.directory, self.study, self.port, self.database = directory, study, port, database
        self.roster = load_roster(directory)
        self.token, self.rater = next(iter(self.roster.items()))

    def ask(
        self, path: str, body: bytes | None = None, host: str | None = None
    ) -> tuple[int, http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Host": host} if host else {}
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response, content

    def vote(self, **changed: Any) -> tuple[int, dict[str, Any]]:
        answer = {"number": 0, "score": 3, "viewing_ms": 900, "width": 1600, "height": 900, "ratio": 1.0, **changed}
        status, _, content = self.ask(f"/r/{self.token}/vote", json.dumps(answer).encode())
        return status, json.loads(content)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    study = small_study(tmp_path, title=f"Pictures {SCRIPT}")
    database = Database(tmp_path, study)
    with running(study, tmp_path, load_roster(tmp_path), database) as port:
        yield Served(tmp_path, study, port, database)
    database.close()


def test_a_rater_sees_the_page_the_state_and_the_picture(served: Served) -> None:
    status, response, page = served.ask(f"/r/{served.token}/")
    assert status == 200 and b"study.js" in page
    assert "default-src 'none'" in str(response.headers["Content-Security-Policy"])
    assert response.headers["Referrer-Policy"] == "no-referrer" and response.headers["Cache-Control"] == "no-store"
    state = json.loads(served.ask(f"/r/{served.token}/state")[2])
    first = practice(served.study, served.rater.code, 1)
    assert (state["phase"], state["number"], state["total"]) == ("practice", 0, len(first))
    for number in (0, 1):  # the one to rate, and the next one for loading ahead
        status, response, data = served.ask(f"/r/{served.token}/image/{number}")
        stimulus = served.study.by_id[first[number].stimulus]
        assert status == 200 and response.headers["Content-Type"] == "image/png"
        assert data == picture_path(served.directory, stimulus).read_bytes()


def test_nothing_sent_tells_which_method_a_picture_is_of(served: Served) -> None:
    paths = ["", "state", "image/0", "image/1"]
    answers = [served.ask(f"/r/{served.token}/{path}") for path in paths]
    answers += [served.ask(f"/assets/study.{kind}") for kind in ("js", "css")]
    sent = b"".join(content + str(response.headers).encode() for _, response, content in answers)
    sent += json.dumps(served.vote()[1]).encode()
    secret = [row.name for row in ROWS] + [s.id for s in served.study.stimuli] + [s.scene for s in served.study.stimuli]
    assert not [name for name in secret if name.encode() in sent]


def test_a_title_with_a_script_is_text(served: Served) -> None:
    assert SCRIPT.encode() not in served.ask(f"/r/{served.token}/")[2]  # the page sets it as text
    _, response, content = served.ask(f"/r/{served.token}/state")
    assert response.headers["Content-Type"] == "application/json" and json.loads(content)["title"].endswith(SCRIPT)
    assert "innerHTML" not in (Path(__file__).parents[2] / "medrestore/study/pages/study.js").read_text()


@pytest.mark.parametrize("path", ["", "state", "image/0", "vote"])
def test_an_unknown_token_is_refused(served: Served, path: str) -> None:
    for token in (
        "nobody",
        served.rater.code,
        served.token[:-1],
        served.token + "x",
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "%00",
    ):
        status, _, content = served.ask(f"/r/{token}/{path}", b"{}" if path == "vote" else None)
        assert status == 404 and b"alert" not in content
    assert served.database.votes() == []


@pytest.mark.parametrize(
    "path",
    [
        "/study.json",
        "/raters.csv",
        "/ratings.sqlite",
        "/assets/../manifest.py",
        "/assets/%2e%2e/serve.py",
        "/assets/..%2fserve.py",
        "/../../../../etc/passwd",
        "/r/{token}/../../study.json",
        "/r/{token}/image/../../../study.json",
        "/r/{token}/image/..%2f..%2fstudy.json",
        "/r/{token}/image/%2e%2e%2fraters.csv",
        "/r/{token}/image/-1",
        "/r/{token}/image/0.png",
        "/r/{token}/image/2",
        "/r/{token}/image/99999999999999999999",
        "/openapi.json",
        "/docs",
    ],
)
def test_nothing_but_the_pictures_in_turn_is_given(served: Served, path: str) -> None:
    status, _, content = served.ask(path.format(token=served.token))
    assert status in (404, 405, 409, 422)
    assert b"sha256" not in content and b"root:" not in content and served.token.encode() not in content


def test_a_foreign_page_cannot_reach_it_by_another_name(served: Served) -> None:
    assert served.ask(f"/r/{served.token}/state", host="evil.example")[0] == 400
    assert served.ask(f"/r/{served.token}/state", host=f"localhost:{served.port}")[0] == 200


@pytest.mark.parametrize("score", [0, 6, -1, 2.5, "3", None, True, [3], {"a": 1}, 10**30])
def test_a_wrong_score_is_refused(served: Served, score: Any) -> None:
    status, told = served.vote(score=score)
    assert status == 422 and told["error"].startswith("score: ")
    assert served.database.votes() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"not json", 422),
        (b'{"number": 0, "score": 3}', 422),
        (b'{"number":0,"score":3,"viewing_ms":9,"width":1,"height":1,"ratio":1,"method":"x"}', 422),
        (b'{"number":0,"score":3,"viewing_ms":-9,"width":1,"height":1,"ratio":1}', 422),
        (b'{"number":0,"score":3,"viewing_ms":9,"width":1,"height":1,"ratio":NaN}', 422),
        (b"[" * 2000, 422),
        (b"x" * 100_000, 413),
    ],
)
def test_a_body_that_is_no_answer_is_refused(served: Served, body: bytes, status: int) -> None:
    assert served.ask(f"/r/{served.token}/vote", body)[0] == status
    assert served.database.votes() == []


def test_a_double_vote_counts_once_and_a_changed_one_not_at_all(served: Served) -> None:
    assert served.vote(score=4)[0] == 200
    status, state = served.vote(score=4)  # the same again, as after a lost connection
    assert status == 200 and state["number"] == 1
    assert served.vote(score=5)[0] == 409
    assert served.vote(number=5)[0] == 409
    assert [vote.score for vote in served.database.votes()] == [4]


def test_one_answer_from_two_windows_at_once_counts_once(served: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda score: served.vote(score=score)[0], [1, 2, 3, 4, 5, 1, 2, 3]))
    assert len(served.database.votes()) == 1 and 200 in results and 409 in results


def test_fifty_raters_at_once_lose_no_vote(tmp_path: Path) -> None:
    study = small_study(tmp_path, count=5, practice=1, rows=ROWS[2:])
    database = Database(tmp_path, study)
    roster = simulated_roster(50)
    given: dict[str, list[int]] = {rater.code: [] for rater in roster.values()}
    start = threading.Barrier(50)

    def rate(token: str, rater: Rater, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        start.wait()
        scores = given[rater.code]
        while (now := place(study, rater.code, scores)).trial is not None:
            method = study.by_id[now.trial.stimulus].method
            score = {REFERENCE: 5, ANCHOR: 1}.get(method, 1 + (len(scores) + int(rater.code[-2:])) % 5)
            body = {"number": now.number, "score": score, "viewing_ms": 1, "width": 1, "height": 1, "ratio": 1}
            connection.request("POST", f"/r/{token}/vote", json.dumps(body))
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            scores.append(score)
        connection.close()

    with running(study, tmp_path, roster, database) as port, ThreadPoolExecutor(50) as pool:
        for done in [pool.submit(rate, token, rater, port) for token, rater in roster.items()]:
            done.result()
    database.close()
    again = Database(tmp_path, study)
    assert {rater.code: again.scores(rater) for rater in roster.values()} == given
    assert all(place(study, code, scores).phase == "finished" for code, scores in given.items())
    again.close()


def test_a_page_with_its_picture_loads_quickly(served: Served) -> None:
    paths = [f"/r/{served.token}/", "/assets/study.css", "/assets/study.js", f"/r/{served.token}/state"]
    took = []
    for _ in range(5):
        start = time.perf_counter()
        for path in [*paths, f"/r/{served.token}/image/0"]:
            assert served.ask(path)[0] == 200
        took.append(time.perf_counter() - start)
    assert min(took) < 0.2


def test_a_taken_port_is_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        with pytest.raises(MedrestoreError, match=r"cannot listen on host=127.0.0.1 port=.* type another port="):
            other = taken.getsockname()[1]
            listen("127.0.0.1", other)


def test_pages_ask_for_nothing_outside() -> None:
    pages = Path(__file__).parents[2] / "medrestore" / "study" / "pages"
    for page in pages.iterdir():
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", page.read_text(encoding="utf-8")), page.name
