"""The documentation site: ``sphinx-build -W -b html docs docs/_build``."""

import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "glre_pyg"
author = "The glre_pyg authors"
release = version = installed(project)
html_title = f"{project} {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "api",
    "mathml",
    "notebooks",
    "settings",
    *(["sphinx_copybutton"] if find_spec("sphinx_copybutton") else []),  # only a convenience
]
html_math_renderer = "mathml"
viewcode_follow_imported_members = False  # what is imported stays in the module that documents it
copybutton_exclude = ".linenos, .gp, .go"
exclude_patterns = ["_build", "example"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # quoted text is often to be typed

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # as in the source: ``segmenter=segment``
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True, "special-members": "__call__"}
# Optional dependencies: the API reference can be built without them.
autodoc_mock_imports = [
    name for name in ("spacy", "rdflib", "pyarrow", "ahocorasick_rs") if find_spec(name) is None
]
napoleon_numpy_docstring = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
suppress_warnings = ["ref.python"]  # fields of two classes may have one name
