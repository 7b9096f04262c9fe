"""A stand-in for the training of a command: the command line, Hydra, launchers and sweepers are the real ones, and a
process takes a second instead of fifteen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SITE = '''
import csv, os, signal, sys, time, types


def train(config, directory):
    """One row of metrics an epoch; an epoch that is there already is not trained again, as after a resume."""
    directory.mkdir(parents=True, exist_ok=True)
    seen = {name: os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    with open(directory / "started.txt", "a") as file:
        file.write(f"{time.time()} {os.getpid()} {config.ckpt} {seen}\\n")
    (directory / "config.yaml").write_text("")
    if config.seed in (13, 15):
        print("about to be killed", flush=True)
        if config.seed == 15:  # the whole step of a cluster, its supervisor included
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if config.seed in (16, 17) and config.ckpt is None:  # its time is over
        os.kill(os.getpid(), signal.SIGUSR1 if config.seed == 16 else signal.SIGTERM)
    if config.seed == 14:
        raise RuntimeError("CUDA out of memory, says the stand-in")
    path = directory / "metrics.csv"
    rows = list(csv.DictReader(open(path))) if path.exists() else []
    for epoch in range(len(rows), config.epochs):
        time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
        weight = config.model.adversarial_weight
        psnr = 30 + config.model.critic_steps - 0.1 * config.seed - 10 * weight + epoch
        rows.append({"epoch": epoch, "step": epoch, "val/psnr": psnr})
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", "step", "val/psnr"])
            writer.writeheader()
            writer.writerows(rows)
    print("the last line of the log")
    return types.SimpleNamespace(directory=directory, config=config)


sys.modules["medrestore.run"] = types.SimpleNamespace(train=train)
'''


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment in which `medrestore.run.train` is the stand-in; `folder` keeps it."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITE)
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    own = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "PYTHONPATH": path, **more}


def command(arguments: Sequence[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m medrestore.train` to its end."""
    line = [sys.executable, "-m", "medrestore.train", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
