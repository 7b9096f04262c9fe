"""What `hydra/launcher=gpu_pool` adds to a job over the same command started alone; prints, asserts nothing.

python benchmarks/pool.py [jobs]
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_JOB = ["experiment=cervix_deblur", "debug=smoke", "judge=none", "evaluation.run=false"]


def measure(arguments: list[str], cwd: str) -> float:
    """Seconds of one command."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "medrestore.train", *arguments]
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(jobs: int) -> None:
    """Each job alone, then all of them one after the other on one slot."""
    with tempfile.TemporaryDirectory() as folder:
        measure([*_JOB, "hydra.run.dir=warm"], folder)  # fills the file cache
        alone = [measure([*_JOB, f"seed={n}", f"hydra.run.dir=alone/{n}"], folder) for n in range(jobs)]
        seeds = ",".join(map(str, range(jobs)))
        pool = ["hydra/launcher=gpu_pool", "hydra.launcher.slots=1", "hydra.sweep.dir=sweep"]
        together = measure(["-m", *_JOB, f"seed={seeds}", *pool], folder)
        with (Path(folder) / "sweep" / "sweep.csv").open(encoding="utf-8") as file:
            inside = [float(row["seconds"]) for row in csv.DictReader(file)]
    print(f"alone:    median {statistics.median(alone):6.2f} s a job, all {sum(alone):6.2f} s")
    print(f"gpu_pool: {together / jobs:6.2f} s a job, all {together:6.2f} s; within the jobs {sum(inside):6.2f} s")
    print(f"added:    {(together - sum(alone)) / jobs:+.2f} s a job, ratio {together / sum(alone):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
