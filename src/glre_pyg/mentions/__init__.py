"""Mention detection: find mentions in plain text and group them into entities."""
