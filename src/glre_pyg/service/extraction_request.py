"""Requests for relations: what clients send, and how large it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypedDict
from urllib.parse import parse_qsl

from msgspec import Meta, Struct

from glre_pyg.formats.jsonl import Record
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import convert, parse
from glre_pyg.utils.ranges import NonNegativeInt, PositiveFloat, PositiveInt


class Limits(TypedDict):
    """Limits of the service.

    Args:
        max_bytes: Largest body of a request.
        max_documents: Most documents in a request.
        max_words: Most words in the documents of a request, separated by white space.
        max_sentences: Number of sentences up to which documents have a sentence ablation.
        max_waiting: Most documents that wait for the model; more are refused.
        max_batch: Most documents that the model predicts together.
        batch_wait: Seconds that an idle model waits for more documents after the first.
        timeout: Seconds until a request is given up.
        max_connections: Most connections at a time.
    """

    max_bytes: PositiveInt
    max_documents: PositiveInt
    max_words: PositiveInt
    max_sentences: NonNegativeInt
    max_waiting: PositiveInt
    max_batch: PositiveInt
    batch_wait: Annotated[float, Meta(ge=0, le=1, description="seconds from 0 to 1")]
    timeout: PositiveFloat
    max_connections: PositiveInt


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: Status code of HTTP.
        line: The reason.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class ExtractionRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """What to find relations in, and how.

    Args:
        text: A text.
        documents: Documents as in JSON Lines, in place of a text; their facts are ignored.
        dictionary: Name of a dictionary of the service, which finds the mentions of texts, and of documents
            in place of their own.
        names: A dictionary in place of one of the service: lines of name, identifier and type.
        reasons: Whether facts have reasons and a sentence ablation.
        threshold: See :class:`~glre_pyg.extraction.extractor.Options`.
    """

    text: str | None = None
    documents: tuple[Record, ...] | None = None
    dictionary: str | None = None
    names: str | None = None
    reasons: bool = True
    threshold: Annotated[float, Meta(ge=0, le=1)] | str | None = None

    @property
    def texts(self) -> list[str]:
        """Texts of its documents."""
        if self.documents is None:
            return [] if self.text is None else [self.text]
        return [document.text for document in self.documents]


@dataclass(frozen=True)
class PredictionOptions:
    """How documents are predicted; those with the same options are predicted together."""

    reasons: bool
    threshold: float | str | None
    min_probability: float | None


def parse_json(body: bytes) -> ExtractionRequest:
    """Parse the JSON of a request.

    Raises:
        InputError: ``field: what is wrong``.
    """
    return convert(parse(body), ExtractionRequest)


def parse_form(body: bytes) -> ExtractionRequest:
    """Parse the fields of the form: text, dictionary, and names, which replace the dictionary.

    Raises:
        InputError: ``field: what is wrong``.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=3, strict_parsing=True)
    except ValueError:
        raise InputError("the form is malformed") from None
    fields = {name: value.replace("\r\n", "\n") for name, value in pairs if value.strip()}
    if "text" not in fields:
        raise InputError("text: there is no text")
    if "names" in fields:
        fields.pop("dictionary", None)
    return convert(fields, ExtractionRequest)


def check_size(request: ExtractionRequest, limits: Limits) -> None:
    """Check that a request has a text or documents, and no more than the limits allow.

    Raises:
        InputError: If it has none, or both.
        Refused: If it is too large.
    """
    if (request.text is None) == (request.documents is None):
        raise InputError("text: give either text or documents")
    if request.dictionary is not None and request.names is not None:
        raise InputError("names: give either dictionary or names")
    if not request.texts:
        raise InputError("documents: there are none")
    counts = {"documents": len(request.texts), "words": sum(len(text.split()) for text in request.texts)}
    for unit, most in (("documents", limits["max_documents"]), ("words", limits["max_words"])):
        if counts[unit] > most:
            raise Refused(413, f"{counts[unit]} {unit}: a request may have at most {most}")
