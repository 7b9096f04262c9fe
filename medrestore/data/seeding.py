"""Random numbers as pure functions of names, so that workers, ranks, resume and sweeps cannot change the data."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from any sequence of numbers and names; equal on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(*parts: int | str) -> torch.Generator:
    """A torch generator seeded by `seed_of(*parts)`."""
    return torch.Generator().manual_seed(seed_of(*parts))
