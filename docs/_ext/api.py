"""The API reference, generated from the packages when the site is built.

In a page, the line ``<!-- modules of PACKAGE -->`` is replaced by a section for each module of the package.
"""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

from sphinx.application import Sphinx

_PLACE = re.compile(r"<!-- modules of ([\w.]+) -->")
_OBJECT = re.compile(r"<[^,()]*>(?=[,)])")  # a default that a data class makes, or a function


def reference(package: str) -> str:
    """Sections for the modules of a package, as Markdown."""
    names = [f"{package}.{module.name}" for module in iter_modules(import_module(package).__path__)]
    return "\n".join(f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in names)


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(lambda place: reference(place[1]), source[0])


def _signature(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returned: str
) -> tuple[str | None, str]:
    """Leave out signatures that say nothing: those of protocols, and of classes that PyG builds."""
    if what == "class" and signature and signature.endswith("**kwargs)"):
        return "", returned
    return signature and _OBJECT.sub("...", signature), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
