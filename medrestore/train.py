"""Train a restoration scheme, judge it, export its generator."""

from __future__ import annotations

from typing import Any

from medrestore.command import main
from medrestore.config import CONF_DIR
from medrestore.errors import MedrestoreError


def experiments() -> list[str]:
    """One line for each experiment: its name and the first sentence of its file."""
    lines = []
    for path in sorted((CONF_DIR / "experiment").glob("*.yaml")):
        comments = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
        lines.append(f"{path.stem}: {next(c for c in comments if not c.startswith('@'))}")
    return lines


@main("train")
def train(config: Any) -> Any:
    """Train a restoration scheme, judge it on held-out images, export its generator.

    python -m medrestore.train experiment=cervix_deblur
    python -m medrestore.train experiment=cervix_deblur budget=paper dataset=cervix dataset.root=DIR hardware=gpu
    python -m medrestore.train experiment=brain_sr hardware=ddp
    python -m medrestore.train -m experiment=cervix_deblur model.critic_steps=1,5 seed=1,2 hydra/launcher=gpu_pool
    """
    if config.about.experiment is None:
        told = "; ".join(experiments())
        raise MedrestoreError(f"no experiment was named; type experiment=<name>, there are: {told}")
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from medrestore.sweeps.job import in_sweep

    hydra = HydraConfig.get()
    explicit = any(override.startswith("hydra.run.dir=") for override in hydra.overrides.hydra)
    if config.ckpt == "last" and not explicit and not in_sweep():
        raise MedrestoreError("ckpt=last needs to know where; type hydra.run.dir=<directory of the run>")
    from medrestore import run
    from medrestore.sweeps.objective import objective_value

    finished = run.train(config, Path(hydra.runtime.output_dir))
    print(f"run directory: {finished.directory}")
    return objective_value(finished.directory, finished.config) if in_sweep() else None


if __name__ == "__main__":
    train()
