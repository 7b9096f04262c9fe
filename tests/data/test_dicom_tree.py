"""DICOM trees: told by their headers, split by patient, what is no slice left out with a count."""

from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from medrestore import imaging
from medrestore.data.audit import audit
from medrestore.data.catalogue import hashed_group
from medrestore.data.crop_settings import CropSettings
from medrestore.data.folders import FolderSource
from medrestore.data.module import LoaderSettings, RestorationData
from medrestore.data.pairs import FolderPairs
from medrestore.data.samples import Pair
from medrestore.data.splits import PARTS, check_disjoint, split_items
from medrestore.degradations import Identity
from medrestore.errors import MedrestoreError

PACK = Path(__file__).parents[3] / "shared/data/ct"
AXIAL = ["ORIGINAL", "PRIMARY", "AXIAL"]


def slice_of(path: Path, patient="P1", series="1.2.1", stored=None, side=64, syntax=ExplicitVRLittleEndian, **elements):
    """Write a CT slice; an element of None is left away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if stored is None:
        stored = np.random.default_rng(len(str(path))).integers(0, 2000, (side, side), np.uint16)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.SOPClassUID, data.Modality, data.ImageType = CTImageStorage, "CT", AXIAL
    data.PatientID, data.SeriesInstanceUID, data.SeriesDescription = patient, UID(series), "5mm"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = stored.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(stored.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def nbia(root: Path, patients=("R01-001", "R01-002", "R01-003"), collection="Lung-PET-CT-Dx"):
    """A folder as the NBIA Data Retriever writes it, spaces turned into underscores on disk."""
    header = "Series UID,Collection,Subject ID,Modality,Number of Images,File Location"
    lines = [header]
    for number, patient in enumerate(patients):
        for study in (1, 2):
            uid = f"1.2.{number}.{study}"
            place = f"{collection}/{patient}/0{study}-02-2007-NA-Chest Routine-0799{study}/2.000000-5 mm-4080{study}"
            lines.append(f"{uid},{collection},{patient},CT,3,./{place}")
            for n in (1, 2):
                slice_of(root / place.replace(" ", "_") / f"1-0{n}.dcm", patient, uid)
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    (root / collection / "LICENSE").write_text("CC BY 4.0")
    return root


def data_of(source, tmp_path, window="soft_tissue", **changes):
    sizes = {"train": 0.4, "val": 0.3, "test": 0.3, "file": None}
    loading = LoaderSettings(1, 0, False, None, 10**8, {**sizes, **changes})
    crops = CropSettings(16, 1, False, window, False, 0, 0)
    return RestorationData(
        source, Identity(), 1, crops, loading, Pair, tmp_path / "split.csv", lambda items, text: items
    )


def test_an_nbia_tree_is_split_by_patient_over_studies_and_series(tmp_path):
    catalogue = FolderSource(str(nbia(tmp_path / "manifest-1675442780019")), modality="CT").catalogue()
    assert len(catalogue.items) == 12 and catalogue.left_out == ()
    groups = Counter(item.group for item in catalogue.items)
    assert groups == {f"patient {hashed_group(name)}": 4 for name in ("R01-001", "R01-002", "R01-003")}
    assert {(item.source, item.label, item.role) for item in catalogue.items} == {("Lung-PET-CT-Dx", "", "target")}
    split = split_items(catalogue.items, {"train": 0.4, "val": 0.3, "test": 0.3})
    check_disjoint(catalogue.items, split)
    assert set(split.values()) == set(PARTS)
    assert catalogue.notes == (
        "DICOM CT: 12 images in 6 series of 3 patients",
        "metadata.csv lists 18 images in 6 series, 12 of them are here",
    )


@pytest.mark.parametrize(
    "place",
    [
        "{n}.dcm",  # a flat series, or several mixed
        "tciaDownload/1.3.6.1.{p}/1-0{n}.dcm",
        "cptac_luad/{patient}/1.3.6.{p}/CT_1.3.6.1.{p}/{n}e0a.dcm",
        "a/b/c/d/IM{n}",  # no suffix, as on a disc
    ],
)
def test_other_layouts_give_the_same_groups(tmp_path, place):
    for number in range(6):
        patient = f"Muster^{'ABC'[number // 2]}"
        file = place.format(n=number, p=number // 2, patient=patient)
        slice_of(tmp_path / "set" / file, patient, f"1.3.6.1.{number // 2}")
    catalogue = FolderSource(str(tmp_path / "set"), modality="CT").catalogue()
    assert Counter(item.group for item in catalogue.items) == {
        f"patient {hashed_group(f'Muster^{letter}')}": 2 for letter in "ABC"
    }
    assert not any("Muster" in f"{item.group}{item.label}{item.source}" for item in catalogue.items)


def test_folders_of_classes_stay_labels_and_folders_of_one_patient_do_not(tmp_path):
    for number, (folder, patient) in enumerate(
        [("lung/ANNA", "1"), ("lung/ANNA", "1"), ("lung/BELA", "2"), ("liver/CARL", "3"), ("liver/DORA", "4")]
    ):
        slice_of(tmp_path / "set" / folder / f"{number}.dcm", patient)
    one_level = FolderSource(str(tmp_path / "set")).catalogue()
    assert {item.label for item in one_level.items} == {""}
    for number, (folder, patient) in enumerate([("lung", "1"), ("lung", "2"), ("liver", "3"), ("liver", "4")]):
        slice_of(tmp_path / "other" / folder / f"{number}.dcm", patient)
    assert [item.label for item in FolderSource(str(tmp_path / "other")).catalogue().items] == ["liver"] * 2 + [
        "lung"
    ] * 2


def test_several_collections_keep_their_names(tmp_path):
    one, two = nbia(tmp_path / "a"), nbia(tmp_path / "b", ("X1", "X2"), "TCGA-SARC")
    catalogue = FolderSource([str(one), str(two)], modality="CT").catalogue()
    assert Counter(item.source for item in catalogue.items) == {"Lung-PET-CT-Dx": 12, "TCGA-SARC": 8}


def test_what_is_no_slice_is_counted_by_its_reason(tmp_path):
    root = tmp_path / "set"
    for patient in ("1", "2", "3"):
        slice_of(root / f"{patient}.dcm", patient)
    slice_of(root / "mpr.dcm", "1", "1.2.2", ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"])
    slice_of(root / "plain.dcm", "1", "1.2.2", ImageType=["DERIVED", "SECONDARY"])
    slice_of(root / "scout1.dcm", "1", "1.2.3", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"])
    slice_of(root / "scout2.dcm", "2", "1.2.4", SeriesDescription="Topogram  0.6  T20f")
    slice_of(root / "capture.dcm", "1", "1.2.5", SOPClassUID=SecondaryCaptureImageStorage, RescaleSlope=None)
    slice_of(root / "dose.dcm", "1", "1.2.6", SeriesDescription="Dose Report", RescaleIntercept=None)
    slice_of(root / "mip.dcm", "1", "1.2.7", ImageType=["DERIVED", "SECONDARY", "PROJECTION IMAGE"])
    slice_of(root / "map.dcm", "1", "1.2.8", ImageType=["DERIVED", "PRIMARY", "PERFUSION"])
    slice_of(root / "pet.dcm", "1", "1.2.9", Modality="PT")
    slice_of(root / "colour.dcm", "1", "1.2.10", np.zeros((64, 64, 3), np.uint8))
    slice_of(root / "small.dcm", "1", "1.2.11", side=63)
    slice_of(root / "report.dcm", "1", "1.2.12", Modality="SR", Rows=None, Columns=None, PixelData=None)
    imaging_free = root / "thumbnail.png"
    imaging_free.write_bytes(imagecodecs.png_encode(np.zeros((70, 70), np.uint8)))
    catalogue = FolderSource(str(root), modality="ct").catalogue()
    assert [item.path.name for item in catalogue.items if item.path] == [
        "1.dcm",
        "2.dcm",
        "3.dcm",
        "mpr.dcm",
        "plain.dcm",
    ]
    assert catalogue.left_out == ()
    assert set(catalogue.notes) == {
        "DICOM CT: 5 images in 2 series of 3 patients",
        "1 colour images of modality CT left out",
        "2 derived images (projections, maps, renderings) left out",
        "1 files of modality PT (dataset.modality=CT) left out",
        "1 files of modality SR (dataset.modality=CT) left out",
        "1 files that are no DICOM (dataset.modality=CT) left out",
        "2 localisers (scouts, topograms) left out",
        "2 secondary captures and dose reports left out",
        "1 slices below 64 pixels left out",
    }


@pytest.mark.parametrize("modality", [None, ""])
def test_without_a_modality_every_image_is_taken(tmp_path, modality):
    slice_of(tmp_path / "set/ct.dcm")
    slice_of(tmp_path / "set/mr.dcm", Modality="MR")
    slice_of(tmp_path / "set/photo.dcm", stored=np.zeros((20, 20, 3), np.uint8), Modality="XC")
    slice_of(tmp_path / "set/report.dcm", Modality="SR", Rows=None, Columns=None, PixelData=None)
    catalogue = FolderSource(str(tmp_path / "set"), modality=modality).catalogue()
    assert len(catalogue.items) == 3
    assert "1 DICOM files without an image (SR) left out" in catalogue.notes


def test_nothing_of_the_modality_says_what_there_is(tmp_path):
    slice_of(tmp_path / "set/mr.dcm", Modality="MR")
    with pytest.raises(MedrestoreError, match=r"no image to use .* 1 files of modality MR \(dataset.modality=CT\)"):
        FolderSource(str(tmp_path / "set"), modality="CT").catalogue()


def test_of_mixed_sizes_in_a_series_the_commonest_is_kept_and_the_others_listed(tmp_path):
    for number in range(3):
        slice_of(tmp_path / f"set/a{number}.dcm")
    slice_of(tmp_path / "set/odd.dcm", side=96)
    slice_of(tmp_path / "set/other.dcm", "P2", "1.2.2", side=96)  # a series of its own
    catalogue = FolderSource(str(tmp_path / "set")).catalogue()
    assert [item.path.name for item in catalogue.items if item.path] == ["a0.dcm", "a1.dcm", "a2.dcm", "other.dcm"]
    assert [(entry.name, entry.reason) for entry in catalogue.left_out] == [
        ("odd.dcm", "it has 96 x 96 pixels, 3 of its series have 64 x 64")
    ]


@pytest.mark.parametrize("missing", [("RescaleSlope",), ("RescaleIntercept",), ("RescaleSlope", "RescaleIntercept")])
def test_a_ct_without_rescale_is_listed_and_the_rest_goes_on(tmp_path, missing):
    slice_of(tmp_path / "set/good.dcm")
    bad = slice_of(tmp_path / "set/raw.dcm", **dict.fromkeys(missing))
    catalogue = FolderSource(str(tmp_path / "set")).catalogue()
    assert len(catalogue.items) == 1
    (entry,) = catalogue.left_out
    assert entry.path == bad
    assert entry.reason == (
        f"it is a CT without {' and '.join(missing)}, so its Hounsfield units are not known; "
        "add these elements (0028,1053 and 0028,1052) or leave the file out"
    )
    with pytest.raises(MedrestoreError, match="Hounsfield units are not known"):
        imaging.read(bad)


def test_each_slice_has_its_own_rescale(tmp_path):
    """Slopes that differ within a series are normal for PET and some CT: every slice's own is used."""
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 3000
    rescales = [(1.0, -1024.0), (0.5, -1000.0), (1.5, 0.0)]
    for number, (slope, intercept) in enumerate(rescales):
        slice_of(
            tmp_path / f"set/{number}.dcm", f"{number}", stored=stored, RescaleSlope=slope, RescaleIntercept=intercept
        )
    source = FolderSource(str(tmp_path / "set"), modality="CT")
    data = data_of(source, tmp_path, "wide")
    data.prepare("all")
    for item, (slope, intercept) in zip(source.catalogue().items, rescales, strict=True):
        expected = torch.from_numpy(stored * slope + intercept).float()
        assert torch.equal(data.store.get(item)[0].pixels[0], expected)
        target = data.case(item).target
        assert target is not None
        torch.testing.assert_close(target[0], ((expected + 1024) / 4095).clamp(0, 1), atol=1e-6, rtol=0)


