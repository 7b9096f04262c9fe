"""DICOM: the file, its header and the geometry; `dicom_values` turns stored numbers into physical ones."""

from __future__ import annotations

import math
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from medrestore.imaging.dicom_values import frame_value, number, physical, require_hu
from medrestore.imaging.guard import Refusal, check_bytes, pick_frame, to_tensor
from medrestore.imaging.image import Image

_PIXELS = 0x7FE00008  # Float Pixel Data, the first of the three elements that may hold pixels
_HEADER_BYTES = 2**24  # of a deflated file, inflated to learn what it declares
_HEADER_STEPS = (2**15, 2**19, _HEADER_BYTES)  # most headers end within the first
_PREAMBLE = 132

# What a catalogue asks of every file. Reading only these halves the time a large tree takes.
_LISTED: list[BaseTag | int] = [
    Tag(name)
    for name in (
        "ImageType",
        "SOPClassUID",
        "Modality",
        "SeriesDescription",
        "PatientID",
        "SeriesInstanceUID",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "RescaleIntercept",
        "RescaleSlope",
        "RescaleType",
        "ModalityLUTSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    )
]


def is_bare(head: bytes) -> bool:
    """Whether the first bytes look like a data set without preamble: an element of group 2 or 8 comes first."""
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\x00", b"\x08\x00") and element[1:] == b"\x00"
    return len(head) > 8 and (little or (group == b"\x00\x08" and element[:1] == b"\x00"))


def decode(path: Path, frame: int | None) -> Image:
    """Read one frame: HU for CT, [0, 1] for photographs, signal for the rest."""
    dataset = _dataset(path)
    frames = _check(dataset)
    index = pick_frame(frame, frames)
    _require_decoder(dataset.file_meta.TransferSyntaxUID)
    # The compiled RLE decoder panics on damaged data with something that is no Exception, and prints a backtrace.
    plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == RLELossless else ""
    stored = pixel_array(dataset, index=index, decoding_plugin=plugin)
    values = physical(dataset, stored, index)
    bits = max(values.bits, int(dataset.BitsAllocated))
    return Image(
        pixels=to_tensor(values.pixels),
        spacing=_spacing(dataset, index),
        unit=values.unit,
        window=values.window,
        source=path,
        group=str(dataset.get("PatientID") or "").strip() or None,
        mask=None if values.mask is None else torch.from_numpy(values.mask)[None],
        metadata={
            "format": "dicom",
            "bits": 8 if bits <= 8 else 16 if bits <= 16 else 32,
            "modality": _word(dataset, "Modality"),
            "body_part": _word(dataset, "BodyPartExamined"),
            "frame": index,
            "frames": frames,
        },
    )


def count(path: Path) -> int:
    """The number of frames."""
    return frames_of(header(path))


def frames_of(dataset: Dataset) -> int:
    """The number of frames of a file whose header is known.

    Raises:
        Refusal: When it has no image, one of an impossible size, or a CT whose values are not known in HU.
    """
    frames = _check(dataset)
    require_hu(dataset, 0)
    return frames


def header(path: Path) -> Dataset:
    """The elements `_LISTED`, as far as the file has them; stops before the pixels."""
    return _dataset(path, _LISTED)


def _dataset(path: Path, tags: list[BaseTag | int] | None = None) -> Dataset:
    """The data set, with ``tags`` only these elements of the header.

    Errors of the parser are told by type only, for their text may hold a patient's data.
    """
    try:
        with path.open("rb") as file:
            bare = file.read(_PREAMBLE)[128:] != b"DICM"
        meta = FileMetaDataset() if bare else read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _inflated_dataset(path, meta, tags)
        dataset = pydicom.dcmread(path, stop_before_pixels=tags is not None, force=bare, specific_tags=tags)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
        return dataset
    except (Refusal, OSError):
        raise
    except Exception as error:
        raise Refusal(f"its DICOM header is damaged or truncated ({type(error).__name__})") from None


def _guessed_syntax(dataset: Dataset) -> UID:
    implicit, little = dataset.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _require_decoder(syntax: UID) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise Refusal(f"its pixels are stored as {syntax.name}, which is not supported") from None
    if not decoder.is_available:
        raise Refusal(
            f"its pixels are compressed as {syntax.name} and no decoder for that is installed; "
            "type pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"
        )


def _inflated_dataset(path: Path, meta: FileMetaDataset, tags: list[BaseTag | int] | None) -> Dataset:
    # The library inflates without limit, so a small file could ask for any amount of memory.
    length = meta.get("FileMetaInformationGroupLength")
    if not isinstance(length, int):
        raise Refusal("its DICOM header lacks the length of its first group")
    with path.open("rb") as file:
        file.seek(_PREAMBLE + 12 + length)  # 12 bytes are the element that holds the length
        if tags is not None:
            dataset = _inflated_header(file, tags)
            dataset.file_meta = meta
            return dataset
        packed = file.read()
    dataset, _ = _parsed_header(_inflate(packed, _HEADER_BYTES), None)
    declared = _declared_bytes(dataset)
    check_bytes(*declared)
    limit = math.prod(declared) + _HEADER_BYTES
    body = _inflate(packed, limit + 1)
    if len(body) > limit:
        raise Refusal("it inflates to more than its header declares (a decompression bomb?)")
    dataset = read_dataset(BytesIO(body), False, True)
    dataset.file_meta = meta
    return dataset


def _inflated_header(file: BinaryIO, tags: list[BaseTag | int]) -> Dataset:
    """Inflate no more of a file than it takes to come to the pixels."""
    start = file.tell()
    for step in _HEADER_STEPS[:-1]:
        file.seek(start)
        try:
            dataset, whole = _parsed_header(_inflate(file.read(step), step), tags)
        except Exception:  # the cut went through an element
            continue
        if whole:
            return dataset
    file.seek(start)
    return _parsed_header(_inflate(file.read(_HEADER_BYTES), _HEADER_BYTES), tags)[0]


def _parsed_header(head: bytes, tags: list[BaseTag | int] | None) -> tuple[Dataset, bool]:
    """Read a data set up to its pixels, and say whether they were reached."""
    reached = []

    def at_pixels(tag: BaseTag, vr: str | None, size: int) -> bool:
        if tag >= _PIXELS:
            reached.append(tag)
        return bool(reached)

    return read_dataset(BytesIO(head), False, True, stop_when=at_pixels, specific_tags=tags), bool(reached)


def _inflate(packed: bytes, limit: int) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit)


