"""The model card of a run: ``model_card.md`` with the run's data, protocol, scores and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from omegaconf import DictConfig, OmegaConf

from glre_pyg.models.glre import GLRE
from glre_pyg.runs.directory import lookup, without_local_paths
from glre_pyg.runs.run import Run
from glre_pyg.utils.json_fields import walk
from glre_pyg.utils.markdown import code, escape
from glre_pyg.utils.table import Table

_TEMPLATE = Path(__file__).with_suffix(".md")
_SCORES = {
    "filtered": "pairs of the protocol",
    "unfiltered": "every candidate pair",
    "ign": "Ign: facts known from training left out",
    "pair": "is there any relation",
    "by_sentence.intra": "pairs within a sentence",
    "by_sentence.inter": "pairs across sentences",
}
"""Scores of a split by their place in ``scores.json``, with their names in the card."""
_SECTIONS = ("encoder", "optimizer", "training")
_SETTINGS = (
    "encoder.tokenizer.name",
    "optimizer.factory._target_",
    "thresholds.name",
    "seed",
    "start",
    "fixed_by",
)
"""Settings that the card shows besides the plain values of some sections."""


def model_card(run: Run, *, repo_id: str = "FOLDER_OR_NAME_ON_THE_HUB", **fields: Any) -> ModelCard:
    """Write the model card of a run.

    Args:
        run: A finished run.
        repo_id: Name of the model on the hub.
        **fields: Fields of the card's metadata, such as ``license``; see
            :class:`huggingface_hub.ModelCardData`.
    """
    config, scores, labels = without_local_paths(run.config), run.scores, run.labels
    protocol = scores.get("protocol") or {}
    corpus = str(protocol.get("corpus", "an unnamed corpus"))
    kind, is_glre = type(run.model).__name__, isinstance(run.model, GLRE)
    split = "test" if "test" in scores else "dev"
    pairs = ", ".join(f"{code(head)} with {code(tail)}" for head, tail in labels.pair_types or ())
    splits = {name: scores[name] for name in ("dev", "test") if scores.get(name)}
    names = ("pairs", "setting", "dev", "threshold")
    return ModelCard.from_template(
        ModelCardData(**(_metadata(run, corpus, split) | fields)),
        template_path=str(_TEMPLATE),
        title=escape(f"{kind} on {corpus}"),
        kind=kind,
        repo_id=repo_id,
        types=", ".join(map(code, labels.types)),
        num_relations=len(labels.relations),
        relations=", ".join(map(code, labels.relations)),
        pairs=f"{pairs or 'all pairs of entities'}, {'' if labels.directed else 'un'}directed",
        threshold=scores.get("threshold"),
        protocol={name: escape(str(protocol.get(name, "unknown"))) for name in names}
        | {"corpus": escape(corpus)},
        epoch=escape(str(scores.get("best_epoch", "unknown"))),
        ignored=protocol.get("ignored") and code(str(protocol["ignored"])),
        files=_files(config, protocol.get("files") or {}),
        scores=_scores(splits, protocol),
        split=split,
        by_relation=_by_relation(scores.get(split, {}).get("by_relation") or {}),
        **_calibration(scores.get(split, {}) if scores.get("calibration") else {}),
        compressed=scores.get("compressed"),
        has_dev="dev" in splits,
        has_test="test" in scores,
        has_interval="interval" in scores.get("test", {}),
        is_filtered=any(of.get("filtered") != of.get("unfiltered") for of in splits.values()),
        num_parameters=f"{sum(parameter.numel() for parameter in run.model.parameters()):,}",
        settings=_settings(config, run.environment),
        is_glre=is_glre,
        citation=run.model.citation,
        config={place: value for place, _, value in walk(OmegaConf.to_container(config))},
        escape=lambda value: escape(str(value)),
    )


def _metadata(run: Run, corpus: str, split: str) -> dict[str, Any]:
    tags = ["relation-extraction", "document-level-relation-extraction"]
    return {
        "library_name": "glre_pyg",
        "pipeline_tag": "text-classification",
        "tags": [*tags, "glre", "graph-neural-network"] if isinstance(run.model, GLRE) else tags,
        "datasets": [corpus],
        "metrics": ["f1", "precision", "recall"],
        "model_name": f"{type(run.model).__name__} on {corpus}",
        "eval_results": _results(run.scores, corpus, split),
    }


def _results(scores: Mapping[str, Any], corpus: str, split: str) -> list[EvalResult]:
    """Scores that the hub shows."""
    protocol = scores.get("protocol") or {}
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


def _files(config: DictConfig, files: Mapping[str, Any]) -> str:
    dataset = lookup(config, "dataset") or {}
    rows = [
        (escape(split), escape(str(dataset.get(split) or "-")), _cell(sha256))
        for split, sha256 in files.items()
    ]
    return Table(("split", "file", "sha256"), rows, left=3).to_markdown()


def _scores(splits: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    rows, files = [], protocol.get("files") or {}
    for split, values in splits.items():
        for place, name in _SCORES.items():
            row = lookup(values, place) or {}
            if "f1" not in row or (place == "ign" and files.get(split) == protocol.get("ignored")):
                continue  # Ign of the file whose facts it leaves out is empty
            interval = values.get("interval") if place == "filtered" else None
            bounds = " to ".join(f"{100 * bound:.1f}" for bound in interval) if interval else "-"
            rows.append((split, name, *_percent(row), bounds, f"{row['gold']:d}"))
    return Table(("split", "scored", "P", "R", "F1", "F1, 95 %", "facts"), rows, left=2).to_markdown()


def _calibration(values: Mapping[str, Any]) -> dict[str, str | None]:
    names = ("calibration_error", "calibration_error_before")
    return {name: f"{values[name]:.3f}" if name in values else None for name in names}


def _by_relation(by_relation: Mapping[str, Any]) -> str:
    if len(by_relation) < 2:
        return ""
    rows = [
        (_cell(name), *_percent(row), f"{row['predicted']:d}", f"{row['gold']:d}")
        for name, row in sorted(by_relation.items(), key=lambda item: -item[1]["gold"])
    ]
    return Table(("relation", "P", "R", "F1", "predicted", "facts"), rows).to_markdown()


def _settings(config: DictConfig, environment: Mapping[str, Any]) -> str:
    places = [
        f"{section}.{name}"
        for section in _SECTIONS
        for name in lookup(config, section) or ()
        if name != "_target_"
    ]
    values = {code(place): lookup(config, place) for place in (*places, *_SETTINGS)}
    values |= {escape(name): value for name, value in environment.items()}
    rows = [
        (name, escape(str(value))) for name, value in values.items() if isinstance(value, str | int | float)
    ]
    return Table(("setting", "value"), rows, left=2).to_markdown()


def _percent(scores: Mapping[str, Any]) -> Sequence[str]:
    return [f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1")]


def _cell(text: object) -> str:
    return code(str(text)).replace("|", "\\|")
