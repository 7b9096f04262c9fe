"""The commands as a user types them, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY, TINY_WGAN

from medrestore.evaluation.comparison_runs import find_runs


def command(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"medrestore.{name}", *arguments], capture_output=True, text=True, cwd=cwd, timeout=300
    )


@pytest.mark.parametrize("name", ["train", "evaluate", "restore", "inspect_data", "compare", "fit_niqe", "screen"])
def test_help_names_the_keys_and_imports_nothing_heavy(name: str, tmp_path: Path) -> None:
    script = (
        f"import sys; sys.argv = ['x', '--help']; from medrestore.{name} import {name} as c\n"
        "try: c()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'hydra', 'numpy', 'pytorch_lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    assert f"python -m medrestore.{name}" in done.stdout and "keys:" in done.stdout


def test_hydra_finds_our_plugins_and_they_import_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; from hydra.core.plugins import Plugins\n"
        "found = {plugin.__name__ for plugin in Plugins.instance().discover()}\n"
        "print({'GpuPoolLauncher', 'SlurmLauncher', 'TpeSweeper'} <= found)\n"
        "print([m for m in ('torch', 'numpy', 'optuna', 'submitit', 'sqlalchemy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines() == ["True", "[]"], done.stderr


def test_train_without_experiment_lists_them(tmp_path: Path) -> None:
    done = command("train", cwd=tmp_path)
    assert done.returncode == 2 and "cervix_deblur" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["experiment=cervix_deblur", "model.critc_steps=1"], "did you mean 'model.critic_steps'?"),
        (["experiment=cervix_deblur", "dataset=cervix", "dataset.root=/nowhere"], "dataset.root"),
        (["experiment=cervix_deblur", "ckpt=last"], "hydra.run.dir"),
    ],
)
def test_a_mistake_is_one_line_code_2_and_no_directory(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = command("train", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and told in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_train_restore_inspect_by_command(tmp_path: Path, photographs: Path) -> None:
    (photographs / "patient 1" / "broken.png").write_bytes(b"\x89PNG\r\n")
    source = ["dataset=cervix", f"dataset.root={photographs}", "dataset.groups=folder"]
    tiny = [*TINY[4:], *TINY_WGAN, "epochs=1", "pretrain_epochs=0", "evaluation.lpips=false"]
    done = command("train", "experiment=cervix_deblur", *source, *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "broken.png" in done.stderr
    directory = done.stdout.strip().splitlines()[-1].removeprefix("run directory: ")
    done = command("evaluate", f"run={directory}", *source, "split=test", "output=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = [
        (folder / "scores.csv").read_text() for folder in (tmp_path / "again", tmp_path / directory / "evaluation")
    ]
    assert scores[0] == scores[1]
    done = command("evaluate", f"run={directory}", "datset=cervix", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'dataset'?" in done.stderr
    done = command("restore", f"run={directory}", f"input={photographs}", "output=out", cwd=tmp_path)
    assert done.returncode == 1 and "broken.png" in done.stderr, done.stderr
    assert len(list((tmp_path / "out").rglob("*.png"))) == 9
    done = command("restore", f"run={directory}", f"input={photographs}", "output=out", cwd=tmp_path)
    assert done.returncode == 1 and "overwrite=true" in done.stderr
    done = command("inspect_data", *source, "sampling.crop=32", cwd=tmp_path)
    assert done.returncode == 1 and "broken.png" in done.stdout and (tmp_path / "inspection/preview.png").exists()


def test_a_sweep_trains_each_job_and_lists_a_failing_one(tmp_path: Path) -> None:
    arguments = ["-m", "experiment=cervix_deblur", *TINY, *TINY_WGAN, "pretrain_epochs=0", "logger=wandb"]
    done = command("train", *arguments, "epochs=0,1", "seed=1,2", "evaluation.lpips=false", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    (sweep,) = tmp_path.glob("outputs/cervix_deblur/sweep_*")
    rows = [line.split(",") for line in (sweep / "sweep.csv").read_text().splitlines()]
    assert rows[0] == ["job", "epochs", "seed", "val/psnr", "seconds", "state", "error"]
    assert [row[:3] + row[5:6] for row in rows[1:]] == [
        ["0", "0", "1", "failed"],
        ["1", "0", "2", "failed"],
        ["2", "1", "1", "done"],
        ["3", "1", "2", "done"],
    ]
    assert rows[1][6] == "epochs=0 trains nothing; type epochs=1 or more"
    for row in rows[3:]:
        metrics = (sweep / row[0] / "metrics.csv").read_text().splitlines()
        last = dict(zip(metrics[0].split(","), metrics[-1].split(","), strict=True))
        assert float(row[3]) == float(last["val/psnr"])
        assert len(list((sweep / row[0] / "wandb").glob("offline-run-*"))) == 1  # closed before the next job began
    assert find_runs(str(sweep))[0] == [sweep / "2", sweep / "3"]
    assert (sweep / "sweep.png").is_file()
