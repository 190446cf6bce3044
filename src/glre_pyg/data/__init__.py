"""The document, its graph, and what turns its words into ids."""
