"""dataset=brain: volumes as slices, 16 bits, folders by class without patients, colour among grey, odd sizes."""

from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
import torch
from omegaconf import OmegaConf
from PIL import Image

from medrestore import imaging
from medrestore.config import build, compose
from medrestore.data.catalogue import patients_known
from medrestore.data.crops import CropSettings
from medrestore.data.folders import FolderSource
from medrestore.data.module import LoaderSettings, RestorationData
from medrestore.data.samples import Pair
from medrestore.degradations import Downsample
from medrestore.errors import MedrestoreError
from medrestore.evaluation.setting import make_setting
from medrestore.inference.files import restore_record
from medrestore.inference.within_memory import WithinMemory
from medrestore.inspect_data import inspect_data
from medrestore.run_directory import Run

PACK = Path(__file__).parents[3] / "shared/data/brain"


def brain(root: Path, **changes: object) -> FolderSource:
    """The source that `dataset=brain dataset.root=root` builds."""
    dataset = compose("train", ["experiment=brain_sr", "dataset=brain"]).dataset
    return build(OmegaConf.merge(dataset, {"root": str(root), **changes}))


def volume(path: Path, shape=(70, 80, 5), steps=(1.0, 1.0, 4.0), seed=0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).integers(0, 3000, shape, dtype=np.int16)
    picture = nibabel.Nifti1Image(data, np.eye(4))
    picture.header.set_zooms(steps[: len(shape)])
    nibabel.save(picture, path)
    return data


def picture(path: Path, side=(80, 72), seed=0, colour=False) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(0, 255, side, dtype=np.uint8)
    Image.fromarray(np.stack([array] * 3, -1) if colour else array).save(path)
    return array


def data_of(source: FolderSource, tmp_path: Path, scale: int = 4, crop: int = 32) -> RestorationData:
    loading = LoaderSettings(1, 0, False, None, 10**8, {"train": 0.4, "val": 0.3, "test": 0.3, "file": None})
    crops = CropSettings(crop, 1, False, "auto", False, 0, 0)
    return RestorationData(
        source, Downsample(scale), 1, crops, loading, Pair, tmp_path / "split.csv", lambda items, text: items
    )


@pytest.mark.parametrize(
    ("shape", "steps", "axis", "expected"),
    [
        ((70, 80, 5), (1.0, 1.0, 4.0), "auto", 2),
        ((5, 70, 80), (4.0, 1.0, 1.0), "auto", 0),  # sagittal
        ((70, 5, 80), (0.95, 4.0, 1.0), "auto", 1),  # coronal; 0.95 and 1 are alike
        ((70, 72, 75), (1.0, 0.94, 0.94), "auto", 2),  # nearly equal steps: the last axis
        ((70, 72, 75), (1.0, 1.0, 1.0), 1, 1),
        ((70, 80), (1.0, 1.0), 0, 2),  # a picture has one slice, whatever is asked
    ],
)
def test_slices_of_a_volume_are_nibabels_arrays(tmp_path, shape, steps, axis, expected):
    data = volume(tmp_path / "scan.nii.gz", shape, steps)
    source = brain(tmp_path, axis=axis)
    catalogue = source.catalogue()
    slices = np.moveaxis(data if data.ndim == 3 else data[..., None], expected, 0)
    assert len(catalogue.items) == len(slices) and catalogue.left_out == ()
    for item, wanted in list(zip(catalogue.items, slices, strict=True))[::7]:
        found = source.load(item)
        assert torch.equal(found.pixels[0], torch.from_numpy(wanted.astype(np.float32)))
        assert found.metadata["bits"] == 16 and found.spacing is not None
        sides = [step for place, step in enumerate((*steps, 1.0)[:3]) if place != expected]
        assert found.spacing == pytest.approx(sides)


