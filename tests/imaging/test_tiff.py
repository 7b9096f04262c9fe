from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import frames, read


def _planes(stored: np.ndarray) -> torch.Tensor:
    planes = stored[None] if stored.ndim == 2 else stored.transpose(2, 0, 1)
    return torch.from_numpy(planes.astype(np.float64)).float()


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_whole_numbers(tmp_path: Path, rng: np.random.Generator, compression: str | None, dtype: Any, channels: int):
    white = np.iinfo(dtype).max
    stored = rng.integers(0, white, (33, 47, channels), dtype=dtype, endpoint=True).squeeze()
    path = tmp_path / "a.tif"
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(path, stored, photometric=photometric, compression=compression, rowsperstrip=10)
    image = read(path)
    expected = stored if channels == 1 else stored[..., :3]
    assert torch.equal(image.pixels, _planes(expected / white))
    assert image.unit == "intensity" and image.window is None and image.spacing is None
    assert (image.metadata["format"], image.metadata["bits"]) == ("tiff", 8 * np.dtype(dtype).itemsize)


def test_planar_tiled_and_big_endian(tmp_path: Path, rng: np.random.Generator):
    stored = rng.integers(0, 65536, (70, 50, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "b.tif", stored, photometric="rgb", tile=(32, 16), compression="lzw", byteorder=">")
    for name in ("a.tif", "b.tif"):
        assert torch.equal(read(tmp_path / name).pixels, _planes(stored / 65535)), name


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_one_pixel_wide(tmp_path: Path, rng: np.random.Generator, shape: tuple[int, int]):
    stored = rng.integers(0, 256, shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    assert torch.equal(read(tmp_path / "a.tif").pixels, _planes(stored / 255))


def test_bilevel_white_is_zero_twelve_bit_and_palette(tmp_path: Path, rng: np.random.Generator):
    bits = rng.random((9, 20)) > 0.5
    PIL.Image.fromarray(bits).save(tmp_path / "bits.tif", compression="group4")
    assert torch.equal(read(tmp_path / "bits.tif").pixels, _planes(bits))

    grey = rng.integers(0, 256, (9, 20), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "white.tif", grey, photometric="miniswhite")
    assert torch.equal(read(tmp_path / "white.tif").pixels, _planes((255 - grey) / 255))

    twelve = rng.integers(0, 4096, (9, 20), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "twelve.tif", twelve, photometric="minisblack", bitspersample=12)
    assert torch.equal(read(tmp_path / "twelve.tif").pixels, _planes(twelve / 4095))

    colours = rng.integers(0, 256, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=colours * 257)
    image = read(tmp_path / "palette.tif")
    assert torch.equal(image.pixels, _planes(colours[:, grey].transpose(1, 2, 0) / 255))
    assert image.metadata["bits"] == 8


@pytest.mark.parametrize(
    ("values", "description", "unit"),
    [
        (np.linspace(0, 1, 20, dtype=np.float32), "", "intensity"),
        (np.linspace(0, 1.01, 20, dtype=np.float32), "", "signal"),
        (np.linspace(-0.01, 1, 20, dtype=np.float64), "", "signal"),
        (np.linspace(0, 1, 20, dtype=np.float32), "signal", "signal"),
        (np.linspace(-900, 900.5, 20, dtype=np.float32), "HU", "HU"),
        (np.linspace(-1024, 3000, 20).astype(np.int16), "", "signal"),
        (np.linspace(-1024, 3000, 20).astype(np.int16), "thorax\nHU, rescaled", "HU"),
        (np.linspace(-1024, 3000, 20).astype(np.int16), "SHUTTER 3", "signal"),
        (np.linspace(0, 2**24, 20).astype(np.uint32), "", "signal"),
    ],
)
def test_units_of_real_and_signed_numbers(tmp_path: Path, values: np.ndarray, description: str, unit: str):
    stored = values.reshape(4, 5)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", description=description, metadata=None)
    image = read(tmp_path / "a.tif")
    assert image.unit == unit
    assert torch.equal(image.pixels, _planes(stored))
    assert image.metadata["dtype"] == stored.dtype.name


def test_pages(tmp_path: Path, rng: np.random.Generator):
    stack = rng.integers(0, 256, (4, 6, 7), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    assert frames(tmp_path / "a.tif") == 4
    assert torch.equal(read(tmp_path / "a.tif").pixels, _planes(stack[0] / 255))
    assert torch.equal(read(tmp_path / "a.tif", frame=2).pixels, _planes(stack[2] / 255))
    with pytest.raises(MedrestoreError, match="frame 4 was asked for, but it has 4"):
        read(tmp_path / "a.tif", frame=4)


def test_jpeg_in_tiff_equals_the_reference_decoder(tmp_path: Path):
    ramp = np.add.outer(np.arange(32) * 3, np.arange(48) * 2)
    rgb = np.stack([ramp, ramp[::-1], ramp // 2], -1).astype(np.uint8)
    PIL.Image.fromarray(rgb).convert("YCbCr").save(tmp_path / "a.tif", compression="jpeg")
    with PIL.Image.open(tmp_path / "a.tif") as file:
        expected = np.asarray(file.convert("RGB"))
    torch.testing.assert_close(read(tmp_path / "a.tif").pixels, _planes(expected / 255), atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_other_colours_are_refused_by_name(tmp_path: Path, mode: str):
    PIL.Image.new("RGB", (8, 8)).convert("YCbCr" if mode == "YCbCr" else "RGB").save(tmp_path / "a.tif")
    if mode != "YCbCr":
        PIL.Image.new(mode, (8, 8)).save(tmp_path / "a.tif")
    with pytest.raises(MedrestoreError, match="save it as RGB or grey"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: float):
    stored = np.ones((4, 5))
    stored[1, 2] = bad
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    with pytest.raises(MedrestoreError, match=r"a\.tif: it holds 1 values that are NaN or infinite"):
        read(tmp_path / "a.tif")


def test_channels_that_are_no_colours_and_complex_numbers_are_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "five.tif", np.zeros((6, 7, 5), np.uint8), photometric="minisblack", planarconfig=1)
    with pytest.raises(MedrestoreError, match="5 channels"):
        read(tmp_path / "five.tif")
    tifffile.imwrite(tmp_path / "complex.tif", np.zeros((6, 7), np.complex64), photometric="minisblack")
    with pytest.raises(MedrestoreError, match="not a whole or a real number"):
        read(tmp_path / "complex.tif")
