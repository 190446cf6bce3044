"""Runs from and to folders and the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the HTTP library below, which differs between versions of huggingface_hub
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from omegaconf import OmegaConf

from glre_pyg.evaluation.known_facts import write_named_facts
from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.runs.checksums import write_checksums
from glre_pyg.runs.directory import (
    CHECKSUMS,
    CONFIG,
    ENCODER,
    ENVIRONMENT,
    FILES,
    KNOWN,
    LABELS,
    ONTOLOGY,
    SCORES,
    WEIGHTS,
    replace_files,
    save_tokenizer,
    without_local_paths,
)
from glre_pyg.runs.ensemble import load_all
from glre_pyg.runs.model_card import model_card
from glre_pyg.runs.run import Run
from glre_pyg.runs.trust import SIGNATURE
from glre_pyg.runs.weights import save_weights
from glre_pyg.utils.console import echo
from glre_pyg.utils.distributed import usable_device
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import WriteError, atomic_path, exclusive, hidden_folder, write_json, write_text

if TYPE_CHECKING:
    import torch

CARD = "README.md"
INCLUDED = ("cdr",)
"""Models that come with the library."""
_TRAINED = Path(__file__).resolve().parents[1] / "trained"
_DOWNLOADED = (*FILES, CHECKSUMS, *(f"{ENCODER}/*.{suffix}" for suffix in ("json", "txt", "model")))
"""Files of a repository that are downloaded: no code, and nothing else that it holds."""


def resolve_folder(name: str | Path, **options: Any) -> Path:
    """Return the folder of a run, of a saved model, or of a model on the hub, downloaded if necessary.

    Args:
        name: The folder, the name of a model that comes with the library (``"cdr"``), or that of a model on
            the hub, ``OWNER/NAME``. A ``Path`` is always a folder.
        **options: Arguments of :func:`huggingface_hub.snapshot_download`, such as ``revision``, ``token``,
            ``cache_dir``, ``local_files_only`` and ``force_download``.

    Raises:
        InputError: If there is no such folder, and the model cannot be downloaded.
    """
    if str(name) and Path(name).is_dir():
        return Path(name)
    if Path(name).is_file():
        raise InputError(f"{name}: is a file, not the folder of a model")
    if name in INCLUDED:
        return _TRAINED / str(name)
    if isinstance(name, Path) or not _is_repo_id(name):
        raise InputError(
            f"{name}: no such folder, and not the name of a model on the hub (OWNER/NAME) or of one that is "
            f"included: {', '.join(INCLUDED)}"
        )
    try:
        folder = Path(
            snapshot_download(name, allow_patterns=list(_DOWNLOADED), library_name="glre_pyg", **options)
        )
    except (HTTPError, OSError, ValueError) as error:
        reason = _reason(error, options.get("revision"))
        raise InputError(f"{name}: no such folder; on the hub: {reason}") from error
    if not (folder / CONFIG).is_file():
        raise InputError(f"{name}: no such folder; on the hub: not a model of this library, without {CONFIG}")
    return folder


def from_pretrained(
    name: str | Path | Sequence[str | Path],
    *,
    device: str | torch.device = "cpu",
    memory: float | None = None,
    precision: PrecisionSetting = "fp32",
    **options: Any,
) -> Run:
    """Load a run directory, a saved model, or a model of the hub, or the average of several.

    Args:
        name: The folder, or the model's name on the hub, ``OWNER/NAME``; of several, the mean of their
            probabilities is taken.
        device: Device of the model.
        memory: GiB that predictions may use; None for most of the free memory.
        precision: Numeric precision of predictions: ``"fp32"``, ``"bf16"``, ``"fp16"``, or ``"auto"`` for
            bf16 where it is fast and has cost little F1 on dev.
        **options: See :func:`resolve_folder`.

    Returns:
        The run: ``.model`` is the model; :class:`~glre_pyg.RelationExtractor` takes the whole.

    Raises:
        InputError: If the model cannot be found or loaded, or the device cannot be used.

    Example:
        >>> from glre_pyg import from_pretrained, save_pretrained               # doctest: +SKIP
        >>> run = from_pretrained("runs/cdr")                                   # doctest: +SKIP
        >>> save_pretrained(run, "model", license="mit")                        # doctest: +SKIP
    """
    device = usable_device(device)  # before anything is downloaded
    names = [name] if isinstance(name, str | Path) else name
    folders = [resolve_folder(each, **options) for each in names]
    return load_all(folders, device=device, memory=memory, precision=precision)


def save_pretrained(run: Run, folder: str | Path, **card: Any) -> None:
    """Save a run to a folder that :func:`from_pretrained` loads, with a model card.

    No path of this machine is written. A ``README.md`` in the folder is kept; a model in it is replaced: if
    the process is killed meanwhile, the folder has the old or the new one, or is refused when it is loaded.

    Args:
        run: A run that was trained or loaded.
        folder: The folder; it is made if necessary.
        **card: See :func:`~glre_pyg.runs.model_card.model_card`.

    Raises:
        InputError: If the run is not finished, the folder has a run in it, another process writes it, or it
            cannot be written.
    """
    save_model(run, Path(folder), partial(save_weights, run.model), **card)


def save_model(run: Run, folder: Path, save: Callable[[Path], None], **card: Any) -> None:
    """Save a run to a folder as :func:`save_pretrained` does.

    Args:
        run: The run.
        folder: The folder.
        save: Writes the weights to a file.
        **card: See :func:`~glre_pyg.runs.model_card.model_card`.
    """
    _check_finished(run)
    if (folder / SIGNATURE).exists():
        raise InputError(f"{folder}: has a run in it: save the model to another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder), hidden_folder(folder) as new:
            _write(run, new, save)
            if not (folder / CARD).exists():
                with as_input_errors(folder / CARD):
                    write_text(str(model_card(run, **card)), new / CARD)
            else:
                echo(f"{folder / CARD}: is kept as it is; without it, one is written")
            replace_files(new, folder)
            for name, part in ((KNOWN, run.known), (ONTOLOGY, run.annotations.ontology)):
                if part is None:
                    (folder / name).unlink(missing_ok=True)
    except WriteError as error:
        raise WriteError.from_error(folder, error) from error
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error


def _write(run: Run, folder: Path, save: Callable[[Path], None]) -> None:
    """Write the files of a saved model to a new folder."""
    save_tokenizer(run.tokenizer, folder)
    write_text(OmegaConf.to_yaml(without_local_paths(run.config)), folder / CONFIG)
    write_json(asdict(run.labels), folder / LABELS)
    write_json(run.scores, folder / SCORES)
    write_json(run.environment, folder / ENVIRONMENT)
    if run.known is not None:
        write_named_facts(run.known, folder / KNOWN)
    if run.annotations.ontology:
        run.annotations.ontology.write(folder / ONTOLOGY)
    with atomic_path(folder / WEIGHTS) as part:
        save(part)
    write_checksums(folder)


def push_to_hub(
    run: Run,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    card: dict[str, Any] | None = None,
    **options: Any,
) -> str:
    """Publish a run on the hub.

    Args:
        run: A run that was trained or loaded.
        repo_id: Name of the repository, ``OWNER/NAME``; it is made if necessary.
        private: Whether a new repository is private; None for the owner's default.
        token: Access token; None for the one of ``hf auth login``.
        card: See :func:`~glre_pyg.runs.model_card.model_card`.
        **options: Arguments of :meth:`huggingface_hub.HfApi.upload_folder`, such as ``commit_message``,
            ``revision``, ``create_pr`` and ``ignore_patterns``; ``ignore_patterns="README.md"`` keeps a card
            that was edited on the hub.

    Returns:
        Address of the commit.

    Raises:
        InputError: If the run is not finished, or the hub refuses it.
    """
    _check_finished(run)
    api = HfApi(token=token, library_name="glre_pyg")
    try:
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            save_pretrained(run, folder, **{"repo_id": name, **(card or {})})
            commit: Any = api.upload_folder(repo_id=name, folder_path=folder, **options)
    except InputError:
        raise
    except (HTTPError, OSError, ValueError) as error:
        raise InputError(f"{repo_id}: not pushed: {_reason(error, options.get('revision'))}") from error
    return str(commit.commit_url)


def _check_finished(run: Run) -> None:
    if "threshold" not in run.scores:
        raise InputError(
            "the run has no scores, so it cannot be saved: load it with from_pretrained, or take the result "
            "of glre_pyg.training.experiment.train"
        )


def _is_repo_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def _reason(error: Exception, revision: str | None) -> str:
    """Why a model was not downloaded or uploaded, in one line."""
    if isinstance(error, GatedRepoError):
        return (
            "the model is gated: ask for access on its page, then pass a token (hf auth login, or token=...)"
        )
    if isinstance(error, RepositoryNotFoundError):
        return "no such model, or a private one that needs a token (hf auth login, or token=...)"
    if isinstance(error, RevisionNotFoundError):
        return f"the model has no revision '{revision}'"
    first = shorten(next(iter(str(error).strip().splitlines()), type(error).__name__), 300)
    if isinstance(error, LocalEntryNotFoundError):
        cause = f" ({shorten(str(error.__cause__), 200)})" if error.__cause__ else ""
        return f"it is not in the cache, and the hub cannot be reached{cause}"
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered {error.response.status_code}: {first}"
    return f"the hub cannot be reached: {first}" if isinstance(error, HTTPError) else first
