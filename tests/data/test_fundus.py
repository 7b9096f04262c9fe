"""Collections of fundus photographs as they lie on disk, domains that overlap or are swapped, registered pairs."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_eyes import retina, save
from PIL import Image

from medrestore.data import FundusSource
from medrestore.data.before_after import aligned, laid_over
from medrestore.data.catalogue import Catalogue, Item
from medrestore.data.splits import split_items
from medrestore.errors import MedrestoreError

PACK = Path(__file__).parents[3] / "shared/data/fundus"
_numbers = itertools.count()


def photograph(path: Path, side: int = 100) -> None:
    """A photograph unlike any other, as JPEG too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(next(_numbers)).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST).save(path)


def drawing(path: Path, marked: np.ndarray | None = None, side: int = 100) -> None:
    """A map of one channel, 255 where marked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = np.zeros((side, side), bool) if marked is None else marked
    Image.fromarray((255 * marked).astype(np.uint8)).save(path)


def listed(**source: object) -> tuple[FundusSource, dict[str, Item], Catalogue]:
    """The source, and its items by file name."""
    found = FundusSource(**source)  # type: ignore[arg-type]
    catalogue = found.catalogue()
    return found, {item.path.name: item for item in catalogue.items if item.path is not None}, catalogue


def reasons(catalogue: Catalogue) -> dict[str, str]:
    return {entry.name: entry.reason for entry in catalogue.left_out}


def test_eyeq(tmp_path: Path) -> None:
    """Both eyes of a patient together; a good eye of a patient whose other eye is clouded is no reference."""
    for name in ("1_left", "1_right", "2_left", "3_right", "4_left"):
        photograph(tmp_path / f"images/{name}.png")
    (tmp_path / "Label_EyeQ_train.csv").write_text(",image,quality,DR_grade\n0,1_left.jpeg,0,0\n1,1_right.jpeg,1,0\n")
    (tmp_path / "Label_EyeQ_test.csv").write_text(
        ",image,quality,DR_grade\n0,2_left.jpeg,0,2\n1,3_right.jpeg,2,0\n2,4_left.jpeg,1,0\n"
    )
    _, items, catalogue = listed(root=str(tmp_path))
    told = {name: (item.role, item.label, item.split, item.group) for name, item in items.items()}
    assert told == {
        "1_right.png": ("source", "usable", "train", "eyeq 1"),
        "2_left.png": ("target", "good", "test", "eyeq 2"),
        "4_left.png": ("source", "usable", "test", "eyeq 4"),
    }
    assert reasons(catalogue) == {
        "1_left.png": "its patient has cataract photographs too",
        "3_right.png": "EyeQ's quality 2: to be rejected",
    }
    assert any(note.startswith("1 reference photographs left out: their 1 patients") for note in catalogue.notes)


def test_deepdrid(tmp_path: Path) -> None:
    for part in ("training", "validation"):
        folder = tmp_path / f"regular_fundus_images/regular-fundus-{part}"
        number = 1 if part == "training" else 2
        for eye in ("l1", "r2"):
            photograph(folder / f"Images/{number}/{number}_{eye}.jpg")
        (folder / f"regular-fundus-{part}.csv").write_text(
            f"patient_id,image_id,image_path,Overall quality\n{number},{number}_l1,x,{number - 1}\n"
            f"{number},{number}_r2,x,{number - 1}\n"
        )
    _, items, _ = listed(root=str(tmp_path))
    assert {name: item.role for name, item in items.items()} == {
        "1_l1.jpg": "source",
        "1_r2.jpg": "source",
        "2_l1.jpg": "target",
        "2_r2.jpg": "target",
    }
    assert {item.group for item in items.values()} == {"deepdrid 1", "deepdrid 2"}


def test_csdi_as_published(tmp_path: Path) -> None:
    """Scores say what is clear; copies in other folders, and the same photograph under another name, are left out."""
    for number in (1, 2, 3):
        photograph(tmp_path / f"original_images/cataract_00{number}.png")
        photograph(tmp_path / f"cropped_images/cataract_00{number}.png")
    repeat = tmp_path / "original_images/cataract_004.png"
    repeat.write_bytes((tmp_path / "original_images/cataract_003.png").read_bytes())
    (tmp_path / "CSDI_annotations.csv").write_text(
        'id,score,English_diagnosis\ncataract_001.png,2.5,"clear, almost"\ncataract_002.png,3,x\n'
        "cataract_003.png,8.5,x\ncataract_004.png,8,x\n"
    )
    source, items, catalogue = listed(root=str(tmp_path))
    assert {name: (item.role, item.label) for name, item in items.items()} == {
        "cataract_001.png": ("target", "acceptable"),
        "cataract_002.png": ("source", "mild"),
        "cataract_003.png": ("source", "severe"),
    }
    assert all("original_images" in str(item.path) for item in items.values())
    assert float(source.annotations(items["cataract_003.png"])["severity"]) == 8.5
    assert reasons(catalogue)["cataract_004.png"].startswith("the same file as")
    assert any(note.startswith("patients unknown for 3 of 3") for note in catalogue.notes)


def test_the_same_file_makes_two_patients_one(tmp_path: Path) -> None:
    for name in ("a_1", "b_1", "b_2"):
        photograph(tmp_path / f"images/{name}.png")
    (tmp_path / "images/b_1.png").write_bytes((tmp_path / "images/a_1.png").read_bytes())
    photograph(tmp_path / "images/c_1.png")
    (tmp_path / "scores.csv").write_text(
        "image,patient,severity_0_10,role\na_1.png,a,5,blurry_cataract\nb_1.png,b,5,blurry_cataract\n"
        "b_2.png,b,2,clear\nc_1.png,c,2,clear\n"
    )
    _, items, catalogue = listed(root=str(tmp_path))
    assert set(items) == {"a_1.png", "c_1.png"}  # b is a, who has cataract
    assert reasons(catalogue)["b_2.png"] == "its patient has cataract photographs too"


def test_collections_with_vessel_maps(tmp_path: Path) -> None:
    """All in one folder; the first observer's map is taken, lesion maps are none, the field's mask is found."""
    for stem in ("01_dr", "01_h"):
        photograph(tmp_path / f"hrf/images/{stem}.png")
        drawing(tmp_path / f"hrf/manual1/{stem}.tif")
        drawing(tmp_path / f"hrf/mask/{stem}_mask.tif")
    for eye in ("01L", "01R"):
        photograph(tmp_path / f"chase/Image_{eye}.png")
        for observer in ("1stHO", "2ndHO"):
            drawing(tmp_path / f"chase/Image_{eye}_{observer}.png")
    for part, number in (("training", 21), ("test", 1)):
        photograph(tmp_path / f"DRIVE/{part}/images/{number:02d}_{part}.tif")
        drawing(tmp_path / f"DRIVE/{part}/1st_manual/{number:02d}_manual1.png")
        drawing(tmp_path / f"DRIVE/{part}/mask/{number:02d}_{part}_mask.png")
    segmentation = tmp_path / "idrid/A. Segmentation"
    for part, number in (("a. Training Set", 1), ("b. Testing Set", 55)):
        photograph(segmentation / f"1. Original Images/{part}/IDRiD_{number:02d}.jpg")
        truth = f"2. All Segmentation Groundtruths/{part}"
        drawing(segmentation / truth / f"2. Haemorrhages/IDRiD_{number:02d}_HE.tif")
    _, items, _ = listed(root=str(tmp_path))
    told = {name: (item.group, item.split, item.labels, item.mask) for name, item in items.items()}
    assert {name: (group, split) for name, (group, split, _, _) in told.items()} == {
        "01_dr.png": ("HRF 01_dr", ""),
        "01_h.png": ("HRF 01_h", ""),
        "Image_01L.png": ("CHASE_DB1 01", ""),
        "Image_01R.png": ("CHASE_DB1 01", ""),
        "21_training.tif": ("DRIVE 21", "train"),
        "01_test.tif": ("DRIVE 01", "test"),
        "IDRiD_01.jpg": ("IDRiD idrid_01", "train"),
        "IDRiD_55.jpg": ("IDRiD idrid_55", "test"),
    }
    vessels = {name: labels and labels.name for name, (_, _, labels, _) in told.items()}
    assert vessels["01_dr.png"] == "01_dr.tif" and vessels["Image_01R.png"] == "Image_01R_1stHO.png"
    assert vessels["01_test.tif"] == "01_manual1.png" and vessels["IDRiD_01.jpg"] is None
    fields = {name: mask and mask.name for name, (_, _, _, mask) in told.items()}
    assert fields["21_training.tif"] == "21_training_mask.png" and fields["01_h.png"] == "01_h_mask.tif"
    assert items["01_dr.png"].label == "diabetic retinopathy"
    assert {item.role for item in items.values()} == {"target"}


def test_two_folders_by_name_or_given(tmp_path: Path) -> None:
    for name in ("5_left", "6_right"):
        photograph(tmp_path / f"data/source/{name}.png")
        photograph(tmp_path / f"elsewhere/{name}.png")
    photograph(tmp_path / "data/reference/5_right.png")
    photograph(tmp_path / "data/reference/7_right.png")
    _, items, catalogue = listed(root=str(tmp_path / "data"))
    assert {name: item.role for name, item in items.items()} == {
        "5_left.png": "source",
        "6_right.png": "source",
        "7_right.png": "target",
    }
    assert items["5_left.png"].group == "data 5" and "5_right.png" in reasons(catalogue)
    _, items, _ = listed(source=str(tmp_path / "elsewhere"), target=str(tmp_path / "data/reference"), groups="item")
    assert Counter(item.role for item in items.values()) == {"source": 2, "target": 2}


def test_a_folder_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    photograph(tmp_path / "things/a.png")
    with pytest.raises(MedrestoreError, match=r"no fundus photograph .*a.png: no folder says whether .*dataset.source"):
        FundusSource(str(tmp_path)).catalogue()


def manifest(root: Path, *rows: str) -> None:
    (root / "MANIFEST.csv").write_text("\n".join(("file,dataset,role,group,label,licence", *rows)))


def pack(root: Path) -> None:
    """Three collections as in a manifest with sharp, clear, clouded photographs and several masks."""
    for name in ("hrf/images/01_h", "hrf/images/02_h", "csdi/images/p1", "csdi/images/p2", "csdi/images/p3"):
        photograph(root / f"{name}.png")
    drawing(root / "hrf/exudates/01_h.png")
    drawing(root / "hrf/vessels/01_h.png")
    manifest(
        root,
        "hrf/images/01_h.png,HRF,sharp,h1,healthy,CC BY",
        "hrf/images/02_h.png,HRF,soft,h2,healthy,CC BY",
        "hrf/exudates/01_h.png,HRF,mask,h1,,CC BY",
        "hrf/vessels/01_h.png,HRF,mask,h1,,CC BY",
        "csdi/images/p1.png,CSDI,clear,p1,score=2.0;acceptable,CC BY-NC",
        "csdi/images/p2.png,CSDI,blurry_cataract,p2,score=6.5;moderate,CC BY-NC",
        "csdi/images/p3.png,CSDI,blurry_cataract,p3,,CC BY-NC",
    )


def test_manifest(tmp_path: Path) -> None:
    pack(tmp_path)
    source, items, catalogue = listed(root=str(tmp_path))
    assert {name: (item.role, item.group, item.label) for name, item in items.items()} == {
        "01_h.png": ("target", "h1", "healthy"),
        "p1.png": ("target", "p1", "acceptable"),
        "p2.png": ("source", "p2", "moderate"),
        "p3.png": ("source", "p3", ""),
    }
    assert items["01_h.png"].labels == tmp_path / "hrf/vessels/01_h.png" and items["01_h.png"].mask is None
    assert float(source.annotations(items["p2.png"])["severity"]) == 6.5
    assert "severity" not in source.annotations(items["p3.png"])
    assert catalogue.licences == ("CC BY", "CC BY-NC")
    assert "CSDI: 2 cataract, CSDI: 1 clear, HRF: 1 sharp" in catalogue.notes
    assert any("a GAN also learns the camera" in note for note in catalogue.notes)


@pytest.mark.parametrize(("reference", "left"), [("sharp", "p1.png"), ("clear", "01_h.png")])
def test_the_reference_domain_is_chosen(tmp_path: Path, reference: str, left: str) -> None:
    pack(tmp_path)
    _, items, catalogue = listed(root=str(tmp_path), reference=reference)
    assert {"01_h.png", "p1.png"} - {left} == {name for name, item in items.items() if item.role == "target"}
    assert any("learns the camera" in note for note in catalogue.notes) == (reference == "sharp")
    assert any(f"reference={reference}" in note for note in catalogue.notes)


def test_a_reference_domain_that_is_not_there_is_refused(tmp_path: Path) -> None:
    photograph(tmp_path / "source/a.png")
    photograph(tmp_path / "sharp/b.png")
    with pytest.raises(
        MedrestoreError, match=r"reference=clear leaves no reference photograph, there are 1 sharp ones"
    ):
        FundusSource(str(tmp_path), reference="clear").catalogue()


def scored(folder: Path, scores: dict[str, float]) -> None:
    for name in scores:
        photograph(folder / f"{name}.png")
    rows = "".join(f"{name}.png,{score}\n" for name, score in scores.items())
    (folder / "scores.csv").write_text("image,severity_0_10\n" + rows)


def test_swapped_domains_are_refused(tmp_path: Path) -> None:
    scored(tmp_path / "one", {"a": 7.0, "b": 8.0})
    scored(tmp_path / "two", {"c": 1.0, "d": 2.0})
    FundusSource(source=str(tmp_path / "one"), target=str(tmp_path / "two")).catalogue()
    swapped = r"look swapped: .* cataract photographs 1.5 and reference photographs 7.5 on average"
    with pytest.raises(MedrestoreError, match=swapped):
        FundusSource(source=str(tmp_path / "two"), target=str(tmp_path / "one")).catalogue()
    photograph(tmp_path / "three/e.png")
    with pytest.raises(MedrestoreError, match=r"reference photographs 7\.5 on average"):
        FundusSource(source=str(tmp_path / "three"), target=str(tmp_path / "one")).catalogue()


def test_the_same_files_in_both_domains(tmp_path: Path) -> None:
    """One of many is left out of the reference; a folder given twice over is refused."""
    for number in range(5):
        photograph(tmp_path / f"source/{number}.png")
        photograph(tmp_path / f"target/clear {number}.png")
    for number in range(3):
        twin = tmp_path / f"target/twin {number}.png"
        twin.write_bytes((tmp_path / f"source/{number}.png").read_bytes())
        if number == 0:
            _, items, catalogue = listed(root=str(tmp_path))
            assert len(items) == 10 and "same file is among the cataract" in reasons(catalogue)["twin 0.png"]
    with pytest.raises(MedrestoreError, match="the two domains are the same: 3 of 5 photographs are in both"):
        FundusSource(str(tmp_path)).catalogue()


def test_bad_photographs_are_told_one_by_one(tmp_path: Path) -> None:
    save(tmp_path / "clear/good.png", retina())
    save(tmp_path / "clear/black.png", np.zeros((128, 128, 3)))
    save(tmp_path / "clear/full.png", np.random.default_rng(0).uniform(0.4, 0.6, (128, 128, 3)))
    save(tmp_path / "clear/grey.png", retina()[..., :1].repeat(3, -1))
    save(tmp_path / "clear/one.png", retina()[..., 0])
    photograph(tmp_path / "clear/small.png", 95)
    source, items, catalogue = listed(root=str(tmp_path))
    assert reasons(catalogue) == {
        "one.png": "it has one colour channel, a fundus photograph has three",
        "small.png": "it has 95 x 95 pixels, at least 96 a side are needed",
    }
    mask = source.load(items["good.png"]).mask
    assert mask is not None and float(mask.float().mean()) == pytest.approx(np.pi * 0.45**2, rel=0.01)
    for name, words in (("black", "is black"), ("full", "fills its frame"), ("grey", "one colour channel")):
        with pytest.raises(MedrestoreError, match=words) as error:
            source.load(items[f"{name}.png"])
        assert "\n" not in str(error.value)
    whole = FundusSource(str(tmp_path), surround="none").load(items["full.png"]).mask
    assert whole is not None and bool(whole.all())


def test_the_collections_own_mask_is_kept_to(tmp_path: Path) -> None:
    save(tmp_path / "sharp/images/a.png", retina())
    half = np.zeros((128, 128), bool)
    half[:, :80] = True
    drawing(tmp_path / "sharp/mask/a.png", half)
    save(tmp_path / "sharp/images/b.png", retina(seed=1))
    drawing(tmp_path / "sharp/mask/b.png", np.eye(128, dtype=bool))
    source, items, _ = listed(root=str(tmp_path))
    mask = source.load(items["a.png"]).mask
    assert mask is not None and not bool(mask[:, :, 80:].any()) and bool(mask[:, 64, 10:80].all())
    with pytest.raises(MedrestoreError, match="vessel maps is to be called vessels"):
        source.load(items["b.png"])


def test_pairs_are_registered(tmp_path: Path) -> None:
    """The later photograph and its vessel map are laid over the earlier one, which stays as it is."""
    shift = (5, -7)
    save(tmp_path / "before/9_left.png", retina((0, 0), veil=0.4))
    save(tmp_path / "after/9_left.png", retina(shift))
    save(tmp_path / "after/10_left.png", retina(seed=3))
    dot = np.zeros((128, 128), bool)
    dot[60:70, 50:61] = True
    drawing(tmp_path / "after/vessels/9_left.png", dot)
    source, items, catalogue = listed(before=str(tmp_path / "before"), after=str(tmp_path / "after"))
    item = items["9_left.png"]
    assert (item.role, item.split, item.degraded) == ("target", "test", tmp_path / "before/9_left.png")
    assert set(items) == {"9_left.png"} and "10_left.png" in reasons(catalogue)
    image, before = source.load(item), source.load_degraded(item)
    assert before is not None and before.mask is not None and image.mask is not None
    assert image.metadata["registration_down"] == pytest.approx(shift[0], abs=0.3)
    assert image.metadata["registration_right"] == pytest.approx(shift[1], abs=0.3)
    assert image.metadata["registration_angle"] == pytest.approx(0, abs=0.1)
    assert float(image.metadata["registration_correlation"]) > float(image.metadata["registration_correlation_before"])
    truth = torch.from_numpy(retina((0, 0))).permute(2, 0, 1).float()
    inside = image.mask & before.mask
    assert float((image.pixels - truth).abs()[inside.expand(3, -1, -1)].mean()) < 0.01
    vessels = source.annotations(item)["vessels"]
    assert isinstance(vessels, torch.Tensor) and vessels.dtype == torch.bool
    expected = torch.zeros(1, 128, 128, dtype=torch.bool)
    expected[:, 55:65, 57:68] = True
    assert int((vessels ^ expected).sum()) < 12
    assert laid_over(before, image, aligned(before, image)).metadata["registration_right"] == pytest.approx(0, abs=0.2)


def test_pairs_of_other_eyes_are_told(tmp_path: Path) -> None:
    save(tmp_path / "before/1.png", retina(seed=1))
    save(tmp_path / "after/1.png", retina(seed=2))
    source, items, _ = listed(before=str(tmp_path / "before"), after=str(tmp_path / "after"))
    with pytest.raises(MedrestoreError, match=r"after/1.png: with 1.png, the two photographs cannot be registered"):
        source.load(items["1.png"])


def test_hrf_quality_pairs(tmp_path: Path) -> None:
    for number in (1, 2):
        for quality in ("good", "bad"):
            photograph(tmp_path / f"hrf/{number}_{quality}.png")
    _, items, _ = listed(root=str(tmp_path))
    assert {name: item.degraded and item.degraded.name for name, item in items.items()} == {
        "1_good.png": "1_bad.png",
        "2_good.png": "2_bad.png",
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "no folder of photographs is named; type dataset.root=DIR"),
        ({"before": "x"}, "type dataset.after=DIR too"),
        ({"root": "x", "reference": "blurry"}, "type one of both, sharp, clear"),
        ({"root": "/no/such/folder"}, "there is no folder"),
    ],
)
def test_wrong_arguments(source: dict[str, str], words: str) -> None:
    with pytest.raises(MedrestoreError, match=words):
        FundusSource(**source).catalogue()  # type: ignore[arg-type]


@pytest.mark.skipif(not PACK.is_dir(), reason="the pack of real photographs is not here")
def test_the_pack() -> None:
    source, items, catalogue = listed(root=str(PACK))
    counts = Counter((item.source, item.role) for item in items.values())
    assert counts["CSDI", "source"] == 42 and counts["HRF", "target"] == 14
    assert counts["IDRiD", "target"] == 14 and counts["CHASE_DB1", "target"] == 10
    clear = {item.group for item in items.values() if item.role == "target"}
    clouded = {item.group for item in items.values() if item.role == "source"}
    assert not clear & clouded
    assert {item.source for item in items.values() if item.labels is not None} == {"HRF", "CHASE_DB1"}
    vessels = source.annotations(items["Image_01L.jpg"])["vessels"]
    mask = source.load(items["Image_01L.jpg"]).mask
    assert isinstance(vessels, torch.Tensor) and mask is not None
    assert bool(mask[vessels].float().mean() > 0.99) and 0.03 < float(vessels[mask].float().mean()) < 0.2
    assert set(split_items(catalogue.items).values()) == {"train", "val", "test"}
