"""What files say, read once more in the plainest way, and compared with what the library has read.

Each takes the files and what was read, and raises ``AssertionError`` where the two differ. Only files that the
library has read come here: whatever cannot be read again may fail, and counts as a difference too.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from miniatures import Files, starts_of

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl

Oracle = Callable[[Files, Any], None]


def only(files: Files) -> bytes:
    (raw,) = files.values()
    return raw


def same(said: object, read: object, what: str) -> None:
    assert said == read, f"{what}: the file says {said!r:.200}, read was {read!r:.200}"


# Documents of any format


def whole(document: Document) -> None:
    """What is true of every document: spans inside the text, words in order, sentences of all words, mentions of words."""
    text, words = document.text, document.words
    strings = [document.id, text, *(fact.relation for fact in document.facts)]
    strings += [
        name for mention in document.mentions for name in (mention.type, *mention.ids, *mention.names)
    ]
    for string in strings:
        string.encode()
    before = 0
    for start, end in words:
        assert before <= start < end <= len(text), "words"
        before = end
    held = [number for sentence in document.sentences for number in range(sentence.start, sentence.end)]
    assert held == list(range(len(words))), "sentences"
    assert all(sentence.start < sentence.end for sentence in document.sentences), "an empty sentence"
    for mention in document.mentions:
        assert 0 <= mention.start < mention.end <= len(text), "a mention outside the text"
        inside = [word for word in words if word[0] < mention.end and word[1] > mention.start]
        assert inside, "a mention of no word"
        assert all(mention.start <= start and end <= mention.end for start, end in inside), "half a word"
        assert not mention.names or len(mention.names) >= len(mention.ids), "too few names"
        numbers = [words.index(word) for word in inside]
        assert any(each.start <= numbers[0] and numbers[-1] < each.end for each in document.sentences)
    known = {identifier for mention in document.mentions for identifier in mention.ids}
    for fact in document.facts:
        assert {fact.head, fact.tail} <= known, "a fact of an entity without mention"
        assert all(0 <= number < len(document.sentences) for number in fact.evidence), "evidence"
    for start, end in document.sections:
        assert 0 <= start <= end <= len(text), "sections"


def all_words(document: Document) -> None:
    """Of a text that was cut into words: every character that is not white space is in one."""
    between = [*document.text]
    for start, end in document.words:
        between[start:end] = " " * (end - start)
    assert not "".join(between).strip(), "characters outside of words"


def comes_back(documents: Iterable[Document], path: Path) -> None:
    """A document that is written as JSON lines and read again is equal."""
    for document in documents:
        write_jsonl([document], path)
        same([document], list(read_jsonl(path)), "as JSON lines")


# PubTator


def blocks_of(raw: bytes) -> list[list[bytes]]:
    """Lines between blank lines, without their ends."""
    blocks: list[list[bytes]] = [[]]
    for line in raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def pubtator(separators: str, unlinked: str) -> Oracle:
    def check(files: Files, read: Sequence[Document]) -> None:
        blocks = blocks_of(only(files))
        same(len(blocks), len(read), "documents")
        for block, document in zip(blocks, read, strict=True):
            lines = [line.decode("utf-8") for line in block]
            name, title = lines[0].split("|t|", 1)
            same(name, document.id, "id")
            text, rest = title, lines[1:]
            if rest and rest[0].startswith(f"{name}|a|"):
                text, rest = f"{title} {rest[0][len(name) + 3 :]}", rest[1:]
            same(text, document.text, "text")
            rows = [line.split("\t") for line in rest]
            mentions, facts = list(document.mentions), list(document.facts)
            for row in rows:
                same(name, row[0], "id of a line")
                if re.fullmatch("-?[0-9]+", row[1]):
                    _pubtator_mention(row, text, mentions.pop(0), separators, unlinked)
                else:
                    assert facts, "a relation is lost"
                    fact = facts.pop(0)
                    same(row[1:], [fact.relation, fact.head, fact.tail, *fact.extra], "relation")
            same([], [*mentions, *facts], "lines")
            all_words(document)

    return check


def _pubtator_mention(row: list[str], text: str, mention: Mention, separators: str, unlinked: str) -> None:
    start, end, name, kind, ids = int(row[1]), int(row[2]), *[*row, ""][3:6]
    same((start, end, kind), (*mention.span, mention.type), "mention")
    same(name, text[start:end], "text of a mention")
    is_variant = "|" in separators and (
        any(
            each in kind.lower()
            for each in ("mutation", "variant", "allele", "snp", "acidchange", "acid_change")
        )
        or re.match(r"(tmVar:)?[cgmnpr]\|[A-Za-z]+\||tmVar:|HGVS:", ids)
    )
    ids = [ids] if is_variant else re.split(f"[{separators}]", ids)
    linked = [part.strip() not in ("", "-", "-1", "None", "NIL", unlinked) for part in ids]
    parts = list(zip(linked, ids, strict=True))
    same(tuple(part for is_linked, part in parts if is_linked), mention.ids, "identifiers")
    is_number = re.fullmatch(r"[0-9.+-]*(e[+-]?[0-9]+)?", row[-1].strip(), re.IGNORECASE)
    if len(row) > 6 and (not is_number if len(ids) > 1 else row[6].casefold() in ("", name.casefold())):
        names = list(zip(linked, row[6].split("|"), strict=True))
        ordered = [name for wanted in (True, False) for is_linked, name in names if is_linked is wanted]
        same(tuple(ordered), mention.names, "names")
    else:
        same((), mention.names, "names")


# DocRED


def docred(files: Files, read: Sequence[Document]) -> None:
    _docred(files, read, resplit=False)


def docred_resplit(files: Files, read: Sequence[Document]) -> None:
    _docred(files, read, resplit=True)


def _docred(files: Files, read: Sequence[Document], *, resplit: bool) -> None:
    records = json.loads(only(files).decode("utf-8-sig"))
    same(len(records), len(read), "documents")
    for record, document in zip(records, read, strict=True):
        same(record["title"], document.id, "title")
        words = [word for sentence in record["sents"] for word in sentence]
        same(words, document.word_texts(), "words")
        same(" ".join(words), document.text, "text")
        filled = [sentence for sentence in record["sents"] if sentence]
        if not resplit:
            same(list(map(len, filled)), [each.end - each.start for each in document.sentences], "sentences")
        starts = starts_of(words)
        said = []
        for entity, vertex in enumerate(record["vertexSet"]):
            assert vertex, "an entity without mentions"
            for mention in vertex:
                first = sum(map(len, record["sents"][: mention["sent_id"]]))
                start, end = (first + each for each in mention["pos"])
                assert 0 <= mention["pos"][0] < mention["pos"][1] <= len(record["sents"][mention["sent_id"]])
                characters = starts[start], starts[end - 1] + len(words[end - 1])
                text = " ".join(words[start:end])
                names = () if mention["name"] == text else (mention["name"],)
                said.append(Mention(*characters, mention["type"], (str(entity),), names))
        same(said, list(document.mentions), "mentions")
        numbers = {}
        for number, sentence in enumerate(record["sents"]):
            if sentence:
                numbers[number] = len(numbers)
        facts = []
        for label in record.get("labels", []):
            assert all(0 <= label[key] < len(record["vertexSet"]) for key in "ht"), "an entity of a label"
            evidence = () if resplit else tuple(numbers[number] for number in label.get("evidence", []))
            extra = tuple(label.get("extra", []))
            facts.append(Fact(str(label["h"]), label["r"], str(label["t"]), extra, evidence))
        same(facts, list(document.facts), "labels")


# JSON lines


def lines_of(raw: bytes) -> list[bytes]:
    return [line for line in raw.split(b"\n") if line.strip()]


def jsonl(files: Files, read: Sequence[Document]) -> None:
    lines = lines_of(only(files))
    same(len(lines), len(read), "documents")
    for line, document in zip(lines, read, strict=True):
        record = json.loads(line.decode("utf-8-sig"))
        same((record["id"], record["text"]), (document.id, document.text), "id and text")
        mentions = [
            Mention(
                each["start"], each["end"], each["type"], tuple(each["ids"]), tuple(each.get("names", []))
            )
            for each in record.get("mentions", [])
        ]
        same(mentions, list(document.mentions), "mentions")
        for key, value in (("ignored", document.ignored), ("sections", document.sections)):
            same(list(map(tuple, record.get(key, []))), list(value), key)
        if "words" in record:
            sentences = [(each.start, each.end) for each in document.sentences]
            same(list(map(tuple, record["words"])), list(document.words), "words")
            same(list(map(tuple, record["sentences"])), sentences, "sentences")
        else:
            all_words(document)
        same(len(record.get("facts", [])), len(document.facts), "facts")
        for said, fact in zip(record.get("facts", []), document.facts, strict=True):
            same(
                (said["head"], said["relation"], said["tail"]), (fact.head, fact.relation, fact.tail), "fact"
            )
            same(
                (tuple(said.get("extra", ())), tuple(said.get("evidence", ()))),
                (fact.extra, fact.evidence),
                "fact",
            )
            numbers = (fact.probability, fact.threshold) if isinstance(fact, PredictedFact) else (None, None)
            same((said.get("probability"), said.get("threshold")), numbers, "probability")
        assert not record.keys() - {
            *("id", "text", "mentions", "facts", "ignored", "sections", "words", "sentences")
        }


# EoG


def eog(files: Files, read: Sequence[Document]) -> None:
    lines = lines_of(only(files).removeprefix(b"\xef\xbb\xbf"))
    same(len(lines), len(read), "documents")
    for line, document in zip(lines, read, strict=True):
        name, text, *columns = (line[:-1] if line.endswith(b"\r") else line).decode("utf-8").split("\t")
        same((name, text.replace("|", " ")), (document.id, document.text), "id and text")
        sentences = [sentence.split(" ") for sentence in text.split("|")] if text else []
        words = [word for sentence in sentences for word in sentence]
        same(words, document.word_texts(), "words")
        same(list(map(len, sentences)), [each.end - each.start for each in document.sentences], "sentences")
        starts, number_of = starts_of(words), [i for i, each in enumerate(sentences) for _ in each]
        assert len(columns) % 17 == 0, "columns"
        mentions, facts, ignored = {}, [], []
        for row in (columns[start : start + 17] for start in range(0, len(columns), 17)):
            for entity, names, kind, firsts, lasts, places in (row[5:11], row[11:17]):
                found = []
                parts = [names.split("|"), firsts.split(":"), lasts.split(":"), places.split(":")]
                for given, first, last, place in zip(*parts, strict=True):
                    start, end = int(first), int(last)
                    same([int(place)] * (end - start), number_of[start:end], "sentence of a mention")
                    _is_named(given, words[start:end])
                    characters = starts[start], starts[end - 1] + len(words[end - 1])
                    own = () if given == " ".join(words[start:end]) else (given,)
                    found.append(Mention(*characters, kind, (entity,), own))
                same(found, mentions.setdefault(entity, found), f"mentions of {entity}")
            if row[0] == "not_include":
                ignored.append((row[5], row[11]))
            elif row[0] != "1:NR:2":
                before, relation, after = row[0].split(":")
                same(("1", "2"), (before, after), "label")
                facts.append(Fact(row[5], relation, row[11]))
        same([each for of in mentions.values() for each in of], list(document.mentions), "mentions")
        same(
            (sorted(facts, key=repr), ignored),
            (sorted(document.facts, key=repr), list(document.ignored)),
            "labels",
        )


def _is_named(name: str, words: Sequence[str]) -> None:
    """A mention's name is at its words, without one too many."""
    if name == " ".join(words):
        return
    wanted, *held = ("".join(each.split()).casefold() for each in (name, *words))
    place = "".join(held).find(wanted)
    assert place >= 0, f"the mention '{name}' at the words {words}"
    assert place < len(held[0]), f"a word before '{name}' too many: {words}"
    last = len("".join(held[:-1]))
    assert "".join(held).rfind(wanted) + len(wanted) > last, f"a word after '{name}' too many: {words}"


