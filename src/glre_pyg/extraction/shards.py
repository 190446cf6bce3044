"""Many files, each predicted into a file of its own, so that several workers can share them.

Worker *i* of *n* takes every *n*-th file. A file is written beside its place and renamed when it is whole.
Then it has a summary, ``.summaries/NAME.json``, with its counts, checksum, and a hash of what it depends on:
another call with the same model, settings and input leaves it as it is. While a worker writes a file, others
skip it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta
from omegaconf import DictConfig

from glre_pyg.extraction.inputs import files_of
from glre_pyg.extraction.outputs import Output
from glre_pyg.extraction.pipeline import extract, resume_key, settings_key
from glre_pyg.runs.run import Run
from glre_pyg.utils import distributed
from glre_pyg.utils.console import echo, echo_error, plural
from glre_pyg.utils.exceptions import InputError, as_input_errors, note
from glre_pyg.utils.files import InUse, check_output, exclusive, read_json, sha256_of, write_json
from glre_pyg.utils.json_fields import convert
from glre_pyg.utils.ranges import part_of

SUMMARIES = ".summaries"


@dataclass(frozen=True)
class Summary:
    """Summary of a file that was written.

    Args:
        input: Name of the input, within the folder of inputs.
        settings: Hash of the model and the settings.
        key: Hash of these and of the input.
        sha256: Checksum of the output; None if there were no documents to write.
        ids: Identifiers of the documents that were read.
        documents: Number of documents written.
        facts: Number of facts written.
        errors: Number of errors, each of which had a line on standard error.
    """

    input: str
    settings: str
    key: str
    sha256: str | None
    ids: Sequence[str]
    documents: Annotated[int, Meta(ge=0)]
    facts: Annotated[int, Meta(ge=0)]
    errors: Annotated[int, Meta(ge=0)]


def is_pattern(source: str) -> bool:
    """Whether an input is a pattern of files, and not the name of one."""
    return has_magic(source) and not Path(source).exists()


def find_inputs(source: str, *, recursive: bool) -> tuple[list[Path], Path]:
    """Find the files of a folder or a pattern, or a single file, in the order of their names.

    Returns:
        The files, and the folder that their names are relative to.

    Raises:
        InputError: If there are none.
    """
    root = Path(source)
    if is_pattern(source):
        files = sorted(path for path in map(Path, glob(source, recursive=True)) if path.is_file())
        root = _root(source)
    elif root.is_dir():
        files = files_of(root, recursive=recursive)
    else:
        files, root = [root] if root.exists() else [], root.parent
    if not files:
        raise InputError(f"input: {source}: there is no file to read")
    return files, root


def inputs_and_outputs(config: DictConfig) -> list[tuple[str, Path, Path]]:
    """Return the input files of a config with their names and their outputs.

    Raises:
        InputError: If there are none, two have the same output, or one lies in the folder of outputs.
    """
    files, root = find_inputs(str(config.input), recursive=config.recursive)
    found: dict[Path, Path] = {}
    outputs = Path(config.output).resolve()
    for file in files:
        if outputs in file.resolve().parents:
            raise InputError(f"input: {file}: lies in the folder of the outputs: write somewhere else")
        name = file.relative_to(root)
        plain = name.with_suffix("") if name.suffix.lower() == ".gz" else name
        output = Path(config.output) / plain.with_suffix(config.extension)
        if output in found:
            raise InputError(f"input: {file} and {found[output]} would both be written to {output}")
        found[output] = file
    return [(str(file.relative_to(root)), file, output) for output, file in found.items()]


def _root(pattern: str) -> Path:
    """Return the folder above the first wildcard of a pattern."""
    parts = Path(pattern).parts
    magic = next(number for number, part in enumerate(parts) if has_magic(part))
    return Path(*parts[:magic])


class Outcome(NamedTuple):
    """What was done with a file.

    Args:
        state: What was done, in words.
        documents, facts, errors: See :class:`Summary`.
    """

    state: str
    documents: int = 0
    facts: int = 0
    errors: int = 0


def extract_files(run: Run, config: DictConfig) -> int:
    """Predict the files of a shard, each into a file of the output folder.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``, with an input and a folder as output.

    Returns:
        Number of errors, also of files that were written before.

    Raises:
        InputError: If several processes share the work by torchrun, a setting is wrong, or see
            :func:`~glre_pyg.extraction.pipeline.extract`.
    """
    files, total = files_of_shard(config)
    settings = settings_key(run, config)
    return report(config, (extract_file(run, config, settings, *each) for each in files), total)


def files_of_shard(config: DictConfig) -> tuple[list[tuple[str, Path, Path]], int]:
    """Return the files of a shard, as :func:`inputs_and_outputs` does, and the number of all files.

    Raises:
        InputError: If several processes share the work by torchrun, or see :func:`inputs_and_outputs`.
    """
    if distributed.world_size() > 1:
        raise InputError("output: the processes of torchrun write one file; give each a shard of a folder")
    files = inputs_and_outputs(config)
    number, count = part_of(config.shard)
    return files[number - 1 :: count], len(files)


def report(config: DictConfig, outcomes: Iterable[Outcome], total: int) -> int:
    """Print what was done with files, of so many in total, and return the number of errors."""
    states, counts = Counter[str](), Counter[str]()
    for state, documents, facts, errors in outcomes:
        states[state] += 1
        counts.update(documents=documents, facts=facts, errors=errors)
    done = ", ".join(f"{number} {state}" for state, number in states.items()) or "none in this shard"
    errors_are = f"; {counts['errors']} {plural(counts['errors'], 'error')}" if counts["errors"] else ""
    echo(
        f"{Path(config.output)}: {states.total()} of {total} {plural(total, 'file')}: {done}; "
        f"{counts['facts']} {plural(counts['facts'], 'fact')} in {counts['documents']} "
        f"{plural(counts['documents'], 'document')}{errors_are}"
    )
    return counts["errors"]


def extract_file(run: Run, config: DictConfig, settings: str, name: str, file: Path, output: Path) -> Outcome:
    """Predict a file, unless it is finished or another worker has it.

    Args:
        run: The run.
        config: Composed from ``conf/predict.yaml``, with a folder as output.
        settings: :func:`~glre_pyg.extraction.pipeline.settings_key`.
        name, file, output: See :func:`inputs_and_outputs`.

    Raises:
        InputError: See :func:`extract_files`.
    """
    path = summary_path(Path(config.output), output)
    one = config.copy()
    one.input = str(file)
    try:
        key = resume_key(run, one, settings) or settings
    except OSError as error:
        if config.strict:
            raise
        echo_error(f"error: {error.filename or file}: {error.strerror}")
        return Outcome("that cannot be read", errors=1)
    for folder in (output.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(output):
            _check_input(path, name, output)
            if config.resume and (summary := _finished(path, key, output)) is not None:
                if summary.errors:
                    errors = f"{summary.errors} {plural(summary.errors, 'error')}"
                    note(f"{file}: had {errors} when it was predicted; resume=false predicts it again")
                return Outcome("finished before", summary.documents, summary.facts, summary.errors)
            path.unlink(missing_ok=True)
            ids: list[str] = []
            check_output(output, [file])
            done = extract(run, one, Output(output), settings=settings, on_read=ids.append)
            if not done.num_documents:
                output.unlink(missing_ok=True)  # of an earlier input with this name
            sha256 = sha256_of(output) if done.num_documents else None
            numbers = (done.num_documents, done.num_facts, done.num_errors)
            write_json(asdict(Summary(name, settings, key, sha256, ids, *numbers)), path)
            return Outcome("written", *numbers)
    except InUse:
        return Outcome("being written by another process")


def _check_input(path: Path, name: str, output: Path) -> None:
    """Refuse an output that was made of another input.

    Raises:
        InputError: If it was.
    """
    try:
        before = read_summary(path).input
    except InputError:  # missing or malformed: it is written again
        return
    if before != name:
        raise InputError(f"{output}: was made of {before}, not of {name}: write somewhere else")


def summary_path(folder: Path, output: Path) -> Path:
    """Return the path of the summary of an output in a folder."""
    return folder / SUMMARIES / f"{output.relative_to(folder)}.json"


def read_summary(path: Path) -> Summary:
    """Read a summary.

    Raises:
        InputError: If it is missing or malformed.
    """
    saved = read_json(path)
    with as_input_errors(path):
        return convert(saved, Summary)


def _finished(path: Path, key: str, output: Path) -> Summary | None:
    """Return the summary of a file that is complete under a key, unless it could not be read."""
    try:
        summary = read_summary(path)
    except InputError:
        return None
    if summary.key != key or (summary.errors and not summary.ids):
        return None
    if summary.sha256 is not None and not (output.is_file() and sha256_of(output) == summary.sha256):
        return None
    return summary
