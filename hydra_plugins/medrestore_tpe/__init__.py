"""A Hydra sweeper: a search by Optuna."""
