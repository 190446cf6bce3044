"""The files of a run directory, and of a saved model.

A run directory has ``config.yaml`` (resolved), ``labels.json`` (the label map), ``encoder/`` (the tokenizer),
``model.safetensors``, ``scores.json``, ``known_facts.json`` (if the corpus has an Ign F1),
``ontology.tsv`` (if the model has one), ``environment.json`` and ``checksums.json``. A saved model has these
files and a ``README.md``. A run also has ``predictions_dev.jsonl``, ``predictions_test.jsonl``,
``costs.json``, ``log.jsonl``, TensorBoard's files and a checkpoint, and with cross-validation ``fold_0/`` and
so on. Both can be loaded on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from huggingface_hub.constants import SAFETENSORS_SINGLE_FILE as WEIGHTS
from omegaconf import DictConfig, OmegaConf

from glre_pyg.data.labels import Labels
from glre_pyg.runs.environment import describe_environment
from glre_pyg.runs.legacy import upgrade
from glre_pyg.runs.plain_yaml import load_config
from glre_pyg.runs.trust import check_config, sign
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import (
    WriteError,
    atomic_replace,
    hidden_folder,
    read_bytes,
    read_json,
    write_json,
    write_new,
)
from glre_pyg.utils.json_fields import convert, parse

if TYPE_CHECKING:
    from glre_pyg.data.annotations import Annotations
    from glre_pyg.data.tokenizer import Tokenizer

CONFIG, LABELS, SCORES, KNOWN = "config.yaml", "labels.json", "scores.json", "known_facts.json"
ONTOLOGY = "ontology.tsv"
COSTS = "costs.json"
ENVIRONMENT, ENCODER, CHECKSUMS = "environment.json", "encoder", "checksums.json"
FILES = (WEIGHTS, CONFIG, LABELS, SCORES, KNOWN, ONTOLOGY, ENVIRONMENT)
"""Files of a saved model besides those of its tokenizer."""


def has_run(folder: Path) -> bool:
    """Whether there is a run in a directory, finished or not."""
    return (folder / CONFIG).is_file()


def is_finished(folder: Path) -> bool:
    """Whether the run in a directory is complete."""
    return has_run(folder) and (folder / CHECKSUMS).is_file()


def unfinished(folder: Path, name: str) -> InputError:
    """Return the error that a run lacks a file, which says how training goes on."""
    hint = "" if is_finished(folder) else f": python -m glre_pyg.train training.resume={folder} finishes it"
    return InputError(f"{folder}: not a finished run, there is no {name}{hint}")


def write_config(folder: Path, config: DictConfig) -> None:
    """Write and sign the config of a new run; of several processes at once, one succeeds.

    Raises:
        FileExistsError: If there is a run in the folder.
        WriteError: If it cannot be written.
    """
    write_new(OmegaConf.to_yaml(config, resolve=True), folder / CONFIG)
    sign(folder / CONFIG)


def write_setup(
    folder: Path,
    tokenizer: Tokenizer,
    labels: Labels,
    data: Mapping[str, str],
    annotations: Annotations,
) -> None:
    """Write what is known before training: tokenizer, label map, environment.

    Args:
        folder: The run directory.
        tokenizer: The tokenizer.
        labels: The label map.
        data: See :func:`~glre_pyg.runs.environment.describe_environment`.
        annotations: What the model asks for beside tokens.
    """
    (folder / CHECKSUMS).unlink(missing_ok=True)  # outdated where a run is resumed
    save_tokenizer(tokenizer, folder)
    write_json(asdict(labels), folder / LABELS)
    if annotations.ontology:
        annotations.ontology.write(folder / ONTOLOGY)
    write_json(describe_environment(data, annotations.pipeline), folder / ENVIRONMENT)


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a tokenizer to ``encoder/`` in a folder.

    Raises:
        InputError: If there are files of another tokenizer, which would become part of this one.
    """
    with hidden_folder(folder) as new:
        (new / ENCODER).mkdir()
        try:
            tokenizer.save(new / ENCODER)
        except Exception as error:  # tokenizers raises no narrower class
            if isinstance(error, OSError) or "os error" in str(error):
                raise WriteError.from_error(folder / ENCODER, error) from error
            raise
        replace_files(new, folder)


def replace_files(new: Path, folder: Path) -> None:
    """Replace files of a run or a saved model by those of a complete folder on the same disk.

    Checksums come first: until all files are replaced, the folder is refused when it is loaded.

    Args:
        new: The new files, with their tokenizer in ``encoder/``.
        folder: The folder.

    Raises:
        InputError: If there are files of another tokenizer, which would become part of this one.
    """
    names = [file.relative_to(new) for file in sorted(new.rglob("*")) if file.is_file()]
    others = {Path(ENCODER, file.name) for file in (folder / ENCODER).glob("[!.]*")} - {*names}
    if others:
        raise InputError(f"{folder / min(others)}: is of another tokenizer; save to a new folder")
    for name in sorted(names, key=lambda name: name.name != CHECKSUMS):
        (folder / name).parent.mkdir(exist_ok=True)
        atomic_replace(new / name, folder / name)


def read_config(folder: Path) -> DictConfig:
    """Read the config of a run.

    Raises:
        InputError: If there is none, it lacks what every run has, or it names what it may not; see
            :mod:`glre_pyg.runs.trust`.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder}: not a run directory, there is no {CONFIG}")
    config = upgrade(load_config(path))
    check_config(config, path)
    for name in ("model._target_", "dataset._target_", "encoder.tokenizer._target_", "eval_batch_size"):
        if OmegaConf.select(config, name) is None:
            raise InputError(f"{path}: {name}: is missing")
    if not isinstance(config.eval_batch_size, int) or config.eval_batch_size < 1:
        raise InputError(f"{path}: eval_batch_size: not a number of documents")
    return config


def read_scores(folder: Path) -> dict[str, Any]:
    """Read ``scores.json`` of a run.

    Raises:
        InputError: If it is missing or malformed.
    """
    if not (folder / SCORES).is_file():
        raise unfinished(folder, SCORES)
    return read_json(folder / SCORES)


def read_labels(path: Path) -> Labels:
    """Read a label map.

    Raises:
        InputError: If a field is missing or malformed.
    """
    with as_input_errors(path):
        return convert(parse(read_bytes(path)), Labels)


def lookup(config: Mapping[str, Any], place: str) -> Any:
    """Return the value at a dotted place of a config; None if there is none."""
    value: Any = config
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def without_local_paths(config: DictConfig) -> DictConfig:
    """Return a resolved config in which paths are reduced to file names, and folders of data are removed."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    plain = _without_folders(plain)
    for section, key in ((plain, "cache"), (plain.get("dataset"), "root")):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = None
    return OmegaConf.create(plain)


def _without_folders(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: value if key == "_target_" else _without_folders(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_folders(value) for value in node]
    if isinstance(node, str) and _is_local_path(node):
        return PureWindowsPath(node).name  # splits at both kinds of slash
    return node


def _is_local_path(value: str) -> bool:
    """Whether a string is a path on this machine, or on the machine of a loaded run."""
    if "\n" in value or not value.strip("./\\~"):
        return False
    absolute = any(path.is_absolute() for path in (PurePosixPath(value), PureWindowsPath(value)))
    try:
        return absolute or value.startswith(("~", "..")) or Path(value).exists()
    except (OSError, ValueError):  # too long for a file name
        return False
