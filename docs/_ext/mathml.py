"""Equations as MathML, which browsers render without a script or the network."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math import pick_math_environment
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

_SAME = {
    r"\\dots(?![a-z])": r"\\ldots",
    r"\\Big(?=[^a-z])": "",
    r"\\(tilde|hat) ?(\{[^{}]*\}|\w)": r"{\\\1 \2{}}",  # else an index is put below both
}
"""Commands that docutils does not know, or sets in another way, and others that look as is meant."""


def mathml(latex: str, *, block: bool) -> str:
    """Return an equation as MathML."""
    for command, other in _SAME.items():
        latex = re.sub(command, other, latex)
    if block and pick_math_environment(latex) == "align*":
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return re.sub("<mo>([{}])</mo>", r'<mo stretchy="false">\1</mo>', tex2mathml(latex, as_block=block))


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
