"""Mention detection: from plain text to the mentions and entities that a graph is built of."""
