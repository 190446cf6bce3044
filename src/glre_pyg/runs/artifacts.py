"""What a trained model needs beside its weights to be used, and the files in which it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from huggingface_hub.constants import SAFETENSORS_SINGLE_FILE as WEIGHTS
from omegaconf import DictConfig, OmegaConf

from glre_pyg.utils.exceptions import InputError
from glre_pyg.evaluation.known_facts import NamedFacts, write_named_facts
from glre_pyg.utils.files import atomic_replace, read_json, write_json, write_text
from glre_pyg.data.graph import Labels

if TYPE_CHECKING:
    from glre_pyg.data.tokenizer import Tokenizer

CONFIG, LABELS, SCORES, KNOWN = "config.yaml", "labels.json", "scores.json", "known_facts.json"
ENVIRONMENT, ENCODER = "environment.json", "encoder"
FILES = (WEIGHTS, CONFIG, LABELS, SCORES, KNOWN, ENVIRONMENT)
"""Files of a saved model besides those in the folder of its pieces."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a trained model needs beside its weights.

    Args:
        tokenizer: What makes its input.
        labels: What its output means.
        config: The resolved config that it was trained with.
        scores: Its threshold, and its scores with their protocol: ``scores.json`` of its run.
        environment: Versions and machine that it was trained with; empty if unknown.
        known: Facts that Ign F1 leaves out, if the corpus has such a score.
    """

    tokenizer: Tokenizer
    labels: Labels
    config: DictConfig
    scores: Mapping[str, Any]
    environment: Mapping[str, Any]
    known: NamedFacts | None = None

    def save(self, folder: Path) -> None:
        """Write everything but the weights; no path of this machine is written.

        Raises:
            InputError: If there are pieces of another model in the folder.
        """
        save_tokenizer(self.tokenizer, folder)
        write_text(OmegaConf.to_yaml(without_places(self.config)), folder / CONFIG)
        write_json(asdict(self.labels), folder / LABELS)
        write_json(self.scores, folder / SCORES)
        write_json(self.environment, folder / ENVIRONMENT)
        if self.known is None:
            (folder / KNOWN).unlink(missing_ok=True)
        else:
            write_named_facts(self.known, folder / KNOWN)


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write pieces into the folder that is theirs.

    Raises:
        InputError: If that has files of something else, which would become a part of them.
    """
    place = folder / ENCODER
    with TemporaryDirectory(dir=folder, prefix=".") as part:
        tokenizer.save(Path(part))
        files = sorted(Path(part).iterdir())
        others = {file.name for file in place.glob("[!.]*")} - {file.name for file in files}
        if others:
            raise InputError(f"{place / min(others)}: is of something else; save to a folder of its own")
        place.mkdir(exist_ok=True)
        for file in files:
            atomic_replace(file, place / file.name)


def without_places(config: DictConfig) -> DictConfig:
    """A config that says of files and folders only what they are called, and nothing of where corpora are."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    plain = _named(plain)
    for section, key in ((plain, "cache"), (plain.get("dataset"), "root")):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = None
    return OmegaConf.create(plain)


def _named(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: value if key == "_target_" else _named(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_named(value) for value in node]
    if isinstance(node, str) and _is_place(node):
        return PureWindowsPath(node).name  # which knows both slashes
    return node


def _is_place(value: str) -> bool:
    """Whether a string names a file or a folder, of this machine or of the one that a run is from."""
    if "\n" in value or not value.strip("./\\~"):
        return False
    whole = any(path.is_absolute() for path in (PurePosixPath(value), PureWindowsPath(value)))
    try:
        return whole or value.startswith(("~", "..")) or Path(value).exists()
    except (OSError, ValueError):  # too long for a name
        return False


def values_at(config: Mapping[str, Any], place: str) -> Iterator[Any]:
    """The value at a dotted place of a config, if there is one."""
    found: Any = config
    for key in place.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return
        found = found[key]
    yield found


def read_labels(path: Path) -> Labels:
    """A label map.

    Raises:
        InputError: If a field is missing or malformed.
    """
    saved = read_json(path)
    for name in ("relations", "types", "pair_types"):
        if name not in saved:
            raise InputError(f"{path}: {name}: is missing")
    for name in ("relations", "types"):
        if not _are_names(saved[name]):
            raise InputError(f"{path}: {name}: not a list of names")
    pairs, directed = saved["pair_types"], saved.get("directed", True)
    if not (pairs is None or isinstance(pairs, list)) or not all(
        _are_names(pair) and len(pair) == 2 for pair in pairs or ()
    ):
        raise InputError(f"{path}: pair_types: not a list of [head type, tail type]")
    if not isinstance(directed, bool):
        raise InputError(f"{path}: directed: neither true nor false")
    types = None if pairs is None else tuple((head, tail) for head, tail in pairs)
    return Labels(tuple(saved["relations"]), tuple(saved["types"]), types, directed)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
