"""Configs of runs, which may be a stranger's: small YAML of plain values, in which nothing stands twice.

A few hundred bytes of YAML can name each other so that they become gigabytes; a config that was saved has no
such names. Tags that make objects are refused by the loader.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from textwrap import shorten

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from glre_pyg.utils.exceptions import InputError

_BYTES = 1 << 20  # a hundred times what a config has
_DEPTH = 50


def load_config(path: Path) -> DictConfig:
    """A saved config, as it is: interpolations stay what they are in the file.

    Raises:
        InputError: If the file is not such YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES + 1)
        if len(content) > _BYTES:
            raise InputError(f"{path}: is no config, it has more than {_BYTES:,} bytes")
        text = content.decode()
        _check(text, path)
        config = OmegaConf.load(StringIO(text))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: not YAML: {error.strerror or error}") from error
    except (ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: not YAML: {shorten(str(error), 200)}") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"{path}: not a mapping")
    return config


def _check(text: str, path: Path) -> None:
    """Refuse names for parts and too many levels, before anything is made of the text."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise InputError(f"{path}: is no config, it has more than {_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InputError(f"{path}:{line}: '*{event.anchor}': a saved config names no part of itself")
