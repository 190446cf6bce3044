"""Scores of predicted facts, corpus statistics and significance tests; NumPy and SciPy only."""
