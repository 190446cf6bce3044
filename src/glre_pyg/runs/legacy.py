"""Configs of runs that earlier versions have saved."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

_RENAMED = {
    "glre_pyg.pieces.Subwords": "glre_pyg.data.tokenizer.SubwordTokenizer",
    "glre_pyg.pieces.Vocabulary": "glre_pyg.data.word_tokenizer.WordTokenizer",
    "glre_pyg.data.tokenizer.WordTokenizer": "glre_pyg.data.word_tokenizer.WordTokenizer",
    "glre_pyg.corpora.synthetic": "glre_pyg.datasets.generator",
    "glre_pyg.training.Settings": "glre_pyg.training.loop.TrainingSettings",
    "glre_pyg.training.loop.Settings": "glre_pyg.training.loop.TrainingSettings",
}


def upgrade(config: DictConfig) -> DictConfig:
    """Return a config with the present names of its settings and classes; interpolations are not resolved.

    Corpora of files had no setting for the splitter of sentences, which was pysbd.
    """
    plain: Any = OmegaConf.to_container(config)
    encoder = plain.get("encoder")
    if isinstance(encoder, dict) and "pieces" in encoder:
        encoder["tokenizer"] = encoder.pop("pieces")
    dataset = plain.get("dataset")
    if isinstance(dataset, dict) and "dev_from_train" in dataset:
        dataset.setdefault("sentences", "pysbd")
    return OmegaConf.create(_renamed(plain))


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(value) for value in node]
    if not isinstance(node, dict):
        return node
    node = {key: _renamed(value) for key, value in node.items()}
    target = node.get("_target_")
    for old, new in _RENAMED.items():
        if isinstance(target, str) and (target == old or target.startswith(f"{old}.")):
            node["_target_"] = new + target.removeprefix(old)
    return node
