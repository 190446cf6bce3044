"""Layers of the model, with one file for each section of the paper."""
