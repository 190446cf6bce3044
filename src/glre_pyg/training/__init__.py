"""Training: preparation of an experiment, the training loop, checkpoints and cross-validation."""
