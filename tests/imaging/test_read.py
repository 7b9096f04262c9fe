import gzip
import logging
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

from medrestore.errors import MedrestoreError
from medrestore.imaging import SUFFIXES, frames, is_image, read


def _refused(path: Path) -> str:
    texts = []
    for action in (read, frames):
        with pytest.raises(MedrestoreError) as error:
            action(path)
        texts.append(str(error.value))
        assert str(path) in texts[-1] and "\n" not in texts[-1]
        assert error.value.__cause__ is None and error.value.__suppress_context__
    return texts[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_text_noise_and_missing_files_give_one_line(tmp_path: Path, rng: np.random.Generator, suffix: str):
    path = tmp_path / f"a{suffix}"
    assert "there is no such file" in _refused(path)
    path.write_bytes(b"")
    assert "empty (0 bytes)" in _refused(path)
    for content in (b"<html>404 not found</html>", b"P", rng.bytes(4000), bytes(4000), gzip.compress(b"hello")):
        path.write_bytes(content)
        assert "not an image of a known kind" in _refused(path)


def test_folders_are_refused(tmp_path: Path):
    assert "is a folder" in _refused(tmp_path)


@pytest.mark.parametrize(
    "magic",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"BM",
        b"II*\x00",
        b"MM\x00*",
        b"II+\x00",
        b"\x1f\x8b\x08\x00",
        bytes(128) + b"DICM",
        struct.pack("<i", 348) + bytes(340) + b"n+1\x00",
        struct.pack("<i", 540) + b"n+2\x00",
        b"\x08\x00\x05\x00CS\x02\x00",
    ],
)
def test_a_head_without_a_body_gives_one_line(tmp_path: Path, rng: np.random.Generator, magic: bytes):
    for tail in (b"", bytes(600), rng.bytes(600)):
        path = tmp_path / "a.dcm"
        path.write_bytes(magic + tail)
        with pytest.raises(MedrestoreError) as error:
            read(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".tif", "16.png", "lzw.tif"])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_truncated_files_give_one_line(tmp_path: Path, rng: np.random.Generator, suffix: str, share: float):
    path = tmp_path / f"a{suffix}"
    stored = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if suffix == "16.png":
        stored = stored[..., 0].astype(np.uint16) * 257
        PIL.Image.fromarray(stored).save(path)
    elif suffix == "lzw.tif":
        tifffile.imwrite(path, stored, photometric="rgb", compression="lzw", rowsperstrip=8)
    else:
        PIL.Image.fromarray(stored).save(path)
    assert read(path).pixels.shape[1:] == (64, 64)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(MedrestoreError, match="cannot read") as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_content_decides_not_the_name(tmp_path: Path, rng: np.random.Generator):
    stored = rng.integers(0, 256, (9, 8), dtype=np.uint8)
    PIL.Image.fromarray(stored).save(tmp_path / "a.png")
    for name in ("a.jpg", "b.tif", "c.dcm", "d", "e.txt"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
        image = read(tmp_path / name)
        assert image.metadata["format"] == "png"
        assert torch.equal(image.pixels[0], torch.from_numpy(stored / np.float32(255)))


def _png(width: int, height: int, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def test_bombs_are_refused_by_their_header(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(_png(60000, 60000, 8, 2))
    with pytest.raises(MedrestoreError, match="10,800,000,000 decoded bytes, more than the limit"):
        read(path)
    path.write_bytes(_png(40000, 40000, 16, 0))
    with pytest.raises(MedrestoreError, match="more than the limit"):
        read(path)
    path.write_bytes(_png(20000, 20000, 8, 0))  # within our limit, beyond Pillow's
    with pytest.raises(MedrestoreError, match="decompression bomb"):
        read(path)
    tiff = tmp_path / "a.tif"
    tifffile.imwrite(tiff, np.zeros((8, 8), np.uint8), photometric="minisblack")
    with tifffile.TiffFile(tiff, mode="r+") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(65535)
    with pytest.raises(MedrestoreError, match="more than the limit"):
        read(tiff)


def test_a_tiff_that_declares_more_strips_than_it_has_is_refused(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), photometric="minisblack", compression="zlib", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ImageLength"].overwrite(2**24)
    with pytest.raises(MedrestoreError, match="truncated TIFF"):
        read(path)


@pytest.mark.parametrize(("width", "height"), [(0, 4), (4, 0)])
@pytest.mark.parametrize("depth", [8, 16])
def test_zero_sizes_are_refused(tmp_path: Path, width: int, height: int, depth: int):
    (tmp_path / "a.png").write_bytes(_png(width, height, depth, 0))
    with pytest.raises(MedrestoreError, match="size of zero"):
        read(tmp_path / "a.png")


def test_what_a_folder_walk_takes(tmp_path: Path):
    png = _png(4, 4, 8, 0)
    for name in ("a.png", "B.JPG", "c.nii.gz", "d.Dcm", ".hidden.png", "notes.txt", "plain", "csv.gz"):
        (tmp_path / name).write_bytes(png)
    for name in ("1.2.840.113", "suffixless", "DICOMDIR"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "folder.png").mkdir()
    taken = {path.name for path in tmp_path.iterdir() if is_image(path)}
    assert taken == {"a.png", "B.JPG", "c.nii.gz", "d.Dcm", "1.2.840.113", "suffixless"}
    assert not is_image(tmp_path / "missing.png")


def test_warnings_and_log_lines_of_the_libraries_stay_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture, bundled):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(bundled("JPEG2000.dcm"))  # its header has a value that pydicom warns of
        read(bundled("693_J2KI.dcm"))
        for name in ("MR_truncated.dcm", "badVR.dcm"):
            with pytest.raises(MedrestoreError):
                read(bundled(name))
    assert not caught
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not logging.getLogger("pydicom").disabled
