"""Bad input through the doors that users come in by: refused in one line, or listed while the rest goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from finished_runs import CERVIX, CT, STREET, configured, finished_judge, finished_run
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from medrestore.config import build, compose
from medrestore.data.catalogue import LeftOut
from medrestore.errors import MedrestoreError
from medrestore.run import evaluate, make_data, train

_LESIONS_ALONE = ["~evaluation.assessments.natural", "~evaluation.assessments.quality"]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the time of an evaluation goes into pictures of cases, which nothing is asked about here."""
    monkeypatch.setattr("medrestore.evaluation.evaluate.case_views", lambda *arguments: [])


# -- material ---------------------------------------------------------------------------------------------------------


def ct_slice(path: Path, patient: str, series: int, side: int = 64, **elements: Any) -> Path:
    """Write a CT slice of stored values 0 to 2999; an element of None is left away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Modality, data.ImageType, data.PatientID = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], patient
    data.SeriesInstanceUID, data.SeriesDescription = UID(f"1.2.{series}"), "5mm"
    data.Rows, data.Columns, data.SamplesPerPixel = side, side, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = stored(side).tobytes()
    data["PixelData"].VR = "OW"
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def stored(side: int = 64) -> np.ndarray:
    return (np.arange(side**2, dtype=np.uint16) * 7 % 3000).reshape(side, side)


def bad_slices(root: Path) -> None:
    """One of each: another size in its series, no rescale, colour, no decoder, pixels or header cut short."""
    ct_slice(root / "P1/odd.dcm", "P1", 1, side=96)
    ct_slice(root / "P2/raw.dcm", "P2", 20, RescaleSlope=None, RescaleIntercept=None)
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    ct_slice(root / "P2/colour.dcm", "P2", 21, **rgb, PixelData=stored().tobytes() * 3)
    film = pydicom.dcmread(ct_slice(root / "P3/film.dcm", "P3", 30, PixelData=encapsulate([bytes(100)])))
    film.file_meta.TransferSyntaxUID = MPEG2MPML
    film["PixelData"].is_undefined_length, film["PixelData"].VR = True, "OB"
    film.save_as(root / "P3/film.dcm")
    whole = ct_slice(root / "P3/cut.dcm", "P3", 31).read_bytes()
    (root / "P3/cut.dcm").write_bytes(whole[:-3000])
    (root / "P3/head.dcm").write_bytes(whole[:300])


def photograph(path: Path, number: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    low = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(low).resize((64, 64), Image.Resampling.BICUBIC).convert(mode).save(path)


def streets(root: Path, unknown: Iterable[int], count: int = 6) -> Path:
    """KITTI's layout: all road, but a class that Cityscapes does not have in some of the maps."""
    for n in range(count):
        photograph(root / f"training/image_2/00000{n}_10.png", n)
        (root / "training/semantic").mkdir(exist_ok=True)
        Image.new("L", (64, 64), 99 if n in unknown else 7).save(root / f"training/semantic/00000{n}_10.png")
    return root


def reasons(left_out: Iterable[LeftOut]) -> dict[str, str]:
    """What was left out and why, each in one line."""
    found = {entry.name: entry.reason for entry in left_out}
    assert not any("\n" in reason for reason in found.values())
    return found


def said(evaluation: Any, title: str) -> str:
    """The first line of a section of an evaluation."""
    (line,) = [section.lines[0] for section in evaluation.sections if section.title == title]
    assert "\n" not in line
    return line


# -- CT ---------------------------------------------------------------------------------------------------------------


