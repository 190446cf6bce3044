"""Trained models: their directories, loading, prediction, sharing on the hub."""
