"""The records of a W&B run file, read without a server: LevelDB's log format around protocol buffers."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_BLOCK, _HEADER = 32 * 1024, 7
_FULL, _LAST = 1, 4  # kinds of a chunk that end a record; 2 and 3 begin and go on


class RunFile(NamedTuple):
    """What a run file says: the run, its configuration, its rows, what stands over which axis, files, artefacts."""

    id: str
    group: str
    name: str
    host: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    axes: dict[str, str]
    files: list[str]
    artefacts: dict[str, list[str]]
    rest: bytes  # all records but those of artefacts


def read_run_file(path: Path) -> RunFile:
    """Read an `*.wandb` file of a run that has ended."""
    from wandb.proto.wandb_internal_pb2 import Record

    facts: dict[str, Any] = {}
    config: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    axes: dict[str, str] = {}
    files: list[str] = []
    artefacts: dict[str, list[str]] = {}
    rest = b""
    for data in _whole(path):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "artifact" or (kind == "request" and record.request.HasField("log_artifact")):
            artefact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
            artefacts[artefact.name] = [entry.path for entry in artefact.manifest.contents]
            continue
        rest += data
        if kind == "run":
            run = record.run
            facts = {"id": run.run_id, "group": run.run_group, "name": run.display_name, "host": run.host}
            config |= {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "config":
            config |= {item.key: json.loads(item.value_json) for item in record.config.update}
        elif kind == "history":
            rows.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "metric":
            axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        elif kind == "files":
            files += [file.path for file in record.files.files]
    return RunFile(**facts, config=config, rows=rows, axes=axes, files=files, artefacts=artefacts, rest=rest)


def _whole(path: Path, patience: float = 20.0) -> list[bytes]:
    """The records with the last one, `exit`: W&B's own process writes them a moment after `finish` returns."""
    from wandb.proto.wandb_internal_pb2 import Record

    deadline = time.monotonic() + patience
    while True:
        found = list(chunks(path.read_bytes()))
        if found and Record.FromString(found[-1]).WhichOneof("record_type") == "exit":
            return found
        assert time.monotonic() < deadline, f"{path} has no end: {len(found)} records"
        time.sleep(0.05)


def chunks(data: bytes) -> Iterator[bytes]:
    """The records; a wrong checksum is an error."""
    assert data[:4] in (b":W&B", b""), data[:7]
    place, record = _HEADER, b""
    while place + _HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:  # the end of a block has no room for a header
            place += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + _HEADER : place + _HEADER + length]
        if len(part) < length:  # still being written
            return
        assert zlib.crc32(part, zlib.crc32(bytes([kind]))) == checksum
        record += part
        place += _HEADER + length
        if kind in (_FULL, _LAST):
            yield record
            record = b""


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)
