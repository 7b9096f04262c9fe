import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from medrestore.errors import MedrestoreError
from medrestore.imaging import frames, read

RESCALE = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def test_rle_that_decodes_to_more_than_the_header_says_does_not_panic(bundled, tmp_path: Path):
    dataset = pydicom.dcmread(str(bundled("MR_small_RLE.dcm")))
    dataset.Rows = 63
    dataset.save_as(tmp_path / "a.dcm")
    try:
        assert torch.equal(read(tmp_path / "a.dcm").pixels, read(bundled("MR_small.dcm")).pixels[:, :63])
    except MedrestoreError as error:
        assert "a.dcm" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", ["rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm"])
def test_files_without_an_image_are_refused(bundled, name: str):
    for action in (read, frames):
        with pytest.raises(MedrestoreError, match="DICOM file without an image"):
            action(bundled(name))


@pytest.mark.parametrize("share", [0.03, 0.2, 0.6, 0.99])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_truncated_files_give_one_line_without_the_patient(make_dicom, rng, share: float, syntax: Any):
    path = make_dicom(rng.integers(0, 4096, (64, 64), dtype=np.int16), RESCALE, syntax=syntax)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(MedrestoreError) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and "CANARY" not in str(error.value)


def test_damaged_headers_never_tell_the_patient(make_dicom, rng):
    whole = make_dicom(rng.integers(0, 4096, (8, 8), dtype=np.int16), RESCALE).read_bytes()
    path = Path(str(make_dicom(np.zeros((8, 8), dtype=np.int16), RESCALE)))
    refused = 0
    for position in range(132, len(whole) - 128, 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :])
        try:
            read(path)
        except MedrestoreError as error:
            refused += 1
            assert "CANARY" not in str(error) and "\n" not in str(error)
    assert refused > 20


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Rows": 60000, "Columns": 60000}, "more than the limit"),
        ({"NumberOfFrames": 2**26}, "more than the limit"),
        ({"Rows": 0}, "size of zero"),
        ({"NumberOfFrames": -1}, "size of zero"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "Rescale Slope is 0"),
        ({"Rows": 9}, "less than expected"),
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_sizes_that_cannot_be_are_refused(make_dicom, elements: dict, reason: str, syntax: Any):
    path = make_dicom(np.zeros((8, 8), dtype=np.int16), elements, syntax=syntax)
    with pytest.raises(MedrestoreError, match=reason):
        read(path)


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_deflated_bomb_is_refused_in_little_memory(make_dicom, place: str):
    path = make_dicom(np.zeros((8, 8), dtype=np.int16), RESCALE, syntax=DeflatedExplicitVRLittleEndian)
    whole = path.read_bytes()
    start = 132 + 12 + int.from_bytes(whole[140:144], "little")
    body = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 2**28
    group = b"\x09\x00" if place == "before" else b"\xfc\xff"
    element = group + b"\x01\x10OB\x00\x00" + size.to_bytes(4, "little")
    cut = body.index(b"\x10\x00\x20\x00") if place == "before" else len(body)  # before the PatientID
    packed = [packer.compress(body[:cut] + element)]
    packed += [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    path.write_bytes(whole[:start] + b"".join([*packed, packer.compress(body[cut:]), packer.flush()]))
    assert path.stat().st_size < 2**22
    tracemalloc.start()
    try:
        with pytest.raises(MedrestoreError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