def _compressed(path: Path, stored: np.ndarray, syntax: UID, pixels: bytes) -> None:
    slice_of(path, stored=stored, PixelData=encapsulate([pixels]))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    data.save_as(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLosslessSV1, DeflatedExplicitVRLittleEndian])
def test_compressed_slices_hold_the_same_values(tmp_path, syntax):
    stored = np.random.default_rng(1).integers(0, 3000, (64, 80), np.uint16)
    path = tmp_path / "set/packed.dcm"
    if syntax == JPEGLosslessSV1:
        _compressed(path, stored, syntax, imagecodecs.ljpeg_encode(stored, bitspersample=16))
    elif syntax == DeflatedExplicitVRLittleEndian:
        slice_of(path, stored=stored, syntax=syntax)
    else:
        data = pydicom.dcmread(slice_of(path, stored=stored))
        data.compress(syntax)
        data.save_as(path)
    source = FolderSource(str(tmp_path / "set"), modality="CT")
    (item,) = source.catalogue().items
    assert torch.equal(source.load(item).pixels[0], torch.from_numpy(stored.astype(np.float32) - 1024))


def test_a_compression_without_decoder_is_one_line(tmp_path, monkeypatch):
    stored = np.zeros((64, 64), np.uint16)
    _compressed(tmp_path / "film.dcm", stored, MPEG2MPML, bytes(100))
    with pytest.raises(MedrestoreError, match=r"film.dcm: its pixels are stored as MPEG2 .* which is not supported$"):
        imaging.read(tmp_path / "film.dcm")
    data = pydicom.dcmread(slice_of(tmp_path / "packed.dcm", stored=stored))
    data.compress(JPEG2000Lossless)
    data.save_as(tmp_path / "packed.dcm")
    decoder = type("Decoder", (), {"is_available": False})
    monkeypatch.setattr(imaging.dicom, "get_decoder", lambda syntax: decoder)
    with pytest.raises(MedrestoreError, match=r"no decoder for that is installed; type pip install pylibjpeg "):
        imaging.read(tmp_path / "packed.dcm")


