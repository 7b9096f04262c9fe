"""SLURM on one machine without SLURM: `sbatch`, `srun` and `squeue` that run an array one task after the other, and
`scontrol requeue`, after which a task runs again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_SHIM = """
import os, pathlib, re, subprocess, sys

state = pathlib.Path(os.environ["SLURM_SHIM"])
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]


def filled(path):
    names = {"%A": "SLURM_ARRAY_JOB_ID", "%a": "SLURM_ARRAY_TASK_ID", "%j": "SLURM_JOB_ID", "%t": "SLURM_PROCID"}
    for mark, variable in names.items():
        path = path.replace(mark, os.environ.get(variable, ""))
    return path


if name == "sbatch" and arguments[0] == "--run":
    for task in range(int(arguments[2])):
        queued = state / f"4242_{task}"
        ids = {"SLURM_JOB_ID": str(4243 + task), "SLURM_ARRAY_JOB_ID": "4242", "SLURM_ARRAY_TASK_ID": str(task)}
        ids |= dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
        ids |= dict.fromkeys(("SLURM_NTASKS", "SLURM_JOB_NUM_NODES"), "1")
        requeued, starts = state / f"requeued_{4243 + task}", 0
        while starts == 0 or requeued.exists():
            requeued.unlink(missing_ok=True)
            subprocess.run(["bash", arguments[1]], env={**os.environ, **ids, "SLURM_RESTART_COUNT": str(starts)})
            starts += 1
        queued.unlink()
elif name == "scontrol":
    assert arguments[0] == "requeue"
    (state / f"requeued_{arguments[1]}").touch()
elif name == "sbatch":
    text = pathlib.Path(arguments[-1]).read_text()
    (state / "script.sh").write_text(text)
    tasks = int(re.search(r"--array=0-(\\\\d+)", text).group(1)) + 1
    for task in range(tasks):
        (state / f"4242_{task}").touch()
    command = [sys.executable, sys.argv[0], "--run", str(state / "script.sh"), str(tasks)]
    null = subprocess.DEVNULL
    subprocess.Popen(command, start_new_session=True, stdin=null, stdout=null, stderr=null)
    print("Submitted batch job 4242")
elif name == "srun":
    while arguments[0].startswith("--"):
        flag = arguments.pop(0)
        if flag in ("--output", "--error"):
            to = os.open(filled(arguments.pop(0)), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(to, 1 if flag == "--output" else 2)
    os.execvp(arguments[0], arguments)
elif name == "squeue":
    queued = sorted(path.name for path in state.glob("4242_*"))
    if not queued:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    print("\\\\n".join(queued))
""".replace("\\\\", "\\")


def install(folder: Path) -> dict[str, str]:
    """Put the commands into `folder`; returns what the environment needs for them."""
    folder.mkdir()
    for name in ("sbatch", "srun", "squeue", "scontrol"):
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{_SHIM}")
        path.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "SLURM_SHIM": str(folder)}
