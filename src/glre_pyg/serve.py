"""Serve a run over HTTP: ``python -m glre_pyg.serve run=RUN``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta
from omegaconf import DictConfig, OmegaConf

from glre_pyg.extraction.run_settings import RunSettings
from glre_pyg.predict import MentionSettings
from glre_pyg.service.extraction_request import Limits
from glre_pyg.utils.cli import command
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.interrupts import Interrupted
from glre_pyg.utils.ranges import Share

if TYPE_CHECKING:
    from glre_pyg.service.relation_service import RelationService


class Settings(RunSettings):
    """Settings of ``conf/serve.yaml``."""

    mentions: MentionSettings
    dictionaries: Mapping[str, str] | None
    host: str
    min_probability: Share
    port: Annotated[int, Meta(ge=0, lt=2**16, description="a port from 0 to 65535")]
    limits: Limits


@command("serve", Settings, nested=True)
def main(config: DictConfig) -> None:
    """Answer requests for relations over HTTP, with a page to try it."""
    serve(config)


def serve(config: DictConfig) -> None:
    """Answer requests until a signal arrives; those in progress are then finished.

    Raises:
        InputError: If the run or a dictionary cannot be read, the address cannot be used, or FastAPI is not
            installed.
    """
    try:
        import fastapi_offline  # noqa: F401  with FastAPI
        import prometheus_client  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise InputError(f"serve: {error.name} is not installed: pip install 'glre_pyg[serve]'") from None
    from glre_pyg.service.web_app import create_app

    with closing(_listen(config.host, config.port)) as listening:
        options = uvicorn.Config(
            create_app(make_service(config)),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=config.limits.max_connections,
            timeout_graceful_shutdown=ceil(config.limits.timeout) + 1,
        )
        host, port = listening.getsockname()[:2]
        echo(f"http://{f'[{host}]' if ':' in host else host}:{port} answers; Ctrl-C ends it")
        try:
            uvicorn.Server(options).run(sockets=[listening])
        except Interrupted as error:
            error.add_note("the requests in progress were answered")
            raise


def make_service(config: DictConfig) -> RelationService:
    """Load the run and the dictionaries of a service.

    Raises:
        InputError: If one cannot be read.
    """
    from glre_pyg.extraction.extractor import RelationExtractor
    from glre_pyg.extraction.pipeline import make_finder, note_unknown_types
    from glre_pyg.extraction.scoring import displayed_name, load_run
    from glre_pyg.mentions.dictionary import Dictionary
    from glre_pyg.service.relation_service import RelationService

    run = load_run(config)
    files = config.dictionaries or {}
    dictionaries = {name: Dictionary.read(file) for name, file in files.items()}
    for name, dictionary in dictionaries.items():
        note_unknown_types(dictionary, files[name], run)
    finder = make_finder(config.mentions, run)
    limits: Any = OmegaConf.to_container(config.limits)
    return RelationService(
        RelationExtractor(run),
        name=displayed_name(config),
        limits=limits,
        min_probability=config.min_probability,
        dictionaries=dictionaries,
        finder=finder,
        given={} if finder else config.mentions,
    )


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        InputError: If it cannot.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise InputError(f"host: {host}, port {port}: {reason}") from None


if __name__ == "__main__":
    main()
