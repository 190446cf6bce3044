"""Models from and to folders and Hugging Face's hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, ClassVar, Self

from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the library that it speaks HTTP with, which is not the same in all versions
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from glre_pyg.runs.checksums import CHECKSUMS, used_files, write_checksums
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_path
from glre_pyg.runs.artifacts import CONFIG, ENCODER, FILES, WEIGHTS, Parts
from glre_pyg.runs.weights import save_weights

if TYPE_CHECKING:
    import torch

NEEDED = (*FILES, CHECKSUMS, *(f"{ENCODER}/*.{kind}" for kind in ("json", "txt", "model")))
"""What is fetched of a model of the hub: no code, and nothing else that lies there."""


def folder_of(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """The folder of a run, of a saved model, or of a model of the hub, which is fetched if need be.

    Args:
        name: The folder, or the model's name on the hub, ``OWNER/NAME``. A ``Path`` is always a folder.
        revision: Branch, tag or commit of the hub's model; None for its main branch.
        token: Access token of the hub; None or True for the one of ``hf auth login``, False for none.
        cache_dir: Where models of the hub are kept; None for the hub's own cache.
        local_files_only: Whether the cache is all that is looked into.
        force_download: Whether files are fetched that the cache has.

    Raises:
        InputError: If there is no such folder, and the model cannot be had from the hub.
    """
    if str(name) and Path(name).is_dir():
        return Path(name)
    if Path(name).is_file():
        raise InputError(f"{name}: is a file, not the folder of a model")
    if isinstance(name, Path) or not _is_repo_id(name):
        raise InputError(f"{name}: no such folder, and not the name of a model on the hub (OWNER/NAME)")
    try:
        found = snapshot_download(
            name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
            allow_patterns=list(NEEDED),
            library_name="glre_pyg",
        )
    except (HTTPError, OSError, ValueError) as error:
        raise InputError(f"{name}: no such folder; on the hub: {_reason(error, revision)}") from error
    if not (Path(found) / CONFIG).is_file():
        raise InputError(f"{name}: no such folder; on the hub: not a model of this library, without {CONFIG}")
    return Path(found)


class Pretrained(ModelHubMixin):
    """A model that can be loaded, saved and published.

    Attributes:
        parts: What it takes to be saved, if it was loaded, or trained by ``glre_pyg.training.experiment.train``.
        citation: BibTeX of the paper that it is from.
    """

    parts: Parts | None = None
    citation: ClassVar[str] = ""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Make one, without keeping its arguments for a ``config.json``, which the hub's mixin does."""
        return object.__new__(cls)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # no argument of the model can be given
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        device: str | torch.device = "cpu",
    ) -> Self:
        """A trained model, ready to predict.

        Args:
            pretrained_model_name_or_path: A run's directory, a saved model's folder, or a name on the hub.
            force_download, token, cache_dir, local_files_only, revision: See :func:`folder_of`.
            device: Where the model is to be.

        Raises:
            InputError: If it cannot be had, a file is not what was saved, or it is of another class.
        """
        from glre_pyg.runs.run import load  # which knows the models, and those are of this class

        folder = folder_of(
            pretrained_model_name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        # Layers of the package of a class that is at hand already, and was asked for.
        package = cls.__module__.partition(".")[0]
        trusted = [] if package == __name__.partition(".")[0] else [package]
        model = load(folder, device=device, trusted=trusted).model
        if not isinstance(model, cls):
            kind = type(model).__name__
            raise InputError(f"{folder}: is a {kind}, not a {cls.__name__}: use {kind}.from_pretrained")
        return model

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Save the model to a folder that :meth:`from_pretrained` loads, with a card about its run.

        Args:
            save_directory: The folder; made if need be. A ``README.md`` that it has is kept.
            config: Something for a ``config.json``; none is needed.
            repo_id: Its name on the hub, if it is pushed; else that of the folder.
            push_to_hub: Whether it is pushed, too.
            model_card_kwargs: See :meth:`generate_model_card`.
            **push_to_hub_kwargs: See :meth:`push_to_hub`.

        Returns:
            Address of the commit, if it was pushed.

        Raises:
            InputError: If the model does not know its parts, or the folder cannot be written.
        """
        self.needed_parts()
        if (Path(save_directory) / "README.md").exists():
            print(f"{Path(save_directory) / 'README.md'}: is kept as it is; without it, one is written")
        try:
            return super().save_pretrained(
                save_directory,
                config=config,
                repo_id=repo_id,
                push_to_hub=push_to_hub,
                model_card_kwargs=model_card_kwargs,
                **push_to_hub_kwargs,
            )
        except OSError as error:
            raise InputError(f"{error.filename or save_directory}: {error.strerror or error}") from error

    def _save_pretrained(self, save_directory: Path) -> None:
        (save_directory / CHECKSUMS).unlink(missing_ok=True)
        self.needed_parts().save(save_directory)
        with atomic_path(save_directory / WEIGHTS) as part:
            save_weights(self, part)  # type: ignore[arg-type]  # a mixin of modules
        write_checksums(save_directory, used_files(save_directory))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        config: Any = None,
        commit_message: str = "Push model using huggingface_hub.",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        delete_patterns: list[str] | str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
    ) -> str:
        """Publish the model on the hub.

        Args:
            repo_id: Its name there, ``OWNER/NAME``; made if need be.
            config: Something for a ``config.json``; none is needed.
            commit_message: Message of the commit.
            private: Whether a new one is private; None for the owner's default.
            token: Access token of the hub; None for the one of ``hf auth login``.
            branch: Branch; None for the main one.
            create_pr: Whether a pull request is made of it.
            allow_patterns: Files to push, alone.
            ignore_patterns: Files not to push; ``"README.md"`` keeps a card that was edited on the hub.
            delete_patterns: Files of the hub to delete.
            model_card_kwargs: See :meth:`generate_model_card`.

        Returns:
            Address of the commit.

        Raises:
            InputError: If the model does not know its parts, or the hub does not take it.
        """
        self.needed_parts()  # before anything is made on the hub
        fields = dict(model_card_kwargs or {})
        if "/" in repo_id:
            fields.setdefault("repo_id", repo_id)
        try:
            return super().push_to_hub(
                repo_id,
                config=config,
                commit_message=commit_message,
                private=private,
                token=token,
                branch=branch,
                create_pr=create_pr,
                allow_patterns=allow_patterns,
                ignore_patterns=ignore_patterns,
                delete_patterns=delete_patterns,
                model_card_kwargs=fields,
            )
        except InputError:
            raise
        except (HTTPError, OSError, ValueError) as error:
            raise InputError(f"{repo_id}: not pushed: {_reason(error, branch)}") from error

    def generate_model_card(self, *args: object, **kwargs: Any) -> ModelCard:
        """A model card, written from the run.

        Args:
            *args: None.
            **kwargs: ``repo_id``, the model's name on the hub; and fields of the card's head, such as
                ``license``, as :class:`huggingface_hub.ModelCardData` has them.

        Raises:
            InputError: If the model does not know its parts.
        """
        from glre_pyg.runs.model_card import model_card

        fields: Mapping[str, Any] = {**self._hub_mixin_info.model_card_data.to_dict(), **kwargs}
        weights = sum(parameter.numel() for parameter in self.parameters())  # type: ignore[attr-defined]
        return model_card(
            self.needed_parts(),
            kind=type(self).__name__,
            num_parameters=weights,
            paper=self._hub_mixin_info.paper_url,
            citation=self.citation,
            departures=self.departures(),
            **fields,
        )

    def departures(self) -> list[str]:
        """What the model, as it is configured, does not have from its paper: sentences for the card."""
        return []

    def needed_parts(self) -> Parts:
        """The parts, if they are there.

        Raises:
            InputError: If they are not.
        """
        if self.parts is None:
            raise InputError(
                f"{type(self).__name__}: cannot be saved without tokenizer, labels and scores: take it from "
                "from_pretrained, or from glre_pyg.training.experiment.train, whose result has it as .model"
            )
        return self.parts


def _is_repo_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def _reason(error: Exception, revision: str | None) -> str:
    """What keeps a model from being fetched or pushed, in words."""
    if isinstance(error, GatedRepoError):
        return "who asks for access on the model's page gets it, with a token (hf auth login, or token=...)"
    if isinstance(error, RepositoryNotFoundError):
        return "no such model, or a private one that needs a token (hf auth login, or token=...)"
    if isinstance(error, RevisionNotFoundError):
        return f"the model has no revision '{revision}'"
    first = shorten(next(iter(str(error).strip().splitlines()), type(error).__name__), 300)
    if isinstance(error, LocalEntryNotFoundError):
        cause = error.__cause__
        why = f" ({shorten(str(cause), 200)})" if cause is not None else ""
        return f"it is not in the cache, and the hub is not reached{why}"
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered {error.response.status_code}: {first}"
    return f"the hub is not reached: {first}" if isinstance(error, HTTPError) else first
