"""Dashboards beside metrics.csv: what they hold is read back from their files, without any network."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_WGAN
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from wandb_file import RunFile, read_run_file

from medrestore.callbacks import SampleImages, TensorBoardDashboard, WandbDashboard
from medrestore.callbacks.dashboard import Progressed, RunFacts
from medrestore.callbacks.dashboards import run_facts
from medrestore.callbacks.private_paths import hidden, page_without, without_paths
from medrestore.callbacks.samples import error_panel, panel_grid, sample_grid
from medrestore.config import compose
from medrestore.evaluation.evaluate import Evaluation
from medrestore.evaluation.statistics import Summary
from medrestore.run import train
from medrestore.sweeps.result import JobResult, write_result

pytestmark = pytest.mark.filterwarnings("ignore")  # the loggers' own packages warn on import
LOSSES = ("train/generator/l1", "train/generator/adversarial", "train/critic/wasserstein")
WATCHED = (
    *LOSSES,
    *("train/generator/gradient_norm", "train/critic/gradient_norm", "train/critic/penalty", "train/critic/distance"),
    *("learning_rate/generator", "learning_rate/critic", "val/psnr", "val/ssim", "epoch", "critic_updates"),
)


class Crash(Exception):
    """As a machine that stops."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with both dashboards that stopped in its second epoch and went on."""
    home = tmp_path_factory.mktemp("watched")
    directory = home / "run"
    tiny = [*TINY, *TINY_WGAN, "epochs=2", "pretrain_epochs=0", "callbacks.sample_seconds=0", "evaluation.lpips=false"]
    tiny += ["evaluation.test_images=1", "evaluation.assessments.natural=null", "evaluation.assessments.quality=null"]
    tiny += [f"evaluation.judges={home / 'judges'}", "logger=[wandb,tensorboard]", "experiment=cervix_deblur"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.chdir(home)
        whole = SampleImages.on_validation_end

        def stop(self: Any, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == 1:
                raise Crash
            whole(self, trainer, module)

        patch.setattr(SampleImages, "on_validation_end", stop)
        with pytest.raises(Crash):
            train(compose("train", tiny), directory)
        patch.setattr(SampleImages, "on_validation_end", whole)
        train(compose("train", [*tiny, "ckpt=last"]), directory)
    return directory


@pytest.fixture(scope="module")
def run_files(watched: Path) -> list[RunFile]:
    """The W&B files of the stopped and of the resumed process."""
    return [read_run_file(path) for path in sorted(watched.glob("wandb/offline-run-*/*.wandb"))]


def test_a_resumed_run_is_the_same_wandb_run(watched: Path, run_files: list[RunFile]) -> None:
    import wandb

    assert len(run_files) == 2
    assert {file.id for file in run_files} == {(watched / "wandb" / "run_id").read_text().strip()}
    rows = [[(row["_step"], row["generator_updates"]) for row in file.rows] for file in run_files]
    # 4 steps an epoch; the stopped epoch's last row, then the same again and the evaluation
    assert rows[0][0] == (4, 4)
    assert rows[1] == [(8, 8), (9, 8)]
    assert wandb.run is None  # else the next job of a sweep would log into it


def test_the_wandb_file_holds_numbers_over_generator_steps(run_files: list[RunFile]) -> None:
    first, resumed = run_files[0].rows[0], run_files[1].rows[0]
    for row in (first, resumed):
        assert not set(WATCHED) - set(row)
        assert all(np.isfinite(row[name]) for name in WATCHED)
    assert first["train/critic/distance"] == pytest.approx(-first["train/critic/wasserstein"])
    assert run_files[0].axes["*"] == "generator_updates"
    assert run_files[0].config["model"]["critic_steps"] == 2
    assert (run_files[0].group, run_files[0].name) == ("cervix_deblur", "run")


def test_the_wandb_file_holds_pictures_tables_and_the_report(watched: Path, run_files: list[RunFile]) -> None:
    epochs = [row["samples/image_1.caption"] for file in run_files for row in file.rows if "val/psnr" in row and
              "samples/image_1.caption" in row]  # fmt: skip
    assert epochs == [f"epoch {n}: degraded, restored, target, error x5" for n in (1, 2)]
    for path in [path for file in run_files for path in file.files]:
        assert len(list(watched.glob(f"wandb/offline-run-*/files/{path}"))) == 1, path
    last = run_files[1].rows[-1]
    assert last["evaluation/cases._type"] == "table-file"
    staged = [path.read_bytes() for path in watched.glob("wandb/data/artifacts/staging/*")]
    tables = [json.loads(data) for data in staged if data.startswith(b"{")]
    content = next(table for table in tables if "picture" in table["columns"])
    assert content["columns"][:6] == ["case", "rank", "method", "kind", "picture", "error x5"]
    methods = [row[2] for row in content["data"]]
    assert {"identity", "wiener", "restored", "target"} <= set(methods)
    restored = content["data"][methods.index("restored")]
    assert restored[6] == pytest.approx(last["test/psnr"])
    assert sorted(run_files[1].artefacts[f"report-{run_files[1].id}"]) == ["report.html", "summary.csv"]
    pictures = [path for name, paths in run_files[1].artefacts.items() if "cases" in name for path in paths]
    assert {cell["path"] for row in content["data"] for cell in row[4:6] if cell} <= set(pictures)


def test_nothing_says_where_or_by_whom(watched: Path, run_files: list[RunFile]) -> None:
    sent = [(watched / "wandb" / "report.html").read_bytes()]
    for file in run_files:
        assert file.host == ""
        assert file.config["evaluation"]["judges"] == hidden(str(watched.parent / "judges"))
        sent.append(file.rest)
    sent += [path.read_bytes() for path in watched.glob("wandb/offline-run-*/files/**/*") if path.suffix == ".json"]
    sent += [path.read_bytes() for path in watched.glob("wandb/offline-run-*/*.wandb")]  # places of files included
    for word in (str(watched), str(watched.parent), str(Path.cwd())):
        assert not any(word.encode() in data for data in sent)
    host = socket.gethostname()
    if len(host) > 4:  # a shorter word may stand in any text
        assert not any(host.encode() in data for data in sent)


def test_tensorboard_holds_the_same(watched: Path, run_files: list[RunFile]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(watched / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    assert not set(WATCHED) - set(tags["scalars"])
    values = {event.step: event.value for event in events.Scalars("val/psnr")}
    assert values == pytest.approx({4: run_files[0].rows[0]["val/psnr"], 8: run_files[1].rows[0]["val/psnr"]})
    assert [event.step for event in events.Images("samples/image_1")] == [1, 2]
    assert events.Scalars("test/psnr")[0].value == pytest.approx(run_files[1].rows[-1]["test/psnr"])
    assert any(tag.startswith("evaluation/") for tag in tags["images"])
    text = events.Tensors("evaluation/table/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| restored | learned |" in text


# --- names, groups, paths ----------------------------------------------------


def test_a_job_of_a_sweep_is_named_by_what_varies(tmp_path: Path) -> None:
    job = tmp_path / "sweep_x" / "3"
    overrides = [
        "experiment=cervix_deblur",
        "model.critic_steps=5",
        "generator_weights=/data/a/b",
        "seed=1",
        "epochs=9",
    ]
    write_result(job, JobResult("running", overrides, "val/psnr"))
    task = ["experiment=cervix_deblur", "model.critic_steps=1,5", "generator_weights=/data/a/b,/data/c", "seed=1,2"]
    (job.parent / "multirun.yaml").write_text(
        f"hydra: {{sweeper: {{params: null}}, overrides: {{task: {json.dumps(task)}}}}}\n"
    )
    facts = run_facts(compose("train", overrides), job)
    assert facts.name == f"model.critic_steps=5 generator_weights={hidden('/data/a/b')} seed=1"
    assert (facts.group, facts.kind) == ("cervix_deblur/sweep_x", "sweep")
    alone = run_facts(compose("train", overrides), tmp_path / "alone")
    assert (alone.name, alone.group, alone.kind) == ("alone", "cervix_deblur", "single")


def test_paths_are_replaced_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photographs").mkdir()
    config = {
        "dataset": {"root": ["photographs", "~/more/x y", "C:\\scans\\a"], "_target_": "medrestore.data.FolderSource"},
        "judge": "auto",
        "select": "val/psnr",
        "evaluation": {"judge_overrides": ["dataset.root=/srv/Meier, Anna/1.png", "epochs=60"]},
        "storage": "postgresql://user:password@host/studies",
        "feature_weights": "imagenet",
        "epochs": 3,
    }
    cleaned, paths = without_paths(config)
    assert cleaned["dataset"]["root"] == [hidden(path) for path in ("photographs", "~/more/x y", "C:\\scans\\a")]
    assert cleaned["dataset"]["_target_"] == "medrestore.data.FolderSource"
    assert [cleaned[key] for key in ("judge", "select", "feature_weights", "epochs")] == [
        config[key] for key in ("judge", "select", "feature_weights", "epochs")
    ]
    assert not any(word in str(cleaned) for word in ("srv", "Anna", "password"))
    assert cleaned["evaluation"]["judge_overrides"][0].startswith("dataset.root=path-")
    assert len(paths) == 5
    page = '<img src="data:image/png;base64,/srv"> root: photographs, a photographs text, ~/more/x y'
    assert page_without(page, [*paths, "/srv"]) == (
        f'<img src="data:image/png;base64,/srv"> root: {hidden("photographs")}, a photographs text, '
        f"{hidden('~/more/x y')}"
    )


# --- without a network -------------------------------------------------------


def dashboard(directory: Path) -> WandbDashboard:
    made = WandbDashboard(str(directory))
    made.describe(RunFacts("name", "group", "single", [], {"seed": 0}, []))
    made.progressed = Progressed("generator_updates", lambda: 7)
    return made


def test_online_without_a_network_goes_on_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"MODE": "online", "API_KEY": "0" * 40, "BASE_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    made = dashboard(tmp_path)
    made.log_metrics({"val/psnr": 30.5})
    made.close(failed=False)
    start, end = capsys.readouterr().err.splitlines()
    assert start.startswith(f"W&B: offline (http://127.0.0.1:{port} cannot be reached: ")
    assert end == f"W&B: send the run later with: WANDB_PROGRAM=medrestore wandb sync {tmp_path / 'wandb'}"
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    (row,) = read_run_file(path).rows
    assert (row["val/psnr"], row["generator_updates"], row["_step"]) == (30.5, 7, 7)


def test_a_server_that_fails_at_the_end_costs_the_tables_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("1 validation error\nfor ArtifactType")

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(WandbDashboard, "_send_tables", broken)
    summary = Summary("restored", "learned", "psnr", 31.5, None, None, None, 1, 0, None, None)
    made = dashboard(tmp_path)
    made.show_evaluation(Evaluation(tmp_path / "evaluation", [], [summary], [], [], [], tmp_path / "report.html"))
    made.close(failed=False)
    told = capsys.readouterr().err.splitlines()
    assert told[1] == (
        f"W&B: tables and report were not sent: 1 validation error for ArtifactType; see {tmp_path / 'evaluation'}"
    )
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    (row,) = read_run_file(path).rows
    assert row["test/psnr"] == row["test/restored/psnr"] == 31.5


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    others = [dashboard(tmp_path), TensorBoardDashboard(str(tmp_path))]
    others[1].describe(others[0].facts)
    for logger in others:
        logger.start()
        logger.log_metrics({"val/psnr": 1.0})
        logger.show_samples([np.zeros((4, 4, 3), np.uint8)], 1)
        logger.publish()
        logger.close(failed=False)
    assert list(tmp_path.iterdir()) == []


# --- pictures ----------------------------------------------------------------


def test_sample_grid_shows_degraded_restored_target_error() -> None:
    degraded, restored, target = torch.zeros(3, 4, 5), torch.full((3, 4, 5), 0.5), torch.full((3, 4, 5), 0.6)
    grid = sample_grid([(degraded, restored, target)])
    assert grid.shape == (4, 20, 3) and grid.dtype == np.uint8
    assert [int(grid[0, column, 0]) for column in (0, 5, 10)] == [0, 128, 153]
    assert abs(int(grid[0, 15, 0]) - 128) <= 1  # five times 0.1


def test_a_smaller_image_is_enlarged_by_repeating_pixels() -> None:
    small = torch.tensor([[[0.0, 1.0]]])
    grid = panel_grid([[small, torch.zeros(3, 2, 4)]])
    assert grid[:, :4, 0].tolist() == [[0, 0, 255, 255]] * 2
    assert error_panel(torch.ones(3, 2, 2), torch.zeros(3, 2, 2)).max() == 1
