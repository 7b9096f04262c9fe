from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

MakeDicom = Callable[..., Path]


@pytest.fixture
def bundled() -> Callable[[str], Path]:
    """Path of a DICOM file that lies in pydicom's package; never downloads."""

    def find(name: str) -> Path:
        path = get_testdata_file(name, download=False)
        if path is None:
            pytest.skip(f"this pydicom does not bring {name}")
        return Path(str(path))

    return find


@pytest.fixture
def make_dicom(tmp_path: Path) -> MakeDicom:
    """Write a DICOM file of stored numbers (H, W), (H, W, 3) or (frames, H, W) with the elements given."""

    def make(
        stored: np.ndarray,
        elements: dict | None = None,
        name: str = "image.dcm",
        syntax: UID = ExplicitVRLittleEndian,
        extra: Callable[[FileDataset], None] | None = None,
    ) -> Path:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = syntax
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID("1.2.3")
        path = tmp_path / name
        dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        colour = stored.ndim == 3 and stored.shape[2] == 3
        rows = stored.shape[:2] if stored.ndim == 2 or colour else stored.shape[1:]
        dataset.Modality, dataset.PatientID = "CT", "CANARY-7"
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, UID("1.2.3")
        dataset.Rows, dataset.Columns = rows
        dataset.SamplesPerPixel = 3 if colour else 1
        dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            dataset.PlanarConfiguration = 0
        dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(stored.dtype.kind == "i")
        if stored.ndim == 3 and not colour:
            dataset.NumberOfFrames = len(stored)
        data = stored.tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
        for key, value in (elements or {}).items():
            setattr(dataset, key, value)
        if extra is not None:
            extra(dataset)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240)