def test_a_training_goes_on_with_the_good_slices_and_lists_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "ct"
    for patient in (1, 2, 3):
        for n in range(2):
            ct_slice(root / f"P{patient}/{n}.dcm", f"P{patient}", patient)
    bad_slices(root)
    given = ["dataset=ct", f"dataset.root={root}", "epochs=1", "pretrain_epochs=0", "model.critic.width=4"]
    config = configured("ct_deblur", *given, "evaluation.run=false", "callbacks.sample_images=0")
    run = train(config, tmp_path / "run")
    assert (run.directory / "generator.safetensors").is_file()
    told = capsys.readouterr().err
    for line in (
        "odd.dcm: it has 96 x 96 pixels, 2 of its series have 64 x 64",
        "raw.dcm: it is a CT without RescaleSlope and RescaleIntercept",
        "head.dcm: it",
        "note: 1 colour images of modality CT left out",
    ):
        assert line in told, line
    data = make_data(run.config, run.directory / "split.csv")
    data.prepare("all")
    found = reasons(data.left_out)
    assert set(found) == {"odd.dcm", "raw.dcm", "head.dcm", "film.dcm", "cut.dcm"}
    assert "stored as MPEG2" in found["film.dcm"] and "not supported" in found["film.dcm"]
    assert len(data.items("all")) == 6


def test_values_are_right_whatever_a_slice_says_of_itself(tmp_path: Path) -> None:
    """Slopes that differ within a series are no mistake, and neither is a compression that can be undone."""
    root = tmp_path / "ct"
    rescales = {"a": (1.0, -1024.0), "b": (0.5, -1000.0), "c": (1.5, -200.0)}
    for name, (slope, intercept) in rescales.items():
        ct_slice(root / f"{name}.dcm", name, 1, RescaleSlope=slope, RescaleIntercept=intercept)
    packed = pydicom.dcmread(root / "b.dcm")
    packed.compress(RLELossless)
    packed.save_as(root / "b.dcm")
    config = configured("ct_deblur", "dataset=ct", f"dataset.root={root}", "sampling.window=[500,1000]")
    data = make_data(config, None)
    for item in data.items("all"):
        assert item.path is not None
        slope, intercept = rescales[item.path.stem]
        expected = torch.from_numpy(stored() * slope + intercept).float()
        torch.testing.assert_close(data.case(item).target, (expected / 1000).clamp(0, 1)[None], atol=1e-6, rtol=0)


def test_nothing_but_bad_slices_is_one_line(tmp_path: Path) -> None:
    bad_slices(tmp_path / "ct")
    (tmp_path / "ct/P1/odd.dcm").unlink()
    shutil.rmtree(tmp_path / "ct/P3")
    with pytest.raises(MedrestoreError, match=r"no image to use in .*ct or below it; .*raw\.dcm: it is a CT") as error:
        make_data(configured("ct_deblur", "dataset=ct", f"dataset.root={tmp_path / 'ct'}"), None)
    assert "1 colour images of modality CT left out" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("window", "what"), [("[40,0]", "empty"), ("[40,-80]", "inverted")])
def test_an_empty_or_inverted_window_is_refused_and_leaves_nothing(tmp_path: Path, window: str, what: str) -> None:
    refused = rf"sampling\.window=\[40,-?\d+\] is {what}: .*; type 'sampling\.window=\[40,\d+\]'"
    with pytest.raises(MedrestoreError, match=refused) as error:
        train(configured("ct_deblur", *CT, f"sampling.window={window}"), tmp_path / "bad")
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "bad").rglob("*") if path.is_file() and path.name != ".lock"]
    run = finished_run(tmp_path / "run", "ct_deblur", *CT)
    with pytest.raises(MedrestoreError, match=refused):
        evaluate(run, [f"sampling.window={window}"])
    assert not (run.directory / "evaluation").exists()


# -- labels -----------------------------------------------------------------------------------------------------------


def test_an_image_whose_map_has_an_unknown_class_is_listed_by_the_evaluation(tmp_path: Path) -> None:
    root = streets(tmp_path / "kitti", unknown=[4])
    run = finished_run(tmp_path / "run", "street_deblur", *STREET, "judge=none")
    given = ["dataset=street", f"dataset.root={root}"]
    judged = evaluate(run, given, "all", tmp_path / "out")
    assert len({score.key for score in judged.scores}) == 5
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "000004_10.png" in report and "unknown to the scheme cityscapes_ids: 99" in report
    named = make_data(configured("street_deblur", *given, "dataset.label_ids={99:255}"), None)
    assert len(list(named.cases("all"))) == 6 and named.left_out == []


