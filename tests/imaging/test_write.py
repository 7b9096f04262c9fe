import os
import stat
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import Image, destination, read, write


def _like(unit: Any = "intensity", spacing: tuple[float, float] | None = None, size: int = 4, **metadata: Any) -> Image:
    return Image(torch.zeros(1, size, size), spacing, unit, None, Path("x"), None, None, metadata)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", np.uint8),
        (".png", np.uint16),
        (".bmp", np.uint8),
        (".tif", np.uint8),
        (".tiff", np.uint16),
        (".tif", np.float32),
        (".tif", np.int16),
        (".tif", np.int32),
    ],
)
def test_round_trip_keeps_every_stored_value(tmp_path: Path, suffix: str, dtype: Any, channels: int):
    limits = np.iinfo(dtype) if np.dtype(dtype).kind != "f" else None
    low, high = (max(limits.min, -(2**24)), min(limits.max, 2**24)) if limits else (0, 1)
    stored = np.linspace(low, high, 256 * 256 * channels).round(0 if limits else 9).astype(dtype)
    stored = stored.reshape(256, 256, channels)  # every 8- and 16-bit value occurs
    source = tmp_path / f"in{suffix}"
    if suffix.startswith(".tif"):
        tifffile.imwrite(source, stored.squeeze(), photometric="minisblack" if channels == 1 else "rgb")
    elif dtype == np.uint8:
        PIL.Image.fromarray(stored.squeeze()).save(source)
    else:
        import cv2

        assert cv2.imwrite(str(source), stored[..., ::-1].squeeze())
    image = read(source)
    path = write(tmp_path / f"out{suffix}", image.pixels, image)
    assert path == tmp_path / f"out{suffix}"
    again = read(path)
    assert torch.equal(again.pixels, image.pixels)
    assert again.metadata == image.metadata and again.unit == image.unit
    if suffix.startswith(".tif"):
        with tifffile.TiffFile(path) as file:
            written = file.asarray()
    elif dtype == np.uint8:
        with PIL.Image.open(path) as file:
            assert file.mode == ("L" if channels == 1 else "RGB")
            written = np.asarray(file)
    else:
        written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        written = written if channels == 1 else written[..., ::-1]
    assert written.dtype == dtype and np.array_equal(written, stored.squeeze())


def test_values_are_rounded_and_clipped_not_cut_or_wrapped(tmp_path: Path):
    values = torch.tensor([[[-0.3, 0.4, 0.6, 1.49], [253.6, 254.4, 255.0, 300.0]]])
    path = write(tmp_path / "a.png", values / 255, _like(format="png", bits=8))
    assert np.asarray(PIL.Image.open(path)).tolist() == [[0, 0, 1, 1], [254, 254, 255, 255]]
    hu = torch.tensor([[[-1000.6, -0.4, 0.5, 1.5, 1e6]]])
    path = write(tmp_path / "a.dcm", hu, _like("HU", format="dicom", bits=16))
    assert tifffile.imread(path).tolist() == [[-1001, 0, 0, 2, 32767]]


@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 3)])
def test_jpeg_keeps_quality_and_full_colour(tmp_path: Path, shape: tuple[int, ...]):
    ramp = np.add.outer(np.arange(32) * 2, np.arange(48) * 3).astype(np.uint8)
    stored = ramp if len(shape) == 2 else np.stack([ramp, ramp[::-1], 255 - ramp], -1)
    PIL.Image.fromarray(stored).save(tmp_path / "in.jpg", quality=95, subsampling=0)
    image = read(tmp_path / "in.jpg")
    path = write(tmp_path / "out.jpeg", image.pixels, image)
    assert path.name == "out.jpeg"
    with PIL.Image.open(path) as file, PIL.Image.open(tmp_path / "in.jpg") as first:
        assert file.mode == first.mode == ("L" if len(shape) == 2 else "RGB")
        assert file.quantization == first.quantization  # type: ignore[attr-defined]  # quality 95
        assert all(component[1:3] == (1, 1) for component in file.layer)  # type: ignore[attr-defined]  # no subsampling
    torch.testing.assert_close(read(path).pixels, image.pixels, atol=3.01 / 255, rtol=0)


