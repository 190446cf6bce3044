"""Damaged files of every format are read correctly or refused with one line; and a wrong reader is caught."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

TRIALS = Path(__file__).parent / "trials"
sys.path.insert(0, str(TRIALS))  # its modules are commands, and what these share

formats, mutants = (importlib.import_module(name) for name in ("formats", "mutants"))

NAMES = [*formats.FORMATS, "spacy"]


def format_of(name):
    if name == "spacy":
        pytest.importorskip("spacy")
    return mutants.formats()[name]


@pytest.mark.parametrize("name", NAMES)
def test_mutants_are_read_correctly_or_refused(name, capsys):
    counts = mutants.run(format_of(name), seed=1, count=150)
    assert not sum(counts[kind] for kind in mutants.FAILURES), capsys.readouterr().out
    assert counts.total() == 150
    assert min(counts["as before"], counts["otherwise"], counts["refused"]) >= 1  # the damage is of all sorts


@pytest.mark.trial
def test_10000_mutants_of_each_form(capsys):
    assert mutants.main(["--seed", "0", "--count", "10000"]) == 0, capsys.readouterr().out


def documents_changed(read, change):
    """A reader that makes a mistake."""

    def wrong(folder, segmenter, on_error):
        return [change(document) for document in read(folder, segmenter, on_error)]

    return wrong


def shifted(document):
    mentions = tuple(
        replace(mention, start=mention.start + 1) if mention.end - mention.start > 1 else mention
        for mention in document.mentions
    )
    cuts = {mention.start for mention in mentions}
    words = [
        part
        for start, end in document.words
        for part in zip(
            [start, *(cut for cut in sorted(cuts) if start < cut < end)],
            [*(cut for cut in sorted(cuts) if start < cut < end), end],
            strict=True,
        )
    ]
    sentences = (replace(document.sentences[0], start=0, end=len(words)),) if words else ()
    return replace(document, mentions=mentions, words=tuple(words), sentences=sentences)


MISTAKES = {
    "spans are shifted by one": shifted,
    "a mention is lost": lambda document: replace(document, mentions=document.mentions[1:], facts=()),
    "a fact is lost": lambda document: replace(document, facts=document.facts[1:]),
    "an identifier is another": lambda document: replace(
        document,
        mentions=tuple(replace(mention, ids=mention.ids[1:], names=()) for mention in document.mentions),
        facts=(),
        ignored=(),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "bioc_json",
        "bioc_xml",
        "brat",
        "label_studio",
        "docred_lines",
        "pubtator_passages",
        "pubtator",
        "biored",
        "docred_json",
        "dwie",
        "jsonl",
        "eog",
        "gda",
        "spacy",
    ],
)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_reader_is_caught_by_the_oracle(name, mistake, tmp_path):
    format = format_of(name)
    files = format.miniatures[0]
    for file, raw in files.items():
        (tmp_path / file).write_bytes(raw)
    format.oracle(files, format.read(tmp_path, formats.plain, None))
    wrong = documents_changed(format.read, MISTAKES[mistake])(tmp_path, formats.plain, None)
    with pytest.raises(AssertionError):
        format.oracle(files, wrong)


@pytest.mark.parametrize("name", ["names", "predictions", "fact", "mesh", "errors", "vectors"])
def test_a_reader_that_loses_something_is_caught_by_the_oracle(name, tmp_path):
    format = format_of(name)
    files = format.miniatures[0]
    for file, raw in files.items():
        (tmp_path / file).write_bytes(raw)
    read = format.read(tmp_path, formats.plain, None)
    format.oracle(files, read)
    less = {key: value[1:] for key, value in read.items()} if name in ("predictions", "vectors") else None
    if name == "mesh":
        less = dict(list(read.items())[1:])
    with pytest.raises(AssertionError):
        format.oracle(files, type(read)(list(read)[1:]) if less is None else less)


def outcomes(format, count=60):
    return mutants.run(format, seed=1, count=count, shown=0)


def test_a_reader_that_raises_hangs_or_tells_too_little_is_caught(monkeypatch):
    good = format_of("eog")
    before = outcomes(good)

    def raising(folder, segmenter, on_error):
        if b"\0" in (folder / "mini.data").read_bytes():
            raise IndexError
        return good.read(folder, segmenter, on_error)

    assert outcomes(replace(good, read=raising), 200)["traceback"] > 0

    def endless(folder, segmenter, on_error):
        while b"\0" in (folder / "mini.data").read_bytes():
            pass
        return good.read(folder, segmenter, on_error)

    monkeypatch.setattr(mutants, "SECONDS", 0.1)
    assert outcomes(replace(good, read=endless), 100)["hang"] > 0
    assert outcomes(replace(good, message=r"mini\.data:\d+: 77: .+"))["wrong"] > 0

    def losing(folder, segmenter, on_error):
        """Gives up at the first bad document."""
        return list(good.read(folder, segmenter, None))

    assert outcomes(replace(good, read=losing))["wrong"] > 0
    assert not sum(before[kind] for kind in mutants.FAILURES)


def test_the_command_shows_a_mutant_and_fails_where_one_fails(monkeypatch, capsys):
    assert mutants.main(["--seed", "3", "--count", "20", "--formats", "eog", "fact"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in table[:5]] == ["| format", "| ---", "| eog", "| fact", "| all"]
    assert table[4].split(" | ")[1] == "40"
    assert mutants.main(["--seed", "3", "--formats", "eog", "--only", "7"]) == 0
    assert capsys.readouterr().out.startswith("mini.data, ")
    wrong = replace(format_of("eog"), read=documents_changed(format_of("eog").read, shifted))
    monkeypatch.setattr(mutants, "formats", lambda: {"eog": wrong})
    assert mutants.main(["--count", "20"]) == 1
    assert "eog: --seed 0 --formats eog --only 0: wrong: AssertionError: " in capsys.readouterr().out


def test_one_mutant_is_of_one_format(capsys):
    with pytest.raises(SystemExit):
        mutants.main(["--only", "1"])
    assert capsys.readouterr().err.endswith("--only: name its format with --formats\n")
