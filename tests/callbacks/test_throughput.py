"""The clock of a training: what counts as waiting for data, and what as neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY, TINY_WGAN

from medrestore.callbacks import progress, throughput
from medrestore.callbacks.history import History
from medrestore.callbacks.throughput import Throughput, told
from medrestore.config import compose
from medrestore.run import train


def test_waiting_and_working_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    clock = Throughput()
    assert clock.measured() == {}
    clock.wait()
    for waited, worked in ((1.0, 3.0), (0.5, 3.5)):
        now[0] += waited
        clock.begin_step()
        now[0] += worked
        clock.end_step(8)
    clock.pause()  # a validation
    now[0] += 100.0
    clock.begin_step()
    now[0] += 2.0
    clock.end_step(4)
    found = clock.measured()
    assert found["images_per_second"] == 20 / 10 and found["data_wait"] == pytest.approx(0.15)
    assert 50 < found["peak_memory_mb"] < 1e6  # this process has imported torch
    assert told(found).startswith("2 images/s, 15% of the time waiting for data, peak memory ")


def test_a_training_tells_its_speed_early_and_logs_it_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SPEED_AFTER", 0.0)
    given = ["experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=2", "pretrain_epochs=0", "evaluation.run=false"]
    train(compose("train", given), tmp_path)
    out = capsys.readouterr()
    (line,) = [line for line in out.err.splitlines() if "images/s" in line]
    assert "waiting for data" in line and "peak memory" in line and "ETA 0:0" in line
    assert out.err.index("images/s") < out.err.index("epoch 2/2")
    assert "on CPU, " in out.out and "32-true, no loader processes" in out.out
    for row in History(tmp_path / "metrics.csv").rows:
        assert row["speed/images_per_second"] > 0 and 0 <= row["speed/data_wait"] <= 1
        assert row["speed/peak_memory_mb"] > 50
