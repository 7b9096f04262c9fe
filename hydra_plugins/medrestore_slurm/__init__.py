"""A Hydra launcher: the jobs of a sweep as a SLURM array."""