def test_ct_becomes_a_tiff_that_says_hu(tmp_path: Path, bundled):
    image = read(bundled("CT_small.dcm"))
    path = write(tmp_path / "deep" / "er" / "slice.dcm", image.pixels, image)
    assert path == tmp_path / "deep" / "er" / "slice.tif"
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.description == "HU" and file.pages.first.dtype == np.int16
        assert np.array_equal(file.asarray(), image.pixels[0].numpy())
    again = read(path)
    assert again.unit == "HU" and torch.equal(again.pixels, image.pixels)
    assert again.spacing == pytest.approx(image.spacing, rel=1e-6)
    assert b"CANARY" not in path.read_bytes() and str(image.group).encode() not in path.read_bytes()
    third = write(tmp_path / "third.tif", again.pixels, again)
    assert torch.equal(read(third).pixels, image.pixels) and read(third).unit == "HU"


def test_mr_and_nifti_become_float_tiff(tmp_path: Path, bundled, rng: np.random.Generator):
    nibabel.save(nibabel.Nifti1Image(rng.random((5, 6, 3), dtype=np.float32), np.eye(4)), tmp_path / "v.nii.gz")
    for source, name in ((bundled("MR_small.dcm"), "1.2.840.7"), (tmp_path / "v.nii.gz", "v.nii.gz")):
        image = read(source)
        pixels = image.pixels + 0.25
        path = write(tmp_path / name, pixels, image)
        assert path.name == ("1.2.840.7.tif" if name[0] == "1" else "v.tif")
        again = read(path)
        assert again.unit == "signal" and torch.equal(again.pixels, pixels)
        assert again.metadata["dtype"] == "float32" and again.spacing == pytest.approx(image.spacing, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("examples_rgb_color.dcm", np.uint8), ("SC_rgb_rle_16bit.dcm", np.uint16), ("image_dfl.dcm", np.uint8)],
)
def test_photographs_in_dicom_keep_their_depth(tmp_path: Path, bundled, name: str, dtype: Any):
    image = read(bundled(name))
    path = write(tmp_path / name, image.pixels, image)
    assert tifffile.imread(path).dtype == dtype
    again = read(path)
    assert again.unit == "intensity" and torch.equal(again.pixels, image.pixels)


def test_spacing_follows_a_change_of_size(tmp_path: Path):
    like = _like("signal", spacing=(2.0, 1.0), format="dicom", bits=16)
    path = write(tmp_path / "a.tif", torch.zeros(1, 8, 16), like)
    assert read(path).spacing == pytest.approx((1.0, 0.25))


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("a.png", "png", "a.png"),
        ("a.PNG", "png", "a.PNG"),
        ("a.jpeg", "jpeg", "a.jpeg"),
        ("a.jpg", "png", "a.png"),
        ("a.gif", "gif", "a.png"),
        ("a.TIFF", "tiff", "a.TIFF"),
        ("a.dcm", "dicom", "a.tif"),
        ("a.b.nii.gz", "nifti", "a.b.tif"),
        ("1.2.840.113", "dicom", "1.2.840.113.tif"),
        ("plain", "jpeg", "plain.jpg"),
    ],
)
def test_destination(name: str, format: str, expected: str):
    assert destination(Path("d") / name, _like(format=format, bits=8)) == Path("d") / expected


def test_generated_images_of_another_unit_fall_back_to_tiff(tmp_path: Path):
    path = write(tmp_path / "a.png", torch.full((1, 3, 3), -7.0), _like("HU", format="png", bits=16))
    assert path.suffix == ".tif" and read(path).unit == "HU"


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    like = _like(format="png", bits=8)
    path = write(tmp_path / "a.png", torch.zeros(1, 4, 4), like)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MedrestoreError, match="No space left"):
        write(path, torch.ones(1, 4, 4), like)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_permissions_are_the_usual_ones(tmp_path: Path):
    path = write(tmp_path / "a.png", torch.zeros(1, 4, 4), _like(format="png", bits=8))
    (tmp_path / "usual").write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize(
    "pixels", [torch.zeros(4, 4), torch.zeros(2, 4, 4), torch.zeros(1, 0, 4), torch.full((1, 2, 2), torch.nan)]
)
def test_what_is_no_image_is_not_written(tmp_path: Path, pixels: torch.Tensor):
    with pytest.raises(MedrestoreError, match="cannot write") as error:
        write(tmp_path / "a.png", pixels, _like(format="png", bits=8))
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_targets_that_cannot_be_written_give_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(MedrestoreError, match="cannot write"):
            write(target, torch.zeros(1, 4, 4), _like(format="png", bits=8))
    with pytest.raises(MedrestoreError, match="no format 'webp'"):
        write(tmp_path / "a.webp", torch.zeros(1, 4, 4), _like(format="webp", bits=8))
