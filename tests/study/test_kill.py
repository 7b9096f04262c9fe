"""A server that is killed in the middle of many votes has lost none of those it said were saved."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_study import small_study

pytest.importorskip("fastapi", reason="the extra study is not installed")

from medrestore.study.database import Database
from medrestore.study.design import place
from medrestore.study.manifest import ANCHOR, REFERENCE
from medrestore.study.raters import load_roster


def server(directory: Path) -> tuple[subprocess.Popen[str], int]:
    arguments = [sys.executable, "-m", "medrestore.study", "action=serve", f"output={directory}", "port=0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("serving study"):
            return process, int(line.split("127.0.0.1:")[1].split(";")[0])
    raise AssertionError("the server did not start")


def test_kill_9_loses_no_vote_that_was_told_as_saved(tmp_path: Path) -> None:
    study = small_study(tmp_path, count=9, raters=6)
    roster = load_roster(tmp_path)
    told: dict[str, list[int]] = {rater.code: [] for rater in roster.values()}
    process, port = server(tmp_path)

    def rate(token: str, code: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while (now := place(study, code, told[code])).trial is not None:
                score = {REFERENCE: 5, ANCHOR: 1}.get(study.by_id[now.trial.stimulus].method, 3)
                body = {"number": now.number, "score": score, "viewing_ms": 1, "width": 1, "height": 1, "ratio": 1}
                connection.request("POST", f"/r/{token}/vote", json.dumps(body))
                response = connection.getresponse()
                if response.status == 200 and json.loads(response.read())["number"] == now.number + 1:
                    told[code].append(score)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the server is gone
        finally:
            connection.close()

    threads = [threading.Thread(target=rate, args=(token, rater.code)) for token, rater in roster.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 120
    while sum(map(len, told.values())) < 40 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert 40 <= sum(map(len, told.values())) < 6 * 40  # it was killed on the way

    database = Database(tmp_path, study)
    for rater in roster.values():
        saved = database.scores(rater)
        # at most the one vote whose answer was still on its way is there besides
        assert saved[: len(told[rater.code])] == told[rater.code] and len(saved) <= len(told[rater.code]) + 1
    database.close()

    process, port = server(tmp_path)  # and it goes on where it was
    token, rater = next(iter(roster.items()))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/r/{token}/state")
    assert json.loads(connection.getresponse().read())["number"] >= len(told[rater.code])
    connection.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert process.stdout is not None
    process.stdout.close()
