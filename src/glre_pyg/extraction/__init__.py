"""Predict relations in texts and documents, and explain the predictions."""
