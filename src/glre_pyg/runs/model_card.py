"""The model card of a run: data, protocol, scores, settings and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from omegaconf import DictConfig

from glre_pyg.models.glre import GLRE
from glre_pyg.runs.departures import departures
from glre_pyg.runs.directory import lookup, without_local_paths
from glre_pyg.runs.run import Run
from glre_pyg.utils.markdown import code, escape
from glre_pyg.utils.table import Table

_SCORES = {
    "filtered": "pairs of the protocol",
    "unfiltered": "every candidate pair",
    "ign": "Ign: facts known from training left out",
    "pair": "is there any relation",
    "by_sentence.intra": "pairs within a sentence",
    "by_sentence.inter": "pairs across sentences",
}
"""Scores of a split by their place in ``scores.json``, with their names in the card."""
_SETTINGS = [
    "encoder.name",
    "encoder.tokenizer.name",
    "encoder.lr",
    "thresholds.name",
    "optimizer.factory._target_",
    "optimizer.lr",
    "optimizer.weight_decay",
    "training.epochs",
    "training.batch_size",
    "training.accumulation",
    "training.warmup",
    "training.decay",
    "training.max_norm",
    "training.patience",
    "training.ema",
    "training.precision",
    "training.seed",
    "seed",
    "start",
    "fixed_by",
]
_TAGS = ["relation-extraction", "document-level-relation-extraction"]
_USE = """\
```python
from glre_pyg import RelationExtractor

documents = RelationExtractor.from_pretrained("{name}")(documents)
```

`documents` are `glre_pyg.Document`s; the result has them with the extracted facts. \
`glre_pyg.from_pretrained("{name}").model` is the bare PyTorch module."""
_PAPER = """\
https://aclanthology.org/2020.emnlp-main.303/

