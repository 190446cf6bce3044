"""The page with the form: a text, the choice of a dictionary, and names of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from glre_pyg.formats.page import hash_of
from glre_pyg.service.extraction_request import ExtractionRequest


@dataclass(frozen=True, kw_only=True)
class StartPage:
    """The page with the form, in which nothing that was sent is interpreted as HTML.

    Args:
        title: Title of the page.
        about: Sentences about the model.
        types: Entity types of the model.
        dictionaries: Names of the dictionaries to choose from.
        has_finder: Whether the service finds mentions without a dictionary.
    """

    title: str
    about: Sequence[str]
    types: Sequence[str]
    dictionaries: Sequence[str]
    has_finder: bool

    def html(self, request: ExtractionRequest | None = None, error: str = "") -> str:
        """Return the page.

        Args:
            request: What was sent before.
            error: Why it was not answered.
        """
        sent = request or ExtractionRequest()
        fields = {
            "title": self.title,
            "about": " ".join(self.about),
            "types": ", ".join(self.types),
            "text": sent.text or "",
            "names": sent.names or "",
        }
        must_name = not (self.dictionaries or self.has_finder)
        return Template(_asset("html")).substitute(
            {name: escape(value) for name, value in fields.items()},
            style=_asset("css"),
            error=f'<p role="alert">{escape(error)}</p>' if error else "",
            dictionaries=self._choice(sent.dictionary),
            open=" open" if sent.names or must_name else "",
        )

    def _choice(self, chosen: str | None) -> str:
        if not self.dictionaries:
            return ""
        none = ['<option value="">as the service is set up</option>'] if self.has_finder else []
        options = [
            f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>{escape(name)}</option>'
            for name in self.dictionaries
        ]
        return (
            '<label for="dictionary">Dictionary</label>\n<select id="dictionary" name="dictionary">'
            f"{''.join([*none, *options])}</select>"
        )


def policy() -> str:
    """Return the content security policy of the page: its own style, and its own form."""
    return (
        f"default-src 'none'; style-src '{hash_of(_asset('css'))}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def _asset(kind: str) -> str:
    return files("glre_pyg.service").joinpath(f"start_page.{kind}").read_text(encoding="utf-8")
