"""From one form of file to another, with nothing lost unless that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from glre_pyg.corpora.formats import form_of, read_documents, write_documents
from glre_pyg.corpora.lossless import check_held
from glre_pyg.corpora.writing import check_place
from glre_pyg.document import Document, InputError
from glre_pyg.files import put


@dataclass
class Converted:
    """What was written."""

    documents: int = 0
    mentions: int = 0
    facts: int = 0


def convert(
    source: Path,
    target: Path,
    *,
    source_form: str | None = None,
    target_form: str | None = None,
    lossy: bool = False,
) -> Converted:
    """Write the documents of a file in another form.

    What has been written is read again and compared, document by document, before the file appears: the two
    files hold equal documents. Words and sentences count too: PubTator, whose text is cut into words when it
    is read, holds a document only if it would be cut in the same way.

    Args:
        source: The file to read.
        target: The file to write; may be the same.
        source_form, target_form: Forms, where the names do not tell (:mod:`glre_pyg.corpora.formats`).
        lossy: Leave out what the form of `target` cannot hold.

    Raises:
        InputError: If a document cannot be read, or held by the form; then there is no new file.
    """
    form = form_of(target, target_form)
    check_place(target)
    converted = Converted()
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        written = Path(folder, target.name)
        try:
            documents = _counted(read_documents(source, source_form), converted)
            write_documents(documents, written, form, lossy=True)
            if not lossy:
                pairs = zip(read_documents(source, source_form), read_documents(written, form), strict=True)
                for document, held in pairs:
                    _check(document, held, form)
        except InputError as error:
            if str(error).startswith((f"{source.name}:", f"{source}:")):
                raise
            reread = f"{form} cannot hold it: " if str(error).startswith(f"{target.name}:") else ""
            raise InputError(f"{source.name}: {reread}{error}") from None
        put(written, target)
    return converted


def _check(document: Document, held: Document, form: str) -> None:
    try:
        check_held(document, held, form)
    except InputError as error:
        raise InputError(f"{error}; lossy=true leaves out what it cannot hold") from None


def _counted(documents: Iterator[Document], converted: Converted) -> Iterator[Document]:
    for document in documents:
        converted.documents += 1
        converted.mentions += len(document.mentions)
        converted.facts += len(document.facts)
        yield document
