"""Stands before the installed torch-scatter, so that it is as if there were none."""

raise ImportError("hidden by the benchmark")
