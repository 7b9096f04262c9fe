import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import Window, frames, read


def _save(path: Path, data: np.ndarray, zooms: tuple[float, ...], unit: str = "mm", version: int = 1) -> Path:
    image = (nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image)(data, np.eye(4))
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_slices(tmp_path: Path, rng: np.random.Generator, suffix: str, version: int):
    data = rng.integers(-500, 500, (13, 18, 7), dtype=np.int16)
    path = _save(tmp_path / f"a{suffix}", data, (0.5, 0.75, 3.0), version=version)
    assert frames(path) == 7
    for frame, index in ((None, 3), (0, 0), (6, 6)):
        image = read(path, frame)
        assert torch.equal(image.pixels[0], torch.from_numpy(data[:, :, index].astype(np.float32)))
        assert (image.unit, image.spacing, image.window, image.mask) == ("signal", (0.5, 0.75), None, None)
        assert image.metadata == {"format": "nifti", "bits": 16, "frame": index, "frames": 7}
    with pytest.raises(MedrestoreError, match="frame 7 was asked for, but it has 7"):
        read(path, 7)


def test_slope_and_intercept_are_applied(tmp_path: Path, rng: np.random.Generator):
    data = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    image = nibabel.Nifti1Image(data, np.eye(4))
    image.header.set_slope_inter(2.5, -7)
    header = image.header.copy()
    body = header.binaryblock + bytes(4) + data.tobytes(order="F")
    header["vox_offset"] = 352
    (tmp_path / "a.nii").write_bytes(header.binaryblock + body[348:])
    expected = torch.from_numpy(data[..., 1].astype(np.float32)) * 2.5 - 7
    assert torch.equal(read(tmp_path / "a.nii").pixels[0], expected)


def test_units_of_length_four_axes_and_two_axes(tmp_path: Path, rng: np.random.Generator):
    data = rng.random((4, 5, 6, 2), dtype=np.float32)
    path = _save(tmp_path / "a.nii.gz", data, (0.002, 0.001, 0.003, 1.0), unit="meter")
    image = read(path, 5)
    assert frames(path) == 6 and image.spacing == pytest.approx((2.0, 1.0))
    assert torch.equal(image.pixels[0], torch.from_numpy(data[:, :, 5, 0]))
    flat = _save(tmp_path / "b.nii", data[:, :, 0, 0], (700.0, 900.0), unit="micron")
    assert frames(flat) == 1 and read(flat).spacing == pytest.approx((0.7, 0.9))
    assert torch.equal(read(flat).pixels[0], torch.from_numpy(data[:, :, 0, 0]))


def test_real_file_that_nibabel_brings():
    path = Path(str(nibabel.__file__)).parent / "tests/data/example4d.nii.gz"
    if not path.exists():
        pytest.skip("this nibabel does not bring its test data")
    image = read(path)
    expected = np.asarray(nibabel.Nifti1Image.from_filename(path).dataobj)[:, :, 12, 0]
    assert frames(path) == 24 and image.spacing == (2.0, 2.0)
    assert image.window == Window(0.0, 1162.0, "file")
    assert torch.equal(image.pixels[0], torch.from_numpy(expected.astype(np.float32)))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_truncated_volumes_are_refused_whichever_slice(
    tmp_path: Path, rng: np.random.Generator, share: float, suffix: str
):
    path = _save(tmp_path / f"a{suffix}", rng.integers(0, 999, (30, 30, 9), dtype=np.int16), (1.0, 1.0, 1.0))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for frame in (0, 8):
        with pytest.raises(MedrestoreError, match=r"cannot read .*a\.nii"):
            read(path, frame)


def test_wrong_name_and_extra_bytes_do_not_matter(tmp_path: Path, rng: np.random.Generator):
    data = rng.integers(0, 999, (5, 6, 3), dtype=np.int16)
    path = _save(tmp_path / "a.nii.gz", data, (1.0, 1.0, 1.0))
    zipped = path.read_bytes()
    (tmp_path / "named.nii").write_bytes(zipped)
    (tmp_path / "members.nii.gz").write_bytes(zipped + gzip.compress(b"more"))
    for name in ("named.nii", "members.nii.gz"):
        assert torch.equal(read(tmp_path / name, 2).pixels[0], torch.from_numpy(data[..., 2].astype(np.float32)))


def test_volumes_that_are_too_large_empty_or_not_numbers_are_refused(tmp_path: Path):
    header = nibabel.Nifti1Header()
    header["vox_offset"] = 352
    for shape, dtype, reason in (
        ((30000, 30000, 30000), np.int16, "more than the limit"),
        ((4, 5, 0), np.int16, "size of zero"),
        ((4, 5, 6), np.complex64, "only whole and real numbers"),
    ):
        header.set_data_dtype(dtype)
        header.set_data_shape(shape)
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(5000)))
        for action in (read, frames):
            with pytest.raises(MedrestoreError, match=reason):
                action(tmp_path / "a.nii.gz")


def test_nan_is_refused_in_its_slice(tmp_path: Path):
    data = np.ones((4, 5, 3), dtype=np.float32)
    data[0, 0, 1] = np.nan
    path = _save(tmp_path / "a.nii", data, (1.0, 1.0, 1.0))
    assert read(path, 0).pixels.unique().tolist() == [1.0]
    with pytest.raises(MedrestoreError, match="NaN"):
        read(path, 1)
