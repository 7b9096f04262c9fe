"""Screening: the threshold knows the training patients alone, and what is decided stays decided."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medrestore.data import FolderSource, Screening
from medrestore.data.catalogue import hashed_group
from medrestore.data.crops import CropSettings
from medrestore.data.module import LoaderSettings, RestorationData
from medrestore.data.samples import Pair
from medrestore.data.screening_files import RECORD, read_record
from medrestore.degradations import Identity
from medrestore.errors import MedrestoreError

# Two patients a part; the amplitude of an image's waves orders its score.
PARTS = {"a": "train", "b": "train", "c": "val", "d": "val", "e": "test", "f": "test"}
AMPLITUDES = {"a": (10, 60), "b": (20, 90), "c": (5, 80), "d": (30, 70), "e": (8, 100), "f": (40, 120)}


def waves(path: Path, amplitude: int, side: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = 128 + amplitude * np.sin(np.arange(side) * (2 * np.pi / 32))
    named = PngInfo()
    named.add_text("Title", str(path))  # no two files are equal byte for byte, which a split would refuse
    Image.fromarray(np.tile(row.astype(np.uint8), (side, 1))).save(path, pnginfo=named)


def score(path: Path, sigma: float = 5.0) -> float:
    smooth = scipy.ndimage.gaussian_filter(np.asarray(Image.open(path)) / 255, sigma)
    steps = [np.abs(np.diff(smooth, axis=axis)) for axis in (0, 1)]
    return sum(step.sum() for step in steps) / sum(step.size for step in steps)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for patient, amplitudes in AMPLITUDES.items():
        for amplitude in amplitudes:
            waves(tmp_path / f"set/{patient}/{amplitude}.png", amplitude)
    rows = "".join(f"{patient},{part}\n" for patient, part in PARTS.items())
    (tmp_path / "list.csv").write_text(f"group,split\n{rows}", encoding="utf-8")
    return tmp_path / "set"


def data_of(
    root: Path, record: Path | None, screening: Screening | None = None, screen: bool = True, **given: Path | None
) -> RestorationData:
    source = FolderSource(str(root), groups="folder", screen=screen, screening=screening)
    split = {"train": 0.4, "val": 0.3, "test": 0.3, "file": given.get("file", root.parent / "list.csv")}
    loading = LoaderSettings(1, 0, False, None, 10**8, {**split, "file": split["file"] and str(split["file"])})
    crops = CropSettings(16, 1, False, "auto", False, 0, 0)
    screened_as = given.get("screened_as")
    return RestorationData(
        source, Identity(), 1, crops, loading, Pair, record, lambda items, text: items, screened_as=screened_as
    )


def names(data: RestorationData, part: str) -> set[str]:
    return {f"{item.path.parent.name}/{item.path.stem}" for item in data.items(part)}  # type: ignore[arg-type, union-attr]


def test_the_mean_of_the_training_images_divides_every_part(root: Path) -> None:
    train = [score(path) for folder in "ab" for path in (root / folder).iterdir()]
    threshold = sum(train) / 4
    data = data_of(root, None)
    for part in ("train", "val", "test"):
        files = [path for patient in PARTS if PARTS[patient] == part for path in (root / patient).iterdir()]
        assert names(data, part) == {f"{p.parent.name}/{p.stem}" for p in files if score(p) > threshold}
    assert names(data, "train") == {"a/60", "b/90"} and names(data, "test") == {"e/100", "f/120"}  # 40 is below 45
    (note,) = data.catalogue.notes
    assert note.startswith("screening left out 6 of 12 images; it keeps a pixel difference (sigma 5 px) above ")
    assert note.endswith(f"above {threshold:#.4g}, the mean of 4 training images")


def test_test_patients_do_not_move_the_threshold(root: Path) -> None:
    before = names(data_of(root, None), "train")
    for amplitude in AMPLITUDES["f"]:
        (root / f"f/{amplitude}.png").unlink()
        waves(root / f"f/{amplitude + 7}.png", 127)
    after = data_of(root, None)
    assert names(after, "train") == before and len(names(after, "test")) == 3


def test_a_quantile_and_another_sigma(root: Path) -> None:
    train = [score(path, 1.0) for folder in "ab" for path in (root / folder).iterdir()]
    data = data_of(root, root.parent / "run/split.csv", Screening(0.5, sigma=1.0))
    record = read_record(root.parent / "run" / RECORD, Screening(0.5, sigma=1.0))
    assert record is not None and record.threshold == pytest.approx(np.quantile(train, 0.5), rel=1e-5)
    assert record.origin == "the 0.5 quantile of 4 training images" and len(names(data, "train")) == 2


def test_the_split_is_made_before(root: Path) -> None:
    plain = data_of(root, None, screen=False, file=None)
    screened = data_of(root, None, Screening(0.0), file=None)
    assert len(screened.split) < len(plain.split)
    assert all(plain.split[key] == part for key, part in screened.split.items())


def test_what_a_run_dropped_never_comes_back(root: Path, tmp_path: Path) -> None:
    record = tmp_path / "run/split.csv"
    first = data_of(root, record)
    with record.open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert not list(record.parent.glob(".*"))
    for amplitude in (10, 20):  # the images and so the mean change; what was decided does not
        waves(root / f"{'a' if amplitude == 10 else 'b'}/{amplitude}.png", 127)
    again = data_of(root, record)
    assert all(names(again, part) == names(first, part) for part in ("train", "val", "test", "all"))
    assert again.catalogue.notes == first.catalogue.notes
    # Another training by the run's split, a baseline or a judge, must not screen what is left once more.
    other = data_of(root, tmp_path / "other/split.csv", file=record)
    assert names(other, "all") == names(first, "all")
    assert (tmp_path / "other" / RECORD).read_text() == (tmp_path / "run" / RECORD).read_text()
    assert names(data_of(root, record, screen=False), "test") == names(first, "test")


def test_images_that_came_later_are_judged_by_the_runs_threshold(root: Path, tmp_path: Path) -> None:
    record = tmp_path / "run/split.csv"
    data_of(root, record)
    waves(root / "g/44.png", 44)
    waves(root / "g/50.png", 50)
    later = data_of(root, record)
    assert {"g/50"} == {name for name in names(later, "all") if name.startswith("g")}
    for patient in "xyz":
        for amplitude in (42, 44, 50):  # the mean is 45, whatever theirs is
            waves(tmp_path / f"elsewhere/{patient}/{amplitude}.png", amplitude)
    foreign = data_of(tmp_path / "elsewhere", None, file=None, screened_as=record)
    assert names(foreign, "all") == {"x/50", "y/50", "z/50"}


def test_other_settings_than_the_runs_are_refused(root: Path, tmp_path: Path) -> None:
    record = tmp_path / "run/split.csv"
    data_of(root, record)
    with pytest.raises(MedrestoreError) as error:
        data_of(root, record, Screening(0.3, size=64))
    told = str(error.value)
    assert "\n" not in told and "other settings than threshold=0.3, size=[64, 64]" in told
    assert told.endswith("type dataset.screening.threshold=mean dataset.screening.size=null")
    (record.parent / RECORD).write_text('{"screening": {}', encoding="utf-8")
    with pytest.raises(MedrestoreError, match=rf"{RECORD} is no record of a screening \(.*\); restore the file"):
        data_of(root, record)


def test_one_size_is_kept_and_only_its_images_count(root: Path) -> None:
    waves(root / "a/127.png", 127, side=32)
    mixed = data_of(root, None)
    assert any("2 sizes are screened together, 64 x 64 (12), 32 x 32 (1)" in note for note in mixed.catalogue.notes)
    data = data_of(root, None, Screening(size=64))
    assert names(data, "train") == {"a/60", "b/90"}
    assert "it keeps 64 x 64 pixels and a pixel difference" in data.catalogue.notes[-1]
    with pytest.raises(MedrestoreError, match=r"no training image of 16 x 16 .* but 5 readable ones: 64 x 64 \("):
        data_of(root, None, Screening(size=[16, 16]))


def test_an_unreadable_image_is_listed_and_counts_for_nothing(root: Path, tmp_path: Path) -> None:
    sound = names(data_of(root, None), "train")
    whole = (root / "a/60.png").read_bytes()
    (root / "a/99.png").write_bytes(whole[: len(whole) // 2])
    for record in (tmp_path / "run/split.csv",) * 2:  # made, then read back
        data = data_of(root, record)
        data.prepare("train")
        assert names(data, "train") == sound
        assert [entry.name for entry in data.left_out] == ["99.png"]


def test_memory_is_kept_for_what_is_kept(root: Path) -> None:
    data = data_of(root, None)
    assert data.store.used == 6 * 64 * 64


def test_images_degraded_by_nature_are_not_judged(root: Path) -> None:
    (root / "f").rename(root / "degraded")
    data = data_of(root, None, Screening(0.5))
    assert {item.path.stem for item in data.items("all", "source") if item.path} == {"40", "120"}
    assert any(note.startswith("2 images are degraded by nature") for note in data.catalogue.notes)


def test_a_part_left_without_images_is_refused(root: Path, tmp_path: Path) -> None:
    for patient in "cd":
        for path in (root / patient).iterdir():
            waves(path, 1)
    with pytest.raises(MedrestoreError, match=r"none of 4 images in the val part; it keeps .* type a sm") as error:
        data_of(root, tmp_path / "run/split.csv")
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
    for path in root.rglob("*.png"):
        waves(path, 50)  # all alike: none is above the mean
    with pytest.raises(MedrestoreError, match=r"none of 4 images in the train part"):
        data_of(root, None)
    for path in [*(root / "a").iterdir(), *(root / "b").iterdir()]:
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(MedrestoreError, match=r"no training image that can be read .* but none; type dataset.screen="):
        data_of(root, None)


def test_foreign_images_of_which_none_is_left(root: Path, tmp_path: Path) -> None:
    data_of(root, tmp_path / "run/split.csv")
    for patient in "xyz":
        waves(tmp_path / f"elsewhere/{patient}/1.png", 3)
    with pytest.raises(MedrestoreError, match=r"screening of the run leaves none of 3 images; .*type dataset.screen=f"):
        data_of(tmp_path / "elsewhere", None, file=None, screened_as=tmp_path / "run/split.csv")


def test_the_record_names_no_patient(root: Path, tmp_path: Path) -> None:
    data = data_of(root, tmp_path / "run/split.csv")
    content = json.loads((tmp_path / "run" / RECORD).read_text(encoding="utf-8"))
    assert len(content["reasons"]) == 12 and sum(reason == "" for reason in content["reasons"].values()) == 6
    assert {item.key for item in data.catalogue.items} == {key for key, why in content["reasons"].items() if not why}
    assert hashed_group("a") not in json.dumps(content) and "/a" not in json.dumps(content)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"threshold": 1}, "threshold=1 is neither mean nor a quantile from 0 to below 1"),
        ({"threshold": -0.1}, "threshold=-0.1 is neither"),
        ({"threshold": float("nan")}, "threshold=nan is neither"),
        ({"threshold": "median"}, "threshold=median is neither mean nor"),
        ({"threshold": True}, "threshold=True is neither"),
        ({"sigma": -1}, "sigma=-1 is no width in pixels; type dataset.screening.sigma=5"),
        ({"sigma": "wide"}, "sigma=wide is no width"),
        ({"size": "512x512"}, "size=512x512 is no height and width"),
        ({"size": [512]}, r"size=\[512\] is no height and width"),
        ({"size": 0}, "size=0 is no height and width"),
        ({"size": 5.5}, "size=5.5 is no height and width"),
    ],
)
def test_settings_that_cannot_be_meant(given: dict, told: str) -> None:
    with pytest.raises(MedrestoreError, match=rf"dataset\.screening\.{told}"):
        Screening(**given)


@pytest.mark.parametrize("screen", ["yes", 1, None])
def test_screen_is_true_or_false(root: Path, screen: object) -> None:
    with pytest.raises(MedrestoreError, match=r"type dataset\.screen=true or dataset\.screen=false"):
        FolderSource(str(root), screen=screen)  # type: ignore[arg-type]
    with pytest.raises(MedrestoreError, match=r"type dataset\.screening\.threshold=0\.3"):
        FolderSource(str(root), screen=True, screening=0.3)  # type: ignore[arg-type]
