"""Which epoch is kept: against every epoch looked at, for one epoch, for equal ones, after a kill."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest
import torch
from conftest import TINY, TINY_WGAN
from killed_runs import kill
from safetensors.torch import load_file

from medrestore.callbacks.history import History
from medrestore.callbacks.selection import Selection, best_by_both
from medrestore.checkpoint import load_generator
from medrestore.config import compose
from medrestore.errors import MedrestoreError
from medrestore.evaluation.setting import selected_epochs
from medrestore.run import train
from medrestore.run_directory import Run


def slow_choice(psnr: list[float], ssim: list[float]) -> int:
    """S5's rule, spelt out."""
    table = []
    for history in (psnr, ssim):
        spread = max(history) - min(history)
        table.append([(value - min(history)) / spread if spread else 0.0 for value in history])
    by_psnr, by_ssim = psnr.index(max(psnr)), ssim.index(max(ssim))
    worth = {epoch: table[0][epoch] + table[1][epoch] for epoch in (by_psnr, by_ssim)}
    return by_ssim if worth[by_ssim] > worth[by_psnr] else by_psnr


def test_rule_by_hand() -> None:
    # PSNR-best is epoch 2: 1 + 0.5; SSIM-best is epoch 1: 0.75 + 1; epoch 3 is no candidate
    assert best_by_both([30.0, 33.0, 34.0, 33.9], [0.80, 0.90, 0.85, 0.899]) == 1
    assert best_by_both([31.0], [0.9]) == 0
    assert best_by_both([31.0] * 3, [0.9] * 3) == 0
    assert best_by_both([31.0] * 3, [0.8, 0.9, 0.7]) == 1  # a history that never moves does not vote
    assert best_by_both([30.0, 31.0, 32.0], [0.9, 0.8, 0.8]) == 2  # 1 + 0 against 0 + 1: the PSNR-best


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_every_small_table(epochs: int) -> None:
    for psnr in itertools.product([30.0, 31.0, 33.0], repeat=epochs):
        for ssim in itertools.product([0.5, 0.6, 0.9], repeat=epochs):
            assert best_by_both(psnr, ssim) == slow_choice(list(psnr), list(ssim))


def test_kept_files_hold_the_chosen_epoch_after_every_epoch() -> None:
    """Only the bests so far are on disk, and what is chosen is always among them; epochs without a number are none."""
    rng = random.Random(0)
    for _ in range(200):
        selection, files, known = Selection("psnr_ssim"), {}, []
        for epoch in range(3, 12):
            scores = {"val/psnr": rng.choice([30.0, 31.0, 31.5, 33.0]), "val/ssim": rng.choice([0.5, 0.6, 0.61])}
            if rng.random() < 0.2:
                scores["val/psnr"] = rng.choice([math.nan, math.inf])
            files |= dict.fromkeys(selection.add(epoch, scores), epoch)
            if math.isfinite(scores["val/psnr"]):
                known.append((epoch, scores["val/psnr"], scores["val/ssim"]))
            chosen = selection.chosen()
            if not known:
                assert chosen is None
                continue
            expected = known[slow_choice([row[1] for row in known], [row[2] for row in known])][0]
            assert chosen is not None and chosen[1] == expected == files[chosen[0]]


def test_one_metric_and_none() -> None:
    selection, last = Selection("val/ssim"), Selection("last")
    for epoch, value in enumerate([0.5, 0.7, 0.7, 0.6]):
        assert selection.add(epoch, {"val/ssim": value, "val/psnr": 1.0}) == (["val/ssim"] if epoch < 2 else [])
        assert last.add(epoch, {"val/ssim": value}) == [] and last.chosen() is None
    assert selection.chosen() == ("val/ssim", 1) and selection.add(4, {}) == []


RUN = [
    "experiment=cervix_deblur", *TINY, *TINY_WGAN, "epochs=5", "pretrain_epochs=2", "evaluation.run=false",
    "select=psnr_ssim", "pretrain_select=val/ssim", "model.generator_optimizer.lr=3e-2", "model.adversarial_weight=0.1",
    "model.decay_from=1",
]  # fmt: skip


def expected_epoch(directory: Path) -> int:
    rows = [row for row in History(directory / "metrics.csv").rows if row["critic_updates"]]
    index = slow_choice([row["val/psnr"] for row in rows], [row["val/ssim"] for row in rows])
    return int(rows[index]["epoch"]) + 1


def test_a_run_exports_what_its_rules_choose_and_the_same_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(compose("train", RUN), tmp_path / "whole").directory
    rows = History(whole / "metrics.csv").rows
    first = max(rows[:2], key=lambda row: row["val/ssim"])
    about = [load_generator(whole / name)[1] for name in ("pretrained.safetensors", "generator.safetensors")]
    assert about[0]["selected"] == f"epoch {int(first['epoch']) + 1} by val/ssim"
    assert about[1]["selected"] == f"epoch {expected_epoch(whole)} by psnr_ssim"
    said = f"weights of pretrained: {about[0]['selected']}; restored: {about[1]['selected']}"
    assert selected_epochs(Run.load(whole)) == [said]
    assert int(first["epoch"]) == 0 and expected_epoch(whole) < 5, "the last epochs are the best: this tests nothing"
    kept = torch.load(whole / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    exported = load_file(whole / "generator.safetensors")
    assert all(torch.equal(kept[f"generator.{name}"], value) for name, value in exported.items())
    for batches in (3, 14):  # in either stage
        broken = tmp_path / f"broken {batches}"
        kill(broken, batches, monkeypatch, RUN)
        train(compose("train", [*RUN, "ckpt=last"]), broken)
        for name in ("pretrained.safetensors", "generator.safetensors"):
            again, once = load_file(broken / name), load_file(whole / name)
            assert all(torch.equal(again[key], value) for key, value in once.items())
        assert load_generator(broken)[1]["selected"] == about[1]["selected"]


def test_unknown_rules_are_refused(tmp_path: Path) -> None:
    for key in ("select", "pretrain_select"):
        with pytest.raises(MedrestoreError, match=f"type {key}=last or {key}=val/psnr or .* or {key}=psnr_ssim"):
            train(compose("train", [*RUN, f"{key}=s5"]), tmp_path)