@pytest.mark.parametrize("unknown", [[2], range(6)], ids=["some", "all"])
def test_a_segmenter_learns_from_the_maps_it_knows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unknown: Iterable[int]
) -> None:
    root = streets(tmp_path / "kitti", unknown)
    parts = ["train", "train", "train", "train", "val", "test"]
    rows = "".join(f"training/image_2/00000{n}_10.png,{part}\n" for n, part in enumerate(parts))
    (tmp_path / "split.csv").write_text(f"file,split\n{rows}", encoding="utf-8")
    given = ["dataset=street", f"dataset.root={root}", f"sampling.split.file={tmp_path / 'split.csv'}"]
    sampling = ["sampling.crop=32", "sampling.crops_per_image=1", "sampling.batch_size=1", "hardware=cpu"]
    config = compose("train", ["experiment=street_segmenter", *given, *sampling])
    module = build(config.model)
    data = make_data(config, None, type(module).samples, module.labelled)
    data.prepare("train")
    if len(list(unknown)) == 1:
        batches = list(data.train_dataloader())
        assert len(batches) == 4 and all(batch.classes.unique().tolist() == [0] for batch in batches)  # road
        (told,) = {record.getMessage() for record in caplog.records}
        assert "left out in this epoch" in told and "000002_10.png" in told and "\n" not in told
    else:
        with pytest.raises(MedrestoreError, match=r"cityscapes_ids: 99; type 'dataset.label_ids=\{99: 255\}'") as error:
            data.train_dataloader()
        assert "\n" not in str(error.value)


def test_a_grey_natural_image_is_listed_and_labels_that_mean_nothing_leave_fold_three_undone(tmp_path: Path) -> None:
    """The Kaggle cervix set has types of the transformation zone, which are neither normal nor abnormal."""
    for n in range(6):
        photograph(tmp_path / f"sharp/Type_{n % 2 + 1}/{n}.png", n)
        photograph(tmp_path / f"blurred/{n}.png", 10 + n, "L" if n == 3 else "RGB")
    given = ["dataset=cervix", f"dataset.root={tmp_path / 'sharp'}", f"dataset.natural={tmp_path / 'blurred'}"]
    judges = f"evaluation.judges={tmp_path / 'judges'}"
    run = finished_run(tmp_path / "run", "cervix_deblur", *given, judges, *_LESIONS_ALONE)
    judged = evaluate(run)
    told = said(judged, "lesions")
    assert told.startswith("not done: the label 'Type_") and "is neither normal nor abnormal to the judge" in told
    assert "type '+model.labels={Type_" in told
    report = (run.directory / "evaluation/report.html").read_text(encoding="utf-8")
    assert "it is grey, 5 of the 6 images of this folder are in colour" in report


# -- judges -----------------------------------------------------------------------------------------------------------


def test_a_judge_of_other_data_is_not_asked(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "cervix_deblur", *CERVIX, *_LESIONS_ALONE)
    street = finished_judge(tmp_path / "street", "street_segmenter", *STREET)
    judged = evaluate(run, [f"judge={street}"])
    assert said(judged, "lesions").startswith(f"not done: judge={street} is a SceneSegmenter, cervix_lesion_detector")
    assert [row for row in judged.summaries if row.metric == "psnr"]  # the rest goes on
    lesions = finished_judge(
        tmp_path / "lesions", "cervix_lesion_detector", *CERVIX
    )  # trained on all but the test part
    told = said(evaluate(run, [f"judge={lesions}"], "all"), "lesions")
    assert told.startswith(
        f"not done: judge={lesions} was trained on 5 of the images or patients it would be judged on"
    )
    assert not said(evaluate(run, [f"judge={lesions}"]), "Lesion detection (fold 3)").startswith("not done")
