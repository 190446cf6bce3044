"""Models that map a batch of document graphs to logits of candidate pairs."""
