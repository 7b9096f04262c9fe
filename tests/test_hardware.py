"""What a run takes of the machine."""

from __future__ import annotations

import pytest
import torch

from medrestore.hardware import precision


@pytest.mark.parametrize(
    ("able", "expected"), [({"avx512_bf16": True}, "bf16-mixed"), ({"amx_bf16": True}, "bf16-mixed"), ({}, "32-true")]
)
def test_auto_takes_bfloat16_where_the_cpu_multiplies_in_it(
    able: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert precision("auto", "cpu", judge=False) == expected
    assert precision("auto", "cpu", judge=True) == "32-true"
    assert precision("16-mixed", "cpu", judge=False) == "16-mixed"
