"""Models: a batch of document graphs in, logits of candidate pairs out."""