def test_a_volume_is_a_patient_and_so_is_a_bids_subject(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz", "sub-01_T1w.nii.gz", "anat/sub-01_T2w.nii.gz", "sub-02_T1w.nii"):
        volume(tmp_path / name, (64, 64, 3))
    items = brain(tmp_path).catalogue().items
    groups = {item.path.name: item.group for item in items if item.path}
    assert len(items) == 15 and len({item.key for item in items}) == 15
    assert groups["sub-01_T1w.nii.gz"] == groups["sub-01_T2w.nii.gz"] == "sub-01"
    assert len(set(groups.values())) == 4 and patients_known(items) == "known"
    across = brain(tmp_path, axis=2).catalogue().items
    assert [item.key for item in across] == [item.key for item in items]


def test_another_axis_gives_other_keys_and_masks_are_cut_alike(tmp_path):
    volume(tmp_path / "images/a.nii.gz", (64, 64, 64), (1.0, 1.0, 1.0))
    marked = np.zeros((64, 64, 64), np.uint8)
    marked[3, 10:20] = 1
    (tmp_path / "masks").mkdir()
    nibabel.save(nibabel.Nifti1Image(marked, np.eye(4)), tmp_path / "masks/a.nii.gz")
    source, last = brain(tmp_path, axis=0), brain(tmp_path)
    items = source.catalogue().items
    assert not {item.key for item in items} & {item.key for item in last.catalogue().items}
    mask = source.load_mask(items[3])
    assert mask is not None and torch.equal(mask[0], torch.from_numpy(marked[3] > 0))


@pytest.mark.parametrize(
    ("steps", "axis", "told"),
    [
        ((0.5, 0.5, 5.0), 0, "slices across axis 0 have pixels of 0.5 x 5 mm, not square; type dataset.axis=2 (0.5"),
        ((0.5, 1.0, 5.0), "auto", "across axis 2 have pixels of 0.5 x 1 mm, not square; resample it to equal steps"),
    ],
)
def test_pixels_that_are_not_square_are_refused_in_one_line(tmp_path, steps, axis, told):
    volume(tmp_path / "a.nii.gz", (64, 64, 64), steps)
    picture(tmp_path / "b.png")
    (left_out,) = brain(tmp_path, axis=axis).catalogue().left_out
    assert left_out.name == "a.nii.gz" and told in left_out.reason and "\n" not in left_out.reason


def test_an_unknown_axis_is_refused(tmp_path):
    with pytest.raises(MedrestoreError, match=r"dataset\.axis=3 is not known; type one of auto, 0, 1, 2"):
        brain(tmp_path, axis=3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_survive_the_way_in_and_back(tmp_path, suffix):
    """An MR slice uses a part of the range: it is shown in its own window, and comes back on its own levels."""
    array = np.random.default_rng(0).integers(0, 1200, (64, 72), dtype=np.uint16)
    path = tmp_path / f"slice{suffix}"
    if suffix == ".png":
        path.write_bytes(bytes(imagecodecs.png_encode(array)))
    else:
        tifffile.imwrite(path, array)
    source = brain(tmp_path)
    image = source.load(source.catalogue().items[0])
    assert np.array_equal((image.pixels[0].numpy() * 65535).round().astype(np.uint16), array)
    window = imaging.window_of(image, "auto")
    assert window is not None and 65535 * window.high == pytest.approx(np.quantile(array, 0.995), abs=1)
    assert imaging.to_unit(image.pixels, window).mean() == pytest.approx(0.5, abs=0.02)
    assert imaging.window_of(image, "brain") == window  # 0 to 80 HU mean nothing here

    class Doubled(torch.nn.Module):
        channels, scale, context = 1, 2, 0

        def forward(self, degraded):
            return degraded.repeat_interleave(2, -1).repeat_interleave(2, -2)

    restored = restore_record(WithinMemory(Doubled().eval(), 2**30), image, "auto")
    written = imaging.write(tmp_path / f"out{suffix}", restored, image)
    back = imaging.read(written)
    assert back.metadata["bits"] == 16 and written.suffix == suffix
    inside = (array >= 65535 * window.low) & (array <= 65535 * window.high)
    levels = (back.pixels[0, ::2, 1::2].numpy() * 65535).round()
    assert np.abs(levels - array)[inside].max() <= 1


def test_windows_of_hu_are_for_ct_alone():
    def record(modality: str, unit: imaging.Unit) -> imaging.Image:
        about = {"format": "dicom", "bits": 16, "modality": modality}
        return imaging.Image(torch.arange(1000.0).view(1, 20, 50), None, unit, None, Path("a"), None, None, about)

    for image in (record("CT", "HU"), record("", "signal"), record("CT", "signal")):  # NIfTI names no modality
        assert imaging.window_of(image, "brain") == imaging.WINDOWS["brain"]
    found = imaging.window_of(record("MR", "signal"), "brain")
    assert found is not None and found.name == "percentiles"
    assert imaging.window_of(record("MR", "signal"), [50, 100]) == imaging.Window(0, 100)


def test_a_sixteen_bit_photograph_stays_as_it_is():
    colour = torch.rand(3, 8, 8) / 10
    photograph = imaging.Image(colour, None, "intensity", None, Path("a"), None, None, {"format": "png", "bits": 16})
    assert imaging.window_of(photograph, "auto") is None


def test_grey_files_in_colour_are_grey_and_coloured_ones_are_listed(tmp_path):
    for number in range(4):
        picture(tmp_path / f"{number}.png", seed=number)
    array = picture(tmp_path / "5.png", seed=5, colour=True)
    Image.fromarray(np.stack([array] * 3, -1)).save(tmp_path / "6.jpg")
    heat = np.stack([array, 255 - array, array], -1)
    Image.fromarray(heat).save(tmp_path / "7.png")
    source = brain(tmp_path)
    items = {item.path.name: item for item in source.catalogue().items if item.path}
    grey = source.load(items["5.png"])
    assert grey.pixels.shape == (1, 80, 72) and np.array_equal((grey.pixels[0] * 255).round().numpy(), array)
    assert source.load(items["6.jpg"]).pixels.shape[0] == 1
    data = data_of(source, tmp_path)
    data.prepare("train", "val", "test")
    (left_out,) = data.left_out
    assert left_out.name == "7.png" and "colour image among grey ones (its channels differ by up to" in left_out.reason
    assert "dataset.grey=false" in left_out.reason and "\n" not in left_out.reason
    assert brain(tmp_path, grey=False).load(items["7.png"]).pixels.shape[0] == 3


def test_folders_by_class_know_no_patients_and_every_table_says_so(tmp_path):
    for kind in ("glioma", "meningioma"):
        for number in range(5):
            picture(tmp_path / f"set/{kind}/{number}.png", (64, 64), seed=number + 10 * len(kind))
    rows = [
        f"set/{kind}/{number}.png,sharp,figshare_{kind},{kind}"
        for kind in ("glioma", "meningioma")
        for number in range(5)
    ]
    config = compose("train", ["dataset=brain", "+network@model.generator=plain", f"dataset.root={tmp_path / 'set'}"])
    for manifest in (False, True):  # further up, and it calls a whole class a group
        if manifest:
            (tmp_path / "MANIFEST.csv").write_text("\n".join(["file,role,group,label", *rows]))
        data = data_of(build(config.dataset), tmp_path)
        assert {item.label for item in data.catalogue.items} == {"glioma", "meningioma"}
        assert len({item.group for item in data.catalogue.items}) == 10
        assert any(note.startswith("patients unknown: every image is its own group") for note in data.notes)
        setting = make_setting(Run(tmp_path, config), config, "test", data, {}, None, None, [])
        assert setting.conditions["patients"] == "unknown"
        assert any(line.startswith("patients unknown: every such image is its own group") for line in setting.footnotes)
    phantom = [
        "dataset=brain_phantom",
        "dataset.patients=3",
        "dataset.slices_per_patient=1",
        "dataset.size=64",
        "+network@model.generator=plain",
    ]
    known = compose("train", phantom)
    data = data_of(build(known.dataset), tmp_path / "phantom")
    setting = make_setting(Run(tmp_path, known), known, "all", data, {}, None, None, [])
    assert setting.conditions["patients"] == "known" and not any("unknown" in line for line in setting.footnotes)


def test_sizes_that_do_not_divide_are_cut_and_small_images_are_said(tmp_path):
    for number in range(5):
        picture(tmp_path / f"{number}.png", (67, 73), seed=number)
    picture(tmp_path / "small.png", (40, 44))
    picture(tmp_path / "tiny.png", (20, 90))
    data = data_of(brain(tmp_path), tmp_path, crop=64)
    for part in ("train", "val", "test"):
        data.prepare(part)
    (left_out,) = data.left_out
    assert left_out.name == "tiny.png"
    assert left_out.reason == "it has 90 x 20 pixels, fewer than the 32 a side that the factor needs; leave it out"
    cases = list(data.cases("all"))
    assert {tuple(case.target.shape) for case in cases if case.target is not None} == {(1, 64, 72), (1, 40, 44)}
    assert all(4 * case.degraded.shape[-1] == case.target.shape[-1] for case in cases if case.target is not None)
    everything = data_of(brain(tmp_path), tmp_path / "all", crop=48)
    for key in everything.split:
        everything.split[key] = "train"
    everything.prepare("train")
    assert everything.notes[-1] == (
        "1 of 6 training images are smaller than a crop of 48 pixels (the smallest 44 x 40) and are mirrored beyond "
        "their borders; type sampling.crop=40 to cut inside all"
    )


def test_one_patient_can_be_inspected(tmp_path, capsys):
    volume(tmp_path / "one.nii.gz", (64, 64, 4))
    overrides = ["dataset=brain", f"dataset.root={tmp_path}", "degradation=downsample", f"output={tmp_path / 'out'}"]
    assert inspect_data.__wrapped__(compose("inspect_data", [*overrides, "channels=1", "sampling.crop=32"])) == 0
    told = capsys.readouterr().out
    assert "4 images: 0 train, 0 val, 0 test" in told
    assert "note: no split: a split needs 3 patients or scenes, found 1 in 4 images" in told
    assert (tmp_path / "out/preview.png").exists()


@pytest.mark.skipif(not PACK.is_dir(), reason="the image pack is not here")
@pytest.mark.parametrize(
    ("folder", "images", "patients"),
    [("figshare_t1ce", 200, "unknown"), ("studyforrest_t1w", 90, "known"), ("", 290, "unknown for 200 of 290 images")],
)
def test_the_image_pack(folder, images, patients):
    source = brain(PACK / folder)
    catalogue = source.catalogue()
    assert len(catalogue.items) == images and catalogue.left_out == ()
    assert patients_known(catalogue.items) == patients
    assert source.load(catalogue.items[-1]).pixels.shape[0] == 1
