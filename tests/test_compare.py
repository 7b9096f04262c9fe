"""The command `compare`, in this process: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from judged_runs import psnr_run

from medrestore.compare import compare


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        compare()
    return int(str(ended.value.code))


def test_table_on_the_screen_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        psnr_run(tmp_path / "runs" / f"long-{seed}", 26.0 + 0.1 * seed, seed)
        psnr_run(tmp_path / "runs" / f"short-{seed}", 25.0 + 0.3 * seed, seed, config={"epochs": 5})
    psnr_run(tmp_path / "runs" / "again", 26.0, 1)
    assert command(monkeypatch, "runs=[runs/long-*,runs]", "output=out") == 0
    printed, told = capsys.readouterr()
    assert "epochs=20" in printed and "26.05 ± 0.07" in printed and "Beside the figures of paper S4" in printed
    assert "\x1b" not in printed and max(map(len, printed.splitlines())) <= 120
    assert told == "note: left out: runs/again is the same training as runs/long-1, seed 1\n"
    assert "left out: runs/again" in (tmp_path / "out" / "comparison.md").read_text()
    assert (tmp_path / "out" / "comparison.csv").read_text().startswith("row,kind,metric,mean,sd_seeds,")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "runs= is not set"),
        (["runs=nowhere"], "runs=nowhere: there is no such directory"),
        (["runs=[runs/a,runs/b]"], "window is lung, not auto"),
        (["runs=runs/a", "bse=x"], "did you mean 'base'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    psnr_run(tmp_path / "runs" / "a", 25.0)
    psnr_run(tmp_path / "runs" / "b", 25.0, 1, conditions={"window": "lung"})
    assert command(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.splitlines()) == 1
    assert not (tmp_path / "comparison").exists()
