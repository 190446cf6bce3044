"""Helpers without a meaning of their own: files, processes, caches, downloads."""