```bibtex
@inproceedings{wang-etal-2020-global,
    title = "Global-to-Local Neural Networks for Document-Level Relation Extraction",
    author = "Wang, Difeng and Hu, Wei and Cao, Ermei and Sun, Weijian",
    booktitle = "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing",
    year = "2020",
    pages = "3711--3721",
    doi = "10.18653/v1/2020.emnlp-main.303",
}
```"""
_LICENSE = (
    "No license is set. Whoever publishes this model sets `license` in the metadata of this card, and "
    "respects the licenses of the corpus and of the encoder."
)


def model_card(run: Run, *, repo_id: str = "FOLDER_OR_NAME_ON_THE_HUB", **fields: Any) -> ModelCard:
    """Write the model card of a run.

    Args:
        run: A finished run.
        repo_id: Name of the model on the hub.
        **fields: Fields of the card's metadata, such as ``license``; see
            :class:`huggingface_hub.ModelCardData`.
    """
    config, scores = without_local_paths(run.config), run.scores
    protocol = scores.get("protocol") or {}
    corpus = str(protocol.get("corpus", "an unnamed corpus"))
    kind, is_glre = type(run.model).__name__, isinstance(run.model, GLRE)
    title = f"{kind} on {corpus}"
    metadata: dict[str, Any] = {
        "library_name": "glre_pyg",
        "pipeline_tag": "text-classification",
        "tags": [*_TAGS, *(["glre", "graph-neural-network"] if is_glre else [])],
        "datasets": [corpus],
        "metrics": ["f1", "precision", "recall"],
        "model_name": title,
        "eval_results": _results(scores, corpus, protocol),
    }
    data = ModelCardData(**(metadata | fields))
    sections = {
        "Usage": _USE.format(name=repo_id),
        "Task": _task(run),
        "Data": _data(config, corpus, protocol),
        "Protocol": _protocol(protocol, scores),
        "Scores": _scores(scores, protocol),
        "Scores by relation": _by_relation(scores),
        "Training": _training(run, config),
        "Departures from the paper": _items(departures(config)) if is_glre else "",
        "Limitations": _limitations(scores),
        "License": "" if data.license else _LICENSE,
        "Citation": _PAPER if is_glre else "",
    }
    text = "\n\n".join(f"## {name}\n\n{body}" for name, body in sections.items() if body)
    intro = (
        f"A {kind} model of glre_pyg for document-level relation extraction: given a document with its "
        "entity mentions, it predicts the relations between the entities, each with a probability. This card "
        "was generated from the files of the run."
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {escape(title)}\n\n{intro}\n\n{text}\n")


def _results(scores: Mapping[str, Any], corpus: str, protocol: Mapping[str, Any]) -> list[EvalResult]:
    """Scores that the hub shows: those on test or, without a test split, on dev."""
    split = "test" if "test" in scores else "dev"
    names = {"filtered": protocol.get("pairs", ""), "unfiltered": _SCORES["unfiltered"], "ign": "Ign"}
    return [
        EvalResult(
            task_type="relation-extraction",
            task_name="Document-level relation extraction",
            dataset_type=corpus,
            dataset_name=corpus,
            dataset_split=split,
            dataset_args={"sha256": protocol.get("files", {}).get(split)},
            metric_type=metric,
            metric_name=f"{metric} ({name})",
            metric_value=round(scores[split][place][metric], 4),
        )
        for place, name in names.items()
        for metric in ("f1", "precision", "recall")
        if place in scores.get(split, {})
    ]


def _task(run: Run) -> str:
    labels, threshold = run.labels, run.scores.get("threshold")
    types, relations = (", ".join(map(code, names)) for names in (labels.types, labels.relations))
    pairs = ", ".join(f"{code(head)} with {code(tail)}" for head, tail in labels.pair_types or ())
    lines = [
        f"Entity types: {types}.",
        f"Relations ({len(labels.relations)}): {relations}.",
        f"Candidate pairs: {pairs or 'all pairs of entities'}, "
        + ("directed." if labels.directed else "undirected."),
    ]
    if isinstance(threshold, Mapping):
        lines.append("Threshold: one for each relation, in `scores.json`.")
    elif isinstance(threshold, int | float):
        lines.append(f"Threshold: a relation is predicted if its probability exceeds {threshold:.6g}.")
    return _items(lines)


def _data(config: DictConfig, corpus: str, protocol: Mapping[str, Any]) -> str:
    files, dataset = protocol.get("files") or {}, lookup(config, "dataset") or {}
    rows = [
        (escape(name), escape(str(dataset.get(name) or "-")), _cell(str(digest)))
        for name, digest in files.items()
    ]
    return (
        f"Corpus: {escape(corpus)}. The checksums identify the files; a file without a name is one that the "
        "library downloads or generates. Scores on other files, or on other splits of them, are not "
        "comparable with those below.\n\n" + Table(("split", "file", "sha256"), rows, left=3).to_markdown()
    )


def _protocol(protocol: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    pairs, setting, dev, threshold = (
        escape(str(protocol.get(name, "unknown"))) for name in ("pairs", "setting", "dev", "threshold")
    )
    epoch = escape(str(scores.get("best_epoch", "unknown")))
    lines = [
        f"Scored pairs: {pairs}.",
        f"Trained on: {setting}.",
        f"Dev: {dev}.",
        f"Epoch ({epoch}) and threshold were chosen by: {threshold}.",
        "Test was scored once by the training command, after both were chosen."
        if "test" in scores
        else "There are no scores on test: its facts are not public.",
    ]
    if protocol.get("ignored"):
        lines.append(f"Ign leaves out the facts of the file with sha256 {code(str(protocol['ignored']))}.")
    return _items(lines)


def _scores(scores: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    rows, files = [], protocol.get("files") or {}
    splits = {split: scores[split] for split in ("dev", "test") if scores.get(split)}
    for split, values in splits.items():
        for place, name in _SCORES.items():
            row: Any = values
            for key in place.split("."):
                row = row.get(key) or {}
            if "f1" not in row or (place == "ign" and files.get(split) == protocol.get("ignored")):
                continue  # Ign of the file whose facts it leaves out is empty
            interval = values.get("interval") if place == "filtered" else None
            low_to_high = " to ".join(f"{100 * bound:.1f}" for bound in interval) if interval else "-"
            rows.append((split, name, *_percent(row), low_to_high, f"{row['gold']:d}"))
    note = "In percent. The interval is a bootstrap over documents."
    if "dev" in splits:
        note += " Epoch and threshold were chosen on dev, so its scores are optimistic; not on test."
    if any(values.get("filtered") != values.get("unfiltered") for values in splits.values()):
        note += (
            " The protocol leaves pairs out of the score; the score over every candidate pair is given, too."
        )
    table = Table(("split", "scored", "P", "R", "F1", "F1, 95 %", "facts"), rows, left=2)
    return f"{table.to_markdown()}\n\n{note}"


def _by_relation(scores: Mapping[str, Any]) -> str:
    split = "test" if "test" in scores else "dev"
    by_relation = scores.get(split, {}).get("by_relation") or {}
    if len(by_relation) < 2:
        return ""
    rows = [
        (_cell(name), *_percent(row), f"{row['predicted']:d}", f"{row['gold']:d}")
        for name, row in sorted(by_relation.items(), key=lambda item: -item[1]["gold"])
    ]
    table = Table(("relation", "P", "R", "F1", "predicted", "facts"), rows)
    return f"On {split}, in percent, pairs of the protocol.\n\n{table.to_markdown()}"


def _training(run: Run, config: DictConfig) -> str:
    rows = [
        *((code(name), lookup(config, name)) for name in _SETTINGS),
        *((escape(name), value) for name, value in run.environment.items() if not isinstance(value, Mapping)),
    ]
    cells = [(name, escape(str(value))) for name, value in rows if value is not None]
    table = Table(("setting", "value"), cells, left=2)
    count = sum(parameter.numel() for parameter in run.model.parameters())
    return f"{count:,} parameters. `config.yaml` has all settings.\n\n{table.to_markdown()}"


def _limitations(scores: Mapping[str, Any]) -> str:
    lines = [
        "The model does not find entities: mentions of the types above have to be given.",
        "The scores hold for documents like those that were scored; other documents were not tested.",
        "A predicted fact is what the model reads in a text, with the error rates above. Have a person check "
        "it before anything depends on it.",
        "Whether the probabilities are calibrated was not measured.",
        "This is one run with one seed: another seed gives other scores.",
    ]
    if "interval" not in scores.get("test", {}):
        lines.append("There is no confidence interval for F1 on test.")
    return _items(lines)


def _percent(scores: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1"))


def _cell(text: str) -> str:
    return code(text).replace("|", "\\|")


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
