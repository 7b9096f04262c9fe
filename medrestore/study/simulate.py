"""Simulated raters of known taste and known faults, over the same HTTP interface as people."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medrestore.errors import MedrestoreError
from medrestore.evaluation.tables import save_text
from medrestore.study.database import Database
from medrestore.study.design import place
from medrestore.study.manifest import ANCHOR, REFERENCE, SIMULATION, Study
from medrestore.study.raters import Rater, Roster, simulated_roster
from medrestore.study.serve import create_app, listen, server_for

FAULTS = ("reversed", "constant", "random", "lost")
_AT_ONCE = 8
_BEST, _WORST = 4.0, 2.2  # latent quality of the rows, evenly spaced in the order of the study: no claim about them


def simulate(directory: Path, study: Study, count: int, faults: Mapping[str, int], seed: int) -> list[str]:
    """Let simulated raters answer; earlier simulated answers are replaced, those of people are not touched.

    A rater's score is quality of the row + effect of the scene + bias of the rater + noise, rounded and cut to 1..5.
    `reversed` raters turn the scale round after the practice, `constant` ones always say 3, `random` ones throw dice,
    `lost` ones rate upside down from the beginning and do not pass the practice.

    Args:
        directory: of the study.
        study: what is rated.
        count: raters, those with faults included.
        faults: number of raters by fault.
        seed: of all of it.

    Returns:
        What happened, in lines to print.

    Raises:
        MedrestoreError: a fault that is not known, or more faults than raters.
    """
    unknown = [name for name in faults if name not in FAULTS]
    if unknown:
        raise MedrestoreError(f"faults.{unknown[0]} is none of {', '.join(FAULTS)}")
    if min(faults.values(), default=0) < 0 or not 1 <= count <= 999 or sum(faults.values()) > count:
        raise MedrestoreError(
            f"raters={count} with {sum(faults.values())} faults: type raters= of 1 to 999, at least as many"
        )
    roster = simulated_roster(count)
    kinds = [name for name in FAULTS for _ in range(faults.get(name, 0))]
    truth = _truth(study, roster, [*kinds, *["sound"] * (count - len(kinds))], seed)
    database = Database(directory, study)
    removed = database.forget_simulated()
    lines = [f"{removed} earlier simulated raters were removed"] if removed else []
    save_text(directory / SIMULATION, json.dumps(truth, indent=1) + "\n")
    with running(study, directory, roster, database) as port, ThreadPoolExecutor(_AT_ONCE) as pool:
        raters = [(token, rater, study, truth, port) for token, rater in roster.items()]
        phases = list(pool.map(lambda arguments: _rate(*arguments), raters))
    database.close()
    locked = phases.count("locked")
    lines.append(f"{count} SIMULATED raters rated over HTTP, {locked} of them did not pass the practice; no person did")
    return [*lines, f"their taste and faults: {directory / SIMULATION}"]


@contextmanager
def running(study: Study, directory: Path, roster: Roster, database: Database) -> Iterator[int]:
    """A real server in a thread; yields its port."""
    listening = listen("127.0.0.1", 0)
    server = server_for(create_app(study, directory, roster, database))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listening.close()


def _truth(study: Study, roster: Roster, kinds: list[str], seed: int) -> dict[str, Any]:
    generator = random.Random(seed)
    rows = [row.name for row in study.rows if row.name != REFERENCE]
    step = (_BEST - _WORST) / max(1, len(rows) - 1)
    return {
        "simulated": True,
        "seed": seed,
        "noise": 0.5,
        "quality": {**{name: _WORST + step * i for i, name in enumerate(rows)}, REFERENCE: 4.8, ANCHOR: 1.1},
        "scenes": {scene: generator.gauss(0, 0.25) for scene in dict.fromkeys(s.scene for s in study.stimuli)},
        "raters": {
            rater.code: {"kind": kind, "bias": generator.gauss(0, 0.3)}
            for rater, kind in zip(roster.values(), kinds, strict=True)
        },
    }


def _rate(token: str, rater: Rater, study: Study, truth: Mapping[str, Any], port: int) -> str:
    """One rater's whole session; the phase it ended in."""
    generator = random.Random(f"{truth['seed']} {rater.code}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    scores: list[int] = []
    while True:
        now = place(study, rater.code, scores)
        if now.trial is None:
            connection.close()
            return now.phase
        picture = study.by_id[now.trial.stimulus]
        score = _score(truth, rater, picture.method, picture.scene, now.phase == "practice", generator)
        body = {"number": now.number, "score": score, "viewing_ms": int(generator.lognormvariate(8.3, 0.4))}
        body |= {"width": 1600, "height": 900, "ratio": 1.0}
        connection.request("POST", f"/r/{token}/vote", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        told = json.loads(response.read())
        if response.status != 200:
            raise MedrestoreError(f"the server refused an answer of {rater.code}: {told}")
        scores.append(score)
        if told["number"] != len(scores):
            raise MedrestoreError(f"the server has {told['number']} answers of {rater.code}, not {len(scores)}")


def _score(
    truth: Mapping[str, Any], rater: Rater, method: str, scene: str, practice: bool, generator: random.Random
) -> int:
    kind, bias = truth["raters"][rater.code]["kind"], truth["raters"][rater.code]["bias"]
    if practice and method in (REFERENCE, ANCHOR):  # the gates are meant to be beyond doubt
        sound = 5 if method == REFERENCE else 1
    else:
        latent = truth["quality"][method] + truth["scenes"][scene] + bias + generator.gauss(0, truth["noise"])
        sound = min(5, max(1, round(latent)))
    if kind == "lost" or (kind == "reversed" and not practice):
        return 6 - sound
    if kind == "constant" and not practice:
        return 3
    if kind == "random" and not practice:
        return 1 + int(generator.random() * 5)
    return sound
