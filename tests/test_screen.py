"""`python -m medrestore.screen`, and what `dataset.screen=true` does to the other commands."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from finished_runs import finished_run
from PIL import Image
from pydicom import dcmread
from test_bad_input import ct_slice

from medrestore.data.catalogue import hashed_group
from medrestore.data.phantoms import BrainPhantom
from medrestore.inspect_data import inspect_data
from medrestore.run import evaluate
from medrestore.screen import screen

PHANTOM = ["dataset=brain_phantom", "dataset.patients=6", "dataset.slices_per_patient=2", "dataset.size=64"]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str, command=screen) -> int:
    monkeypatch.setattr(sys, "argv", ["screen", *arguments])
    with pytest.raises(SystemExit) as ended:
        command()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def table(output: Path) -> list[dict[str, str]]:
    with (output / "screening.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_phantom_loses_its_empty_slices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "screened"
    assert call(monkeypatch, *PHANTOM, f"output={output}") == 0
    told = capsys.readouterr().out
    source = BrainPhantom(patients=6, slices_per_patient=2, size=64, data_seed=0)
    items = {item.key: item for item in source.catalogue().items}
    rows = table(output)
    assert [row["key"] for row in rows] == list(items)
    content = {row["key"]: source.annotations(items[row["key"]])["content"] for row in rows}
    gone = [row for row in rows if row["decision"] == "dropped"]
    assert {row["key"] for row in rows if content[row["key"]] != "brain"} <= {row["key"] for row in gone}
    threshold = np.mean([float(row["score"]) for row in rows if row["split"] == "train"])
    for row in rows:
        assert row["decision"] == ("kept" if float(row["score"]) > threshold else "dropped")
        assert row["group"] == hashed_group(items[row["key"]].group) and (row["reason"] == "") == (row not in gone)
        assert (row["height"], row["width"]) == ("64", "64")
    with (output / "split.csv").open(encoding="utf-8") as file:
        assert {row["key"]: row["split"] for row in csv.DictReader(file)} == {
            row["key"]: row["split"] for row in rows if row["decision"] == "kept"
        }
    assert f"18 images of 6 patients or scenes\nkept {18 - len(gone)} (" in told
    assert f"above {threshold:#.4g}, the mean of " in told and f"sampling.split.file={output}/split.csv" in told
    for name in ("histogram.png", "contact_sheet.png"):
        with Image.open(output / name) as picture:
            assert picture.width > 700
    # What a training then takes is exactly that, and no second screening.
    arguments = [f"sampling.split.file={output}/split.csv", "dataset.screen=true", "sampling.crop=32", "channels=1"]
    arguments += ["degradation=motion", f"output={tmp_path / 'audit'}"]
    assert call(monkeypatch, *PHANTOM, *arguments, command=inspect_data) == 0
    lines = (tmp_path / "audit/audit.txt").read_text().splitlines()
    assert lines[0].startswith(f"{18 - len(gone)} images: ")
    assert f"note: screening left out {len(gone)} of 18 images; it keeps " in "\n".join(lines)
    assert call(monkeypatch, *PHANTOM, arguments[0], f"output={tmp_path / 'twice'}") == 2
    assert "names only what a screening kept already" in capsys.readouterr().err


def test_a_mixed_collection_with_files_that_are_no_slices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "set"
    for patient in range(4):
        ramp = np.linspace(0, 2999, 64 * 64).astype(np.uint16).reshape(64, 64) // (4 - patient)
        ct_slice(root / f"P{patient}/a.dcm", f"P{patient}", patient, PixelData=ramp.tobytes())
        ct_slice(root / f"P{patient}/b.dcm", f"P{patient}", patient, PixelData=(ramp * 0 + patient).tobytes())
    ct_slice(root / "P0/large.dcm", "P0", 9, side=96)
    ct_slice(root / "P1/scout.dcm", "P1", 8, SeriesDescription="Topogram")
    ct_slice(root / "P2/mr.dcm", "P2", 7, Modality="MR")
    whole = ct_slice(root / "P3/cut.dcm", "P3", 6).read_bytes()
    (root / "P3/cut.dcm").write_bytes(whole[:-3000])
    (root / "P3/notes.png").touch()
    given = ["dataset=ct", f"dataset.root={root}", "dataset.screening={threshold:0.2,size:64}"]
    assert call(monkeypatch, *given, "sampling.window=wide", f"output={tmp_path / 'out'}") == 1
    told = capsys.readouterr().out
    rows = {row["file"]: row for row in table(tmp_path / "out") if row["file"] not in ("a.dcm", "b.dcm")}
    decisions = {name: (row["decision"], row["reason"]) for name, row in rows.items()}
    assert decisions.pop("large.dcm") == ("dropped", "it measures 96 x 96 pixels, not 64 x 64")
    assert decisions.pop("scout.dcm") == ("left out", "localisers (scouts, topograms)")
    assert decisions.pop("mr.dcm") == ("left out", "files of modality MR (dataset.modality=CT)")
    assert set(decisions) == {"cut.dcm", "notes.png"} and {why for why, _ in decisions.values()} == {"left out"}
    assert {row["score"] for name, row in rows.items() if name != "large.dcm"} == {""}
    flat = [row for row in table(tmp_path / "out") if row["file"] == "b.dcm"]
    assert {row["decision"] for row in flat} == {"dropped"} and {row["score"] for row in flat} == {"0"}
    assert "note: 1 localisers (scouts, topograms) left out" in told and "left out: " in told and "cut.dcm" in told
    assert not any(f"P{patient}" in (tmp_path / "out/screening.csv").read_text() for patient in range(4))
    assert dcmread(root / "P0/a.dcm").PatientID == "P0"


def test_a_run_is_judged_on_what_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrestore.evaluation.evaluate.case_views", lambda *arguments: [])
    given = [*PHANTOM, "dataset.screen=true", "dataset.screening.threshold=0.1", "judge=none"]
    run = finished_run(tmp_path / "run", "ct_deblur", *given, "sampling.window=auto")
    with (run.directory / "split.csv").open(encoding="utf-8") as file:
        kept = {row["key"]: row["split"] for row in csv.DictReader(file)}
    assert len(kept) < 18
    judged = evaluate(run)
    assert {score.key for score in judged.scores} == {key for key, part in kept.items() if part == "test"}
    report = (run.directory / "evaluation/report.html").read_text(encoding="utf-8")
    assert f"screening left out {18 - len(kept)} of 18 images; it keeps a pixel difference" in report
    assert {score.key for score in evaluate(run, split="all").scores} == set(kept)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["output=notes.txt"], "output=notes.txt is a file; type output=DIR"),
        ([], "output is not given; type output="),
        (["dataset=folder", "dataset.root=empty"], "no image to use in"),
        (["dataset=folder"], "dataset.root is not given"),
        (["dataset=street_phantom"], "StreetPhantom are not screened; type dataset=folder"),
        (["dataset.screening.threshold=1"], "threshold=1 is neither mean nor a quantile from 0 to below 1"),
        (["dataset.screening.threshold=high"], "threshold=high is neither mean nor"),
        (["dataset.screening.threshold=0.99"], "the screening leaves none of 3 images in the "),
        (["dataset.screening.size=512"], "no training image of 512 x 512 pixels to take its threshold from"),
        (["threshold=0.3"], "did you mean 'dataset.screening.threshold'?"),
        (["sampling.window=brian"], "brian"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    phantom = [] if arguments and arguments[0].startswith("dataset=") else PHANTOM
    output = [] if not arguments or "output" in arguments[0] else ["output=out"]
    assert call(monkeypatch, *phantom, *output, *arguments) == 2
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1 and told in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "notes.txt"]