def _declared_bytes(dataset: Dataset) -> tuple[int, int, int, int, int]:
    needed = ("Rows", "Columns", "BitsAllocated")
    sizes = [dataset.get(name) for name in needed]
    if any(not isinstance(size, int) for size in sizes):
        raise Refusal("it is a DICOM file without an image (no Rows, Columns and Bits Allocated)")
    rows, columns, bits = sizes
    frames = int(dataset.get("NumberOfFrames") or 1)
    return rows, columns, frames, int(dataset.get("SamplesPerPixel") or 1), max(bits // 8, 1)


def _check(dataset: Dataset) -> int:
    """The number of frames, after the size was found good."""
    try:
        declared = _declared_bytes(dataset)
    except ValueError:
        raise Refusal("its number of frames is not a number") from None
    check_bytes(*declared)
    return declared[2]


def _word(dataset: Dataset, name: str) -> str:
    """A short code; anything longer is free text, which may hold a patient's data."""
    word = str(dataset.get(name) or "").strip()
    return word if word.isalnum() and len(word) <= 16 else ""


def _spacing(dataset: Dataset, frame: int) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = frame_value(dataset, frame, "PixelMeasuresSequence", name)
        if value is None or isinstance(value, str | float) or len(value) != 2:
            continue
        row, column = number(value[0]), number(value[1])
        if row and column and row > 0 and column > 0:
            return row, column
    return None
