"""Configs from untrusted files: small YAML of plain values, without aliases.

With aliases, a few hundred bytes of YAML can expand to gigabytes; saved configs have none. The loader refuses
tags that make objects.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from textwrap import shorten

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import open_regular

_MAX_BYTES = 1 << 20  # a hundred times the size of a config
_MAX_DEPTH, _MAX_VALUES = 50, 10_000


def load_config(path: Path) -> DictConfig:
    """Load a saved config; interpolations are not resolved.

    Raises:
        InputError: If the file is not such YAML.
    """
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(f"{path}: not a config, it has more than {_MAX_BYTES:,} bytes")
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
    """Refuse aliases and deep nesting while the text is parsed, before any object is built from it."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if number > _MAX_VALUES:
            raise InputError(f"{path}: not a config, it has more than {_MAX_VALUES:,} values")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise InputError(f"{path}: not a config, it has more than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InputError(f"{path}:{line}: '*{event.anchor}': a saved config has no aliases")
