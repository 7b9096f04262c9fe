"""`python -m medrestore.fit_niqe`, called in this process as the shell would."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medrestore.data.catalogue import hashed_group
from medrestore.data.folders import FolderSource
from medrestore.data.phantoms import CervixPhantom
from medrestore.data.splits import split_unpaired, write_split
from medrestore.fit_niqe import fit_niqe
from medrestore.metrics import niqe, read_niqe_model
from medrestore.metrics.niqe import NIQE_FEW_BLOCKS, NIQE_LEAST_BLOCKS, niqe_model_of, niqe_sharp_rows

SMALL = ["dataset=cervix_phantom", "dataset.patients=6", "dataset.images_per_patient=2", "dataset.size=96"]
SMALL += ["dataset.natural_patients=2"]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fit_niqe", *arguments])
    with pytest.raises(SystemExit) as ended:
        fit_niqe()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def phantom() -> CervixPhantom:
    return CervixPhantom(patients=6, images_per_patient=2, size=96, natural_patients=2, data_seed=0)


def folder(root: Path, number: int, size: tuple[int, int], seed: int = 0) -> Path:
    """Noise in so many folders, one image each."""
    random = np.random.default_rng(seed)
    for patient in range(number):
        (root / f"patient {patient}").mkdir(parents=True)
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"patient {patient}" / "eye.png")
    return root


def test_fits_the_training_patients_of_a_phantom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "own.safetensors"
    assert call(monkeypatch, *SMALL, "block=16", f"output={output}") == 0
    told = capsys.readouterr()
    source = phantom()
    items = source.catalogue().items
    split = split_unpaired(items)
    fitted = [item for item in items if item.role == "target" and split[item.key] == "train"]
    assert 0 < len(fitted) < sum(item.role == "target" for item in items)
    rows = torch.cat([niqe_sharp_rows(source.load(item).pixels[None], 16, 0.0) for item in fitted])
    expected, model = niqe_model_of(rows, 16, 0.0), read_niqe_model(output)
    assert model.mean.tolist() == pytest.approx(expected.mean.tolist())
    assert torch.allclose(model.covariance, expected.covariance)
    assert (model.block, model.threshold) == (16, 0.0)
    about = model.about
    assert about["collection"] == source.name and about["generated"] and about["split"] == "train"
    assert (about["images"], about["blocks"]) == (len(fitted), len(rows))
    assert about["keys"] == sorted(item.key for item in fitted)
    assert about["groups"] == sorted({hashed_group(item.group) for item in fitted})
    test = [item for item in items if split[item.key] == "test"]
    assert about["test_groups"] == sorted({hashed_group(item.group) for item in test})
    assert not set(about["groups"]) & set(about["test_groups"])
    pairs = [(item.key, hashed_group(item.group)) for item in test]
    assert model.seen(pairs) == set() and model.seen([(fitted[0].key, "")]) == {fitted[0].key}
    assert told.out.startswith(f"fitted on {len(rows)} blocks of 16 px from {len(fitted)} images")
    assert NIQE_LEAST_BLOCKS < len(rows) < NIQE_FEW_BLOCKS and f"note: {len(rows)} blocks are few" in told.err
    assert float(niqe(source.load(test[0]).pixels[None], params=output)) > 0


def test_the_split_of_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = phantom().catalogue().items
    parts = {item.key: ("test" if item.group == items[0].group else "train") for item in items}
    record = write_split(tmp_path / "split.csv", items, parts)  # type: ignore[arg-type]
    output = tmp_path / "own.safetensors"
    assert call(monkeypatch, *SMALL, "block=16", f"sampling.split.file={record}", f"output={output}") == 0
    about = read_niqe_model(output).about
    with record.open() as file:
        listed = [row for row in csv.DictReader(file) if row["split"] == "train" and row["role"] == "target"]
    assert about["keys"] == sorted(row["key"] for row in listed)
    assert about["test_groups"] == [hashed_group(items[0].group)]
    capsys.readouterr()
    assert call(monkeypatch, *SMALL, "block=16", "split=all", f"output={output}") == 0
    about = read_niqe_model(output).about
    assert about["blocks"] >= NIQE_FEW_BLOCKS and "note" not in capsys.readouterr().err
    assert about["images"] == 12 and about["test_groups"] == [] and about["split_hash"] is None


def test_few_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "eyes", 5, (96, 160))
    data = ["dataset=folder", f"dataset.root={root}", "dataset.groups=folder", "split=all"]
    output = tmp_path / "own.safetensors"
    assert call(monkeypatch, *data, f"output={output}") == 2  # under 200 px: 5 images of 3 x 5 blocks
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1 and not output.exists()
    assert "75 usable blocks of 32 px in 5 sharp images" in told and "need 100" in told and "threshold" not in told
    assert call(monkeypatch, *data, "block=48", "threshold=0.5", f"output={output}") == 2
    told = capsys.readouterr().err
    assert "30 usable blocks of 48 px" in told and "type block=32 or threshold=0" in told
    assert call(monkeypatch, *data, "block=24", f"output={output}") == 0
    assert "note: 120 blocks are few for 36 features" in capsys.readouterr().err
    assert read_niqe_model(output).block == 24


def test_a_screening_comes_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "eyes", 6, (96, 160))
    for patient in range(6):
        pixels = np.full((96, 160, 3), 100 + patient, np.uint8)
        pixels[40:60] += np.arange(160, dtype=np.uint8)[:, None] // 8
        Image.fromarray(pixels).save(root / f"patient {patient}" / "flat.png")
    data = ["dataset=folder", f"dataset.root={root}", "dataset.groups=folder", "split=all", "block=24"]
    output = tmp_path / "own.safetensors"
    assert call(monkeypatch, *data, "dataset.screen=true", f"output={output}") == 0
    assert "note: screening left out 6 of 12 images; it keeps a pixel difference " in capsys.readouterr().err
    items = FolderSource(str(root), groups="folder").catalogue().items
    sharp = sorted(item.key for item in items if item.path is not None and item.path.name == "eye.png")
    assert read_niqe_model(output).about["keys"] == sharp


def test_images_that_give_nothing_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "eyes", 4, (96, 160))
    (root / "patient 0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(root / "patient 1" / "black.png")
    Image.fromarray(np.zeros((96, 20, 3), np.uint8)).save(root / "patient 2" / "narrow.png")
    data = ["dataset=folder", f"dataset.root={root}", "dataset.groups=folder", "split=all", "block=24"]
    output = tmp_path / "own.safetensors"
    call(monkeypatch, *data, f"output={output}")
    told = capsys.readouterr().err
    assert "black.png: no block of 24 px has any structure" in told
    assert "narrow.png: 96 x 20 px are less than a block" in told
    assert call(monkeypatch, *data, "field_of_view=true", f"output={output}") == 2
    assert "no field of view is visible" in capsys.readouterr().err and not output.exists()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("output=own.npz", "type output=own.safetensors"),
        ("split=tset", "split=tset is not known; type one of train, val, test, all"),
        ("block=33", "block=33 is no even number"),
        ("block=large", "block=large is no even number"),
        ("threshold=1.5", "threshold=1.5 is no share"),
        ("sampling.window=brian", "brian"),
        ("blok=32", "did you mean 'block'?"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [] if argument.startswith("output") else ["output=own.safetensors"]
    assert call(monkeypatch, *SMALL, *given, argument) == 2
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1 and told in line
    assert not list(tmp_path.iterdir())
