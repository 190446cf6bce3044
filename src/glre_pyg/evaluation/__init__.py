"""Scores of predicted facts; plain Python and numpy."""