def test_truncated_files_are_listed_and_the_rest_goes_on(tmp_path):
    for number in range(4):
        slice_of(tmp_path / f"set/{number}.dcm", f"{number}")
    whole = (tmp_path / "set/3.dcm").read_bytes()
    (tmp_path / "set/3.dcm").write_bytes(whole[:-3000])
    (tmp_path / "set/head.dcm").write_bytes(whole[:300])
    source = FolderSource(str(tmp_path / "set"), modality="CT")
    assert [entry.name for entry in source.catalogue().left_out] == ["head.dcm"]
    data = data_of(source, tmp_path)
    data.prepare("all")
    assert sorted(entry.name for entry in data.left_out) == ["3.dcm", "head.dcm"]
    assert len(data.items("all")) == 3
    assert all("\n" not in entry.reason and not entry.reason.startswith("cannot read") for entry in data.left_out)


def test_the_audit_tells_series_and_what_was_left_out(tmp_path):
    root = nbia(tmp_path / "set")
    slice_of(root / "scout.dcm", "R01-001", "1.2.77", SeriesDescription="Scout")
    source = FolderSource(str(root), modality="CT")
    lines = audit(source, source.catalogue(), {}, lambda items: items).lines()
    assert "note: DICOM CT: 12 images in 6 series of 3 patients" in lines
    assert "note: 1 localisers (scouts, topograms) left out" in lines


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ([40, 0], r"sampling.window=\[40,0\] is empty.*type 'sampling.window=\[40,350\]'"),
        ([40, -80], r"sampling.window=\[40,-80\] is inverted.*type 'sampling.window=\[40,80\]'"),
        ([40], r"sampling.window=\[40\] is not centre and width"),
        (["a", 3], r"sampling.window=\['a', 3\] is not centre and width"),
        ("soft", r"sampling.window='soft' is not known; there are: auto, brain"),
    ],
)
def test_an_impossible_window_is_refused_before_any_image(tmp_path, window, said):
    for number in range(3):
        slice_of(tmp_path / f"set/{number}.dcm", f"{number}")
    with pytest.raises(MedrestoreError, match=said) as error:
        data_of(FolderSource(str(tmp_path / "set")), tmp_path, window)
    assert "\n" not in str(error.value)


