"""The card of a saved model: what it was trained and scored on, how well it does, and what to mind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from omegaconf import OmegaConf

from glre_pyg.utils.markdown import code, escape
from glre_pyg.runs.artifacts import Parts, values_at, without_places

_NAME = "FOLDER_OR_NAME_ON_THE_HUB"
_SPLITS = ("dev", "test")
_KINDS = (
    ("filtered", "pairs of the protocol"),
    ("unfiltered", "every candidate pair"),
    ("ign", "Ign: facts known from training left out"),
    ("pair", "is there any relation"),
    ("by_sentence/intra", "pairs that a sentence names together"),
    ("by_sentence/inter", "pairs across sentences"),
)
"""Scores of a split by their place in ``scores.json``, and what they are of."""
_COLUMNS = ("what", "file", "sha256")
_SETTINGS = (
    *("encoder.name", "encoder.tokenizer.name", "encoder.lr", "thresholds.name", "optimizer.factory._target_"),
    *(
        "optimizer.lr",
        "optimizer.weight_decay",
        "training.epochs",
        "training.batch_size",
        "training.accumulation",
    ),
    *("training.warmup", "training.decay", "training.max_norm", "training.patience", "training.ema"),
    *("training.precision", "training.seed", "seed", "start", "fixed_by"),
)


def model_card(
    parts: Parts,
    *,
    kind: str,
    num_parameters: int,
    paper: str | None = None,
    citation: str = "",
    departures: Sequence[str] = (),
    repo_id: str | None = None,
    **fields: Any,
) -> ModelCard:
    """The card of a model.

    Args:
        parts: What the model consists of besides its weights.
        kind: Name of its class.
        num_parameters: Numbers in its weights.
        paper: Address of its paper.
        citation: BibTeX of its paper.
        departures: What it does not have from its paper.
        repo_id: Its name on the hub, if it has one.
        **fields: Fields of the card's head, as :class:`huggingface_hub.ModelCardData` has them.
    """
    config = OmegaConf.to_container(without_places(parts.config), resolve=True)
    assert isinstance(config, dict)
    settings = {str(key): value for key, value in config.items()}
    protocol, scores = parts.scores.get("protocol") or {}, parts.scores
    corpus = str(protocol.get("corpus", "an unnamed corpus"))
    title = f"{kind} on {corpus}"
    head: dict[str, Any] = {
        "datasets": [corpus],
        "metrics": ["f1", "precision", "recall"],
        "model_name": title,
        "eval_results": _results(scores, corpus, protocol),
    }
    data = ModelCardData(**(head | fields))
    sections = (
        ("How to use it", _use(repo_id or _NAME)),
        ("What it does", _task(parts)),
        ("Data", _data(settings, protocol)),
        ("Protocol", _protocol(protocol, scores)),
        ("Scores", _scores(scores)),
        ("Scores by relation", _by_relation(scores)),
        ("Training", _training(settings, parts, num_parameters)),
        ("Departures from the paper", "\n".join(f"- {line}" for line in departures)),
        ("Limits", _limits(scores)),
        ("License", "" if data.license else _LICENSE),
        ("Citation", "\n\n".join(filter(None, (paper, citation and f"```bibtex\n{citation}\n```")))),
    )
    text = "\n\n".join(f"## {name}\n\n{body}" for name, body in sections if body)
    intro = (
        f"A {kind} model of glre_pyg for document-level relation extraction: it is given a document in which "
        "entities are marked, and gives the relations between them, each with a probability. This card was "
        "written from the files of its run."
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {escape(title)}\n\n{intro}\n\n{text}\n")


def _results(scores: Mapping[str, Any], corpus: str, protocol: Mapping[str, Any]) -> list[EvalResult]:
    """What the hub shows: dev chose threshold and epoch, so test alone, unless there is none."""
    split = "test" if "test" in scores else "dev"
    names = {"filtered": protocol.get("pairs", ""), "unfiltered": _KINDS[1][1], "ign": "Ign"}
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


def _use(name: str) -> str:
    return (
        "```python\nfrom glre_pyg import RelationExtractor\n\n"
        f'documents = RelationExtractor.from_pretrained("{name}")(documents)\n```\n\n'
        "`documents` are `glre_pyg.Document`s; they come back with the facts that are found in them. "
        f'`glre_pyg.models.base.RelationModel.from_pretrained("{name}")` gives the model alone.'
    )


def _task(parts: Parts) -> str:
    labels, threshold = parts.labels, parts.scores.get("threshold")
    types, relations = (", ".join(map(code, names)) for names in (labels.types, labels.relations))
    pairs = ", ".join(f"{code(head)} with {code(tail)}" for head, tail in labels.pair_types or ())
    lines = [
        f"Entity types that a document may have: {types}.",
        f"Relations ({len(labels.relations)}): {relations}.",
        f"Candidate pairs: {pairs or 'all pairs of entities'}, "
        + ("in either direction." if labels.directed else "without direction."),
        "Threshold: one for each relation, in `scores.json`."
        if isinstance(threshold, Mapping)
        else f"Threshold: a relation is predicted where its probability exceeds {threshold:.6g}."
        if isinstance(threshold, int | float)
        else "",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _data(settings: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    files, dataset = protocol.get("files") or {}, settings.get("dataset") or {}
    rows = [
        (escape(name), escape(str(dataset.get(name) or "-")), _code_cell(str(digest)))
        for name, digest in files.items()
    ]
    corpus = escape(str(protocol.get("corpus", "unknown")))
    return (
        f"Corpus: {corpus}. What was read is told by its checksums; a file "
        "without a name is one that the library finds, or generates, by itself. Scores on other "
        "files, or on other parts of them, are not comparable with those below.\n\n" + _table(_COLUMNS, rows)
    )


def _protocol(protocol: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    said = {name: escape(str(value)) for name, value in protocol.items()}
    epoch = escape(str(scores.get("best_epoch", "unknown")))
    lines = [
        f"Pairs that are scored: {said.get('pairs', 'unknown')}.",
        f"Trained on: {said.get('setting', 'unknown')}.",
        f"Dev: {said.get('dev', 'unknown')}.",
        f"Epoch ({epoch}) and threshold were fixed by: {said.get('threshold', 'unknown')}.",
        "Test was scored once by the training command, after both were fixed."
        if "test" in scores
        else "There are no scores on test: its facts are not known to the run.",
    ]
    if protocol.get("ignored"):
        lines.append(f"Ign leaves out the facts of the file with sha256 {code(str(protocol['ignored']))}.")
    return "\n".join(f"- {line}" for line in lines)


def _scores(scores: Mapping[str, Any]) -> str:
    rows = []
    protocol = scores.get("protocol") or {}
    files = protocol.get("files") or {}
    for split in _SPLITS:
        for place, name in _KINDS:
            found: Any = scores.get(split, {})
            for key in place.split("/"):
                found = found.get(key) or {}
            if place == "ign" and files.get(split) == protocol.get("ignored"):
                continue  # all its facts are known
            if "f1" in found:
                interval = scores[split].get("interval") if place == "filtered" else None
                between = " to ".join(f"{100 * bound:.1f}" for bound in interval) if interval else "-"
                rows.append((split, name, *_percent(found), between, _count(found["gold"])))
    note = "In percent. The interval is a bootstrap over documents."
    if "dev" in scores:
        note += " Dev chose epoch and threshold, so its scores are too kind; test was not looked at for that."
    if any(of.get("filtered") != of.get("unfiltered") for of in map(scores.get, _SPLITS) if of):
        note += " The protocol leaves pairs out of the score, so that over every candidate pair is beside it."
    header = ("split", "what is scored", "P", "R", "F1", "F1, 95 %", "facts")
    return f"{_table(header, rows)}\n\n{note}"


def _by_relation(scores: Mapping[str, Any]) -> str:
    split = "test" if "test" in scores else "dev"
    found = scores.get(split, {}).get("by_relation") or {}
    if len(found) < 2:
        return ""
    ordered = sorted(found.items(), key=lambda item: -item[1]["gold"])
    rows = [
        (_code_cell(name), *_percent(of), _count(of["predicted"]), _count(of["gold"])) for name, of in ordered
    ]
    table = _table(("relation", "P", "R", "F1", "predicted", "facts"), rows)
    return f"On {split}, in percent, pairs of the protocol.\n\n{table}"


def _training(settings: Mapping[str, Any], parts: Parts, num_parameters: int) -> str:
    rows = [
        (code(place), escape(str(value)))
        for place in _SETTINGS
        for value in values_at(settings, place)
        if value is not None
    ]
    rows += [
        (escape(name), escape(str(value)))
        for name, value in parts.environment.items()
        if value is not None and not isinstance(value, Mapping)
    ]
    table = _table(("setting", "value"), rows)
    return f"{num_parameters:,} parameters. All settings are in `config.yaml`.\n\n{table}"


def _limits(scores: Mapping[str, Any]) -> str:
    lines = [
        "It finds no entities: mentions have to be marked, and to be of the types above.",
        "The scores hold for documents like those that were scored; nothing is known of others.",
        "A predicted fact is what the model takes a text to say, with errors at the rates above. Have a "
        "person check it before anything depends on it.",
        "Whether a probability of 0.8 is right 8 times of 10 was not measured.",
        "One run with one seed: another seed gives other scores.",
    ]
    if "interval" not in scores.get("test", {}):
        lines.append("There is no interval of its F1 on test.")
    return "\n".join(f"- {line}" for line in lines)


_LICENSE = (
    "None is set. Whoever publishes this model sets `license` at the head of this card, and minds the "
    "licenses of the corpus and of the encoder that it was made from."
)


def _percent(scores: Mapping[str, Any]) -> tuple[str, str, str]:
    precision, recall, f1 = (f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1"))
    return precision, recall, f1


def _count(value: int) -> str:
    return f"{value:d}"


def _code_cell(text: str) -> str:
    return code(text).replace("|", "\\|")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
