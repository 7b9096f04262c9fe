"""Many trainings from one command: their jobs, where they run, what became of them, and the table at the end.

Nothing here imports torch: the process that leads a sweep must not hold a GPU or wait for one.
"""