# GDA


def gda_parts(files: Files) -> dict[str, tuple[list[str], list[list[str]], list[list[str]]]]:
    """Lines of text, rows of mentions and rows of labels of each document."""
    names = ("abstracts.txt", "anns.txt", "labels.csv")
    abstracts, annotations, labels = (
        [line for line in files[name].removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        for name in names
    )
    parts: dict[str, tuple[list[str], list[list[str]], list[list[str]]]] = {}
    for line in (raw.decode("utf-8").rstrip("\r") for raw in abstracts):
        if re.fullmatch("[0-9]+", line.strip()):
            assert line.strip() not in parts, "an identifier twice"
            parts[line.strip()] = [], [], []
        else:
            parts[list(parts)[-1]][0].append(line.rstrip())
    for row in (raw.decode("utf-8").rstrip("\r").split("\t") for raw in annotations):
        parts[row[0]][1].append(row)
    rows = [[cell.strip() for cell in raw.decode("utf-8").split(",")] for raw in labels]
    order = ["pmid", "geneId", "diseaseId", "label"]
    if rows and not re.fullmatch("[0-9]+", rows[0][0]):
        header = rows.pop(0)
        places = [header.index(name) for name in order] if set(order) <= set(header) else range(4)
        rows = [[row[place] for place in places] for row in rows]
    for row in rows:
        assert row[3] in ("0", "0.0", "1", "1.0"), f"the label {row[3]!r}"
        if row[3] in ("1", "1.0"):
            parts[row[0]][2].append(row)
    return parts


def gda(files: Files, read: Sequence[Document]) -> None:
    parts = gda_parts(files)
    same(list(parts), [document.id for document in read], "documents")
    for (lines, mentions, labels), document in zip(parts.values(), read, strict=True):
        same(" ".join(lines), document.text, "text")
        same(len(mentions), len(document.mentions), "mentions")
        for row, mention in zip(mentions, document.mentions, strict=True):
            start, end = int(row[1]), int(row[2])
            same((start, end, row[4]), (*mention.span, mention.type), "mention")
            same(row[3].casefold(), document.text[start:end].casefold(), "text of a mention")
            ids = tuple(part for part in row[5].strip().split("|") if part not in ("", "-1", "None"))
            same(ids, mention.ids, "identifiers")
            same(() if row[3] == document.text[start:end] else (row[3],) * len(ids), mention.names, "names")
        facts = dict.fromkeys(Fact(row[1], "GDA", row[2]) for row in labels)
        same(list(facts), list(document.facts), "labels")
        all_words(document)


# Text and spaCy


def text(files: Files, read: Sequence[Document]) -> None:
    (document,) = read
    said = only(files).decode("utf-8").removeprefix("\ufeff").rstrip()
    same(("mini", said, ()), (document.id, document.text, document.mentions), "text")
    all_words(document)


def spacy(files: Files, read: Sequence[Document]) -> None:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    docs = list(DocBin().from_bytes(only(files)).get_docs(Vocab()))
    same(len(docs), len(read), "documents")
    for doc, document in zip(docs, read, strict=True):
        same(doc.text, document.text, "text")
        spans = list(doc.spans["mentions"]) if "mentions" in doc.spans else list(doc.ents)
        said = {(span.start_char, span.end_char, span.label_) for span in spans if span.text.strip()}
        bare = {
            (start + len(part) - len(part.lstrip()), start + len(part.rstrip()), label)
            for start, end, label in said
            for part in [doc.text[start:end]]
        }
        same(bare, {(*mention.span, mention.type) for mention in document.mentions}, "mentions")
        relations = doc.user_data.get(("._.", "relations", None, None)) or ()
        ends = [(relation["head"], relation["relation"], relation["tail"]) for relation in relations]
        same(ends, [(fact.head, fact.relation, fact.tail) for fact in document.facts], "relations")
        if "glre_pyg" in doc.user_data:
            ours = doc.user_data["glre_pyg"]
            gaps = set(ours["gaps"])
            same([each.text for each in doc if each.i not in gaps], document.word_texts(), "words")
            same(list(map(tuple, ours["sections"])), list(document.sections), "sections")
            known = {identifier for mention in document.mentions for identifier in mention.ids}
            ignored = [tuple(pair) for pair in ours["ignored"] if set(pair) <= known]
            same(ignored, list(document.ignored), "ignored")


# Small files


def cells(content: str, separator: str) -> list[list[str]]:
    """Rows of a table with quotes, character by character."""
    rows: list[list[str]] = [[""]]
    quoted, at = False, 0
    while at < len(content):
        char, after = content[at], content[at + 1 : at + 2]
        if quoted and char == '"' and after == '"':
            rows[-1][-1] += char
            at += 1
        elif quoted and char == '"':
            quoted = False
        elif quoted:
            rows[-1][-1] += char
        elif char == '"' and not rows[-1][-1]:
            quoted = True
        elif char == separator:
            rows[-1].append("")
        elif char in "\r\n":
            at += char == "\r" and after == "\n"
            rows.append([""])
        else:
            rows[-1][-1] += char
        at += 1
    assert not quoted, "a quote without end"
    return rows


def names(files: Files, read: Sequence[tuple[str, str, str]]) -> None:
    content = only(files).removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    if "names.csv" in files:
        lines = content.split("\n")[:20]
        widths = {mark: sum(line.rstrip("\r").count(mark) == 2 for line in lines) for mark in ",;\t"}
        rows = cells(content, max(",;\t", key=widths.__getitem__))
    else:
        rows = [line.removesuffix("\r").split("\t") for line in content.split("\n")]
        rows = [[re.sub('^"(.*)"$', r"\1", cell.strip()).replace('""', '"') for cell in row] for row in rows]
    rows = [[cell.strip() for cell in row] for row in rows]
    rows = [row for row in rows if any(row) and not row[0].startswith("#")]
    assert not any(cell for row in rows for cell in row[3:]), "columns"
    assert all(len(row) > 2 for row in rows), "columns"
    order = ["name", "id", "type"]
    while sorted(cell.lower() for cell in rows[0][:3]) == sorted(order):
        order = [cell.lower() for cell in rows.pop(0)[:3]]
    said = [
        (name.strip(), row[order.index("id")], row[order.index("type")])
        for row in rows
        for name in row[order.index("name")].split("|")
    ]
    same(said, list(read), "names")


def predictions(files: Files, read: dict[str, list[Any]]) -> None:
    rows = [json.loads(line) for line in BytesIO(only(files))]
    same(len(rows), len(read["heads"]), "pairs")
    for number, row in enumerate(rows):
        for key, column in (("document", "documents"), ("head", "heads"), ("tail", "tails")):
            same(row[key], read[column][number], key)
        for key in ("distance", "mentions"):
            same(row[key], read[key][number], key)
        same(
            (row.get("other_facts") or 0, row.get("ignored") or False),
            (read["other_facts"][number], read["ignored"][number]),
            "optional",
        )
        for place, relation in enumerate(read["relations"]):
            probability = row["probability"].get(relation, 0.0)
            assert abs(read["probability"][number][place] - probability) < 1e-6, "probability"
            for key, column in (("facts", "is_fact"), ("known", "known")):
                same(relation in (row.get(key) or []), read[column][number][place], key)
        assert not {*row["probability"], *(row.get("facts") or []), *(row.get("known") or [])} - {
            *read["relations"]
        }


def facts(files: Files, read: frozenset[tuple[str, str, str]]) -> None:
    said = json.loads(only(files).decode("utf-8-sig"))
    same({tuple(row) for row in said}, set(read), "facts")
    assert all(isinstance(name, str) and name.encode() is not None for row in said for name in row)


def mesh(files: Files, read: dict[str, frozenset[str]]) -> None:
    lines = only(files).removeprefix(b"\xef\xbb\xbf").decode("utf-8").split("\n")[1:]
    said: dict[str, set[str]] = {}
    for line in lines:
        if line.strip():
            number, descriptor, *_ = line.split("\t")
            said.setdefault(descriptor.strip(), set()).add(number.strip())
    same(said, {descriptor: set(numbers) for descriptor, numbers in read.items()}, "tree numbers")
    assert all(re.fullmatch(r"\S+", name) for each in said.items() for name in (each[0], *each[1])), (
        "an empty one"
    )


def errors(files: Files, read: Sequence[str]) -> None:
    content = only(files).decode("utf-8").removeprefix("\ufeff")
    first = content.split("\n", 1)[0]
    table = cells(content, max(",;\t", key=first.count))
    header = [cell.strip() for cell in table[0]]
    place = header.index("type")
    said = []
    for row in table[1:]:
        if any(cell.strip() for cell in row):
            said.append(" ".join((row[place] if place < len(row) else "").split()).lower())
            assert not "".join(row[len(header) :]).strip(), "more cells than columns"
    same(said, list(read), "labels")


def vectors(files: Files, read: dict[str, list[Any]]) -> None:
    raw = only(files).removeprefix(b"\xef\xbb\xbf")
    header = raw.split(b"\n", 1)[0].split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        count, width = map(int, header)
        body = raw.split(b"\n", 1)[1]
        said = _text_vectors(body, width)
        if said is None or len(said) < count:
            said = _binary_vectors(body, count, width)
    else:
        said = _text_vectors(raw, None)
    unique: dict[str, list[float]] = {}
    for word, row in said:
        unique.setdefault(word, row)
    same(list(unique), read["words"], "words")
    for row, found in zip(unique.values(), read["table"], strict=True):
        assert all(abs(one - other) <= 1e-6 * max(1, abs(one)) for one, other in zip(row, found, strict=True))


def _text_vectors(body: bytes, width: int | None) -> list[tuple[str, list[float]]] | None:
    rows = []
    for line in body.split(b"\n"):
        parts = line.rstrip().decode("utf-8", "replace").split(" ")
        if parts == [""]:
            continue
        width = width or len(parts) - 1
        try:
            rows.append((" ".join(parts[:-width]), [float(part) for part in parts[-width:]]))
        except ValueError:
            return None
        if len(rows[-1][1]) != width or len(parts) <= width:
            return None
    return rows


def _binary_vectors(body: bytes, count: int, width: int) -> list[tuple[str, list[float]]]:
    rows, at = [], 0
    for _ in range(count):
        end = body.index(b" ", at)
        word = body[at:end].lstrip(b"\n").decode("utf-8", "replace")
        rows.append((word, list(struct.unpack(f"<{width}f", body[end + 1 : end + 1 + 4 * width]))))
        at = end + 1 + 4 * width
    return rows
