"""From simulated raters over HTTP to the report: faults found, taste found again, everything marked as simulated."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_study import small_study

pytest.importorskip("fastapi", reason="the extra study is not installed")

from medrestore.errors import MedrestoreError
from medrestore.study.analyse import SIMULATED, analyse, examine
from medrestore.study.database import Answer, Database
from medrestore.study.design import place
from medrestore.study.manifest import ANCHOR, REFERENCE, SIMULATION, Study
from medrestore.study.raters import Rater, load_roster
from medrestore.study.ratings import cell, collect
from medrestore.study.simulate import simulate

FAULTS = {"reversed": 1, "constant": 1, "random": 1, "lost": 1}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    directory = tmp_path_factory.mktemp("study")
    study = small_study(directory, count=12, title="<script>alert(1)</script>")
    told = simulate(directory, study, 20, FAULTS, seed=1)
    assert "20 SIMULATED raters rated over HTTP, 1 of them did not pass the practice; no person did" in told
    return directory, study


@pytest.fixture
def database(simulated: tuple[Path, Study]) -> Iterator[Database]:
    opened = Database(*simulated)
    yield opened
    opened.close()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_fault_is_found_and_the_taste_comes_back(simulated: tuple[Path, Study], database: Database) -> None:
    directory, study = simulated
    found = examine(study, collect(study, database.votes(), simulated=True))
    truth = json.loads((directory / SIMULATION).read_text())
    kinds = {code: entry["kind"] for code, entry in truth["raters"].items()}
    judged = dict(zip(found.ratings.raters, found.verdicts, strict=True))
    for code, kind in kinds.items():
        if kind == "lost":
            assert code in found.ratings.locked
        elif kind != "sound":
            assert judged[code].fault == kind
    assert sum(judged[code].counted for code, kind in kinds.items() if kind == "sound") >= 15
    for name, quality in truth["quality"].items():
        if name not in (ANCHOR, REFERENCE):  # those two are cut at the ends of the scale
            scene_effect = np.mean([truth["scenes"][scene] for scene in found.ratings.of(name)[0]])
            assert found.mos[name].mean == pytest.approx(quality + scene_effect, abs=0.3)
    order = sorted(found.mos, key=lambda name: found.mos[name].mean)
    assert order == ["bicubic", "pretrained", "restored", REFERENCE]
    assert all(pair.p_holm is not None and pair.p_holm < 0.05 for pair in found.pairs if REFERENCE not in pair[:2])
    assert found.single is not None and found.mean is not None
    assert 0.4 < found.single.value < 1 and 0.9 < found.mean.value < 1


def test_means_are_those_of_the_ratings_given_away(
    simulated: tuple[Path, Study], database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, study = simulated
    report = analyse(directory, study, database.votes(), "auto")
    printed = capsys.readouterr().out
    assert printed.startswith(SIMULATED) and "Mean opinions from 1 (Bad) to 5 (Excellent)" in printed
    ratings = table(report.parent / "ratings.csv")
    counted = {row["rater"] for row in table(report.parent / "raters.csv") if row["verdict"] == "counted"}
    main = [
        row
        for row in ratings
        if row["rater"] in counted and row["block"] == "main" and row["repeat"] == "0" and row["method"] != ANCHOR
    ]
    by_method: dict[str, dict[tuple[str, str], int]] = {}
    for row in main:
        by_method.setdefault(row["method"], {})[row["rater"], row["scene"]] = int(row["score"])
    for row in table(report.parent / "opinions.csv"):
        scores = by_method[row["method"]]
        assert float(row["mos"]) == pytest.approx(np.mean(list(scores.values())))
        if row["dmos"]:
            differences = [score - by_method[REFERENCE][key] + 5 for key, score in scores.items()]
            assert float(row["dmos"]) == pytest.approx(np.mean(differences))
            assert float(row["dmos_low"]) < float(row["dmos"]) < float(row["dmos_high"])
    paper = {row["method"]: row["paper_mos"] for row in table(report.parent / "opinions.csv")}
    assert paper == {"bicubic": "2.26", "pretrained": "4.09", "restored": "3.4", REFERENCE: ""}


def test_every_output_says_that_it_is_simulated(simulated: tuple[Path, Study], database: Database) -> None:
    directory, study = simulated
    report = analyse(directory, study, database.votes(), "simulated")
    html = report.read_text(encoding="utf-8")
    assert SIMULATED in html and "<h1>SIMULATED Opinion study" in html and "Nothing here says anything" in html
    for name in ("ratings.csv", "opinions.csv", "pictures.csv", "raters.csv"):
        assert {row["simulated"] for row in table(report.parent / name)} == {"1"}
    assert {vote.rater.simulated for vote in database.votes()} == {True}
    assert json.loads((directory / SIMULATION).read_text())["simulated"] is True


def test_the_report_shows_the_paper_and_no_secrets(simulated: tuple[Path, Study], database: Database) -> None:
    directory, study = simulated
    html = analyse(directory, study, database.votes(), "auto").read_text(encoding="utf-8")
    for text in ("2.26", "4.09", "3.40", "Beside the figures of paper S5", "ICC(2,1)", "p, Holm", "ITU-R BT.500"):
        assert text in html
    assert "<script" not in html and html.count("data:image/png") == 2
    assert not [token for token in load_roster(directory) if token in html]


def test_people_and_simulated_raters_are_never_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small_study(tmp_path, count=7)
    simulate(tmp_path, study, 5, {}, seed=0)
    database = Database(tmp_path, study)
    person = next(iter(load_roster(tmp_path).values()))
    scores: list[int] = []
    while (now := place(study, person.code, scores)).trial is not None:
        score = {REFERENCE: 5, ANCHOR: 1}.get(study.by_id[now.trial.stimulus].method, 3)
        if now.phase == "main" and len(scores) == 20:
            with pytest.raises(MedrestoreError, match=r"no rater has finished \(1 have begun"):
                collect(study, database.votes(), simulated=False)
            html = analyse(tmp_path, study, database.votes(), "auto").read_text(encoding="utf-8")
            assert "<h1>SIMULATED Opinion study" in html and person.code not in html
            assert "note: no person has finished yet (1 have begun); who=people" in capsys.readouterr().out
            with pytest.raises(MedrestoreError, match=r"no rater has finished \(1 have begun"):
                analyse(tmp_path, study, database.votes(), "people")
        database.record(person, now.trial, Answer(now.number, score, 1500, 1600, 900, 1.0))
        scores.append(score)
    assert collect(study, database.votes(), simulated=False).raters == [person.code]
    html = analyse(tmp_path, study, database.votes(), "auto").read_text(encoding="utf-8")
    assert "SIMULATED" not in html and person.code in html and "sim-001" not in html
    assert len(collect(study, database.votes(), simulated=True).raters) == 5
    # again: earlier simulated raters go, the person stays
    database.close()
    assert simulate(tmp_path, study, 3, {}, seed=0)[0] == "5 earlier simulated raters were removed"
    database = Database(tmp_path, study)
    assert {vote.rater.code for vote in database.votes()} == {person.code, "sim-001", "sim-002", "sim-003"}
    with pytest.raises(MedrestoreError, match="holds ratings already"):
        small_study(tmp_path)
    database.close()


def test_nobody_yet_is_one_line(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    with pytest.raises(MedrestoreError, match=r"no rater has finished \(nobody began\)"):
        analyse(tmp_path, study, [], "auto")
    with pytest.raises(MedrestoreError, match="who=all is none of"):
        analyse(tmp_path, study, [], "all")


def test_answers_that_do_not_fit_the_plan_are_refused(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    database = Database(tmp_path, study)
    other = place(study, "somebody else", []).trial
    assert other is not None and other != place(study, "r1", []).trial
    database.record(Rater("r1"), other, Answer(0, 3, 1, 1, 1, 1.0))
    with pytest.raises(MedrestoreError, match="the answers of r1 do not fit the plan"):
        collect(study, database.votes(), simulated=False)
    database.close()


@pytest.mark.parametrize(
    ("count", "faults", "told"),
    [(3, {"lost": 4}, "raters=3 with 4 faults"), (0, {}, "raters=0"), (5, {"lazy": 1}, "faults.lazy is none of")],
)
def test_impossible_simulations_are_one_line(tmp_path: Path, count: int, faults: dict[str, int], told: str) -> None:
    study = small_study(tmp_path)
    with pytest.raises(MedrestoreError, match=told):
        simulate(tmp_path, study, count, faults, 0)


def test_a_cell_is_never_a_formula() -> None:
    assert [cell(value) for value in ("=1+1", "@x", "-3", "r1", -3, 0.5)] == ["'=1+1", "'@x", "'-3", "r1", -3, 0.5]
