"""Readers and writers of corpora: bytes to documents and back."""