def test_names_of_hu_windows_leave_photographs_as_they_are(tmp_path):
    bare = {"RescaleSlope": None, "RescaleIntercept": None}
    slice_of(tmp_path / "photo.dcm", stored=np.full((8, 8), 100, np.uint8), Modality="XC", **bare)
    slice_of(tmp_path / "ct.dcm")
    photograph, ct = (imaging.read(tmp_path / name) for name in ("photo.dcm", "ct.dcm"))
    assert imaging.window_of(photograph, "lung") is None
    assert imaging.window_of(ct, "lung") == imaging.WINDOWS["lung"]


def test_free_breathing_and_breath_hold_are_pairs_by_name(tmp_path):
    sharp = np.full((64, 64), 1074, np.uint16)  # 50 HU: the middle of the soft tissue window
    blurred = np.full((64, 64), 1144, np.uint16)  # 120 HU: a fifth of the window higher
    padded = sharp.astype(np.int16)
    padded[:, :8] = -2000
    for number in range(4):
        patient = f"P{number}"
        slice_of(tmp_path / f"hold/{patient}/1-01.dcm", patient, stored=sharp)
        slice_of(tmp_path / f"free/{patient}/1-01.dcm", patient, stored=blurred)
    free = blurred.astype(np.int16)
    free[:, 56:] = -2000
    slice_of(tmp_path / "hold/P0/1-01.dcm", "P0", stored=padded, RescaleIntercept=-1024, PixelPaddingValue=-2000)
    slice_of(tmp_path / "free/P0/1-01.dcm", "P0", stored=free, PixelPaddingValue=-2000)
    slice_of(tmp_path / "hold/P4/1-01.dcm", "P4", stored=sharp)
    slice_of(tmp_path / "free/P4/1-01.dcm", "P4", side=80)  # another size
    slice_of(tmp_path / "hold/P5/1-01.dcm", "P5", stored=sharp)
    slice_of(tmp_path / "free/P5/1-01.dcm", "another", stored=blurred)
    source = FolderPairs(str(tmp_path / "free"), str(tmp_path / "hold"), modality="CT")
    catalogue = source.catalogue()
    assert len(catalogue.items) == 4
    reasons = [entry.reason for entry in catalogue.left_out]
    assert len(reasons) == 2
    assert "has 80 x 80 pixels" in reasons[0] and "of another patient" in reasons[1]
    data = data_of(source, tmp_path)
    first, second = (data.case(item) for item in catalogue.items[:2])
    assert second.target is not None and second.mask is None
    torch.testing.assert_close(second.target, torch.full((1, 64, 64), 0.5))
    torch.testing.assert_close(second.degraded, torch.full((1, 64, 64), 0.7))
    assert first.mask is not None  # valid where both are
    assert not first.mask[0, :, :8].any() and not first.mask[0, :, 56:].any() and first.mask[0, :, 8:56].all()


