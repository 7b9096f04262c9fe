"""A Hydra launcher: the jobs of a sweep on the GPUs of one machine."""
