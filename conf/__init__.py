"""The Hydra configs, installed as ``glre_pyg.conf``."""