@pytest.fixture(scope="module")
def real():
    if not PACK.is_dir():
        pytest.skip("no shared/data/ct in a folder above the repository")
    return FolderSource(str(PACK), modality="CT").catalogue()


def test_all_files_of_all_patients_are_there(real):
    assert len(real.items) == 200 and real.left_out == ()
    assert len({item.group for item in real.items}) == 7
    assert "DICOM CT: 200 images in 34 series of 7 patients" in real.notes
    assert Counter(item.source for item in real.items) == {"Lung-PET-CT-Dx": 170, "COVID-19-NY-SBU": 30}


@pytest.mark.parametrize("data_seed", [0, 1])
def test_no_patient_is_in_two_parts(real, data_seed):
    split = split_items(real.items, data_seed=data_seed)
    check_disjoint(real.items, split)
    assert len(split) == 200 and set(split.values()) == set(PARTS)


def test_without_the_manifest_the_headers_tell_the_same(real, tmp_path):
    (tmp_path / "ct").mkdir()
    for folder in ("tcia_lung_pet_ct_dx", "tcia_covid19_ny_sbu"):
        (tmp_path / "ct" / folder).symlink_to(PACK / folder)
    found = FolderSource(str(tmp_path / "ct"), modality="CT").catalogue()
    assert len(found.items) == 200 and found.left_out == ()

    def partition(items):
        groups: dict[str, set[str]] = {}
        for item in items:
            groups.setdefault(item.group, set()).add(item.path.resolve().relative_to(PACK.resolve()).as_posix())
        return sorted(map(sorted, groups.values()))

    assert partition(found.items) == partition(real.items)
    assert "Lung-PET-CT-Dx" in {item.source for item in found.items}


def test_padding_is_masked_and_hu_are_hu(real):
    padded = 0
    for path in sorted(PACK.glob("tcia_covid19_ny_sbu/*/axial/*.dcm")):
        header = pydicom.dcmread(path)
        raw = header.pixel_array.astype(np.float64) * header.RescaleSlope + header.RescaleIntercept
        image = imaging.read(path)
        assert image.unit == "HU" and float(image.pixels.min()) >= -1024
        if raw.min() < -1024:
            padded += 1
            assert image.mask is not None
            np.testing.assert_array_equal(image.mask[0].numpy(), raw >= -1024)
    assert padded >= 5


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_listing_reads_none_of_the_pixels(tmp_path, syntax):
    stored = np.random.default_rng(3).integers(0, 60000, (256, 256), np.uint16)
    path = slice_of(tmp_path / "set/a.dcm", "P7", stored=stored, syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (item,) = FolderSource(str(tmp_path / "set"), modality="CT").catalogue().items
    assert item.group == f"patient {hashed_group('P7')}"


def test_a_deflated_header_longer_than_the_first_step_is_found(tmp_path):
    noise = np.random.default_rng(4).bytes(200_000)
    path = tmp_path / "set/a.dcm"
    slice_of(path, "P7", syntax=DeflatedExplicitVRLittleEndian)
    data = pydicom.dcmread(path)
    block = data.private_block(0x0019, "TEST", create=True)  # before the sizes in group 0028
    block.add_new(0x01, "OB", noise)
    data.save_as(path)
    (item,) = FolderSource(str(tmp_path / "set"), modality="CT").catalogue().items
    assert item.group == f"patient {hashed_group('P7')}"
