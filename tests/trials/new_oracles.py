"""What files in the forms of other tools say, read once more in the plainest way; see :mod:`oracles`."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from miniatures import Files
from oracles import Oracle, all_words, blocks_of, docred, only, pubtator, same

from glre_pyg.data.document import Document

Records = Callable[[bytes], list[Any]]


def words(text: str) -> list[str]:
    return text.split()


# BioC


def bioc_json_records(raw: bytes) -> list[Any]:
    text = raw.decode("utf-8").removeprefix("\ufeff")
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line.removeprefix("\ufeff")) for line in text.split("\n") if line.strip()]
    if isinstance(value, dict):
        value = value.get("PubTator3", value.get("documents", [value]))
    return list(value)


def bioc_xml_records(raw: bytes) -> list[Any]:
    root = ElementTree.fromstring(raw)
    return [_record(each) for each in ([root] if root.tag == "document" else root.findall("document"))]


def _record(element: Any) -> dict[str, Any]:
    texts = [(tag, element.find(tag)) for tag in ("id", "offset", "text")]
    record = {tag: "".join(child.itertext()) for tag, child in texts if child is not None} | element.attrib
    record["infons"] = {each.get("key", ""): each.text or "" for each in element.findall("infon")}
    assert len(record["infons"]) == len(element.findall("infon")), "an infon is given twice"
    for tag in ("passage", "sentence", "annotation", "relation", "node", "location"):
        record[f"{tag}s"] = [_record(child) for child in element.findall(tag)]
    return record


def bioc(records: Records) -> Oracle:
    def check(files: Files, read: Sequence[Document]) -> None:
        said = records(only(files))
        same(len(said), len(read), "documents")
        for record, document in zip(said, read, strict=True):
            same(str(record["id"]), document.id, "id")
            _bioc_document(record, document)
            all_words(document)

    return check


def _bioc_document(record: Mapping[str, Any], document: Document) -> None:
    units: list[tuple[int, int, str]] = []
    mentions, relations = list(document.mentions), list(record.get("relations") or [])
    at, wanted = 0, []
    for passage in record["passages"]:
        holders = [passage, *(passage.get("sentences") or [])]
        for unit in holders[:1] if passage.get("text") is not None else holders[1:]:
            if unit.get("text") is not None:
                start = document.text.index(unit["text"], at)
                assert not document.text[at:start].strip(), "text that no passage has"
                units.append((start, int(unit["offset"]), unit["text"]))
                at = start + len(unit["text"])
        wanted += [(each, passage) for holder in holders for each in holder.get("annotations") or []]
        relations += [each for holder in holders for each in holder.get("relations") or []]
    same(at, len(document.text), "length of the text")
    wanted += [(each, None) for each in record.get("annotations") or []]
    for annotation, _ in wanted:
        if annotation.get("locations"):
            _bioc_mention(annotation, document, mentions.pop(0), units)
    same([], mentions, "mentions")
    kinds = [each["infons"].get("type", each["infons"].get("relation")) for each in relations]
    for fact in document.facts:
        assert fact.relation in kinds, "a relation that the file does not have"
    for relation, kind in zip(relations, kinds, strict=True):
        infons = relation["infons"]
        if "role1" in infons and "role2" in infons:
            ends = [_bioc_end(infons[key]) for key in ("role1", "role2")]
            held = [(fact.head, fact.tail) for fact in document.facts if fact.relation == kind]
            assert any(all(map(_names, ends, fact)) for fact in held), "a relation is lost"


def _bioc_end(value: Any) -> str:
    return str(value["identifier"] if isinstance(value, dict) else value)


def _names(end: str, identifier: str) -> bool:
    known = {identifier, *identifier.split(";"), *(part.partition(":")[2] for part in identifier.split(";"))}
    return bool(known & {end, end.partition("|")[2]})


def _bioc_mention(annotation: Any, document: Document, mention: Any, units: Any) -> None:
    infons = annotation["infons"]
    same(infons["type"], mention.type, "type")
    ends = sorted((int(each["offset"]), int(each["length"])) for each in annotation["locations"])
    first, last = ends[0][0], max(offset + length for offset, length in ends)
    found = document.text[mention.start : mention.end]
    if len(ends) == 1:
        same(words(annotation["text"]), words(found), "text of a mention")
        stripped = annotation["text"].strip()
        assert any(
            unit + first - offset <= mention.start and mention.end <= unit + last - offset
            for unit, offset, text in units
            if stripped and offset <= first < offset + len(text)
        ), "place of a mention"
    identifiers = next(
        (infons[key] for key in ("identifier", "MESH", "OMIM") if infons.get(key) is not None), ""
    )
    parts = [part.strip() for part in re.split("[;,|]", str(identifiers))]
    if not mention.ids:
        assert {*parts} <= {"", "-", "-1", "None"} or not isinstance(identifiers, str | int), "identifiers"
    elif not {*parts} <= {"", "-", "-1", "None"}:
        known = {part.strip() for each in mention.ids for part in re.split("[;,|]", each)}
        same({*parts} - {"", "-", "-1", "None"}, known - {"", "-", "-1", "None"}, "identifiers")
    else:
        same((str(annotation["id"]),), mention.ids, "identifier of an annotation")


# brat


def brat(files: Files, read: Sequence[Document]) -> None:
    (document,) = read
    text = files["mini.txt"].decode("utf-8").removeprefix("\ufeff")
    if text != document.text:
        same(text.replace("\r\n", "\n"), document.text, "text")
    lines = files["mini.ann"].removeprefix(b"\xef\xbb\xbf").decode("utf-8").split("\n")
    rows = [line.removesuffix("\r").split("\t") for line in lines if line.strip()]
    triggers = {row[1].split(" ")[0].split(":")[1] for row in rows if row[0][0] == "E"}
    wanted = [row for row in rows if row[0][0] == "T" and row[0] not in triggers]
    same(len(wanted), len(document.mentions), "mentions")
    ids: dict[str, tuple[str, ...]] = {}
    for row, mention in zip(wanted, document.mentions, strict=True):
        kind, offsets = row[1].split(" ", 1)
        same(kind, mention.type, "type")
        spans = sorted(tuple(map(int, piece.split(" "))) for piece in offsets.split(";"))
        start, end = spans[0][0], spans[-1][1]
        found = document.text[start:end]
        same(found.strip(), document.text[mention.start : mention.end], "place of a mention")
        assert start <= mention.start < mention.end <= end, "place of a mention"
        name = "\t".join(row[2:])
        pieces = " ".join(document.text[first:last] for first, last in spans)
        assert words(name) in (words(found), words(pieces)), "text of a mention"
        ids[row[0]] = mention.ids
    for name, held in ids.items():
        given = [
            row[1].split(" ")[2].removeprefix("id:")
            for row in rows
            if row[0][0] == "N" and row[1].split(" ")[1] == name
        ]
        equal = [
            row[1].split(" ")[1:]
            for row in rows
            if row[0] == "*" and row[1].startswith("Equiv ") and name in row[1].split(" ")
        ]
        unlinked = any(row[0][0] == "A" and row[1].split(" ")[:2] == ["Unlinked", name] for row in rows)
        if not equal:
            same(() if unlinked else tuple(dict.fromkeys(given)) or (name,), held, "identifiers")
    for group in (row[1].split(" ")[1:] for row in rows if row[0] == "*" and row[1].startswith("Equiv ")):
        assert len({ids[name] for name in group if name in ids}) < 2, "equivalent mentions"
    facts = set()
    for row in rows:
        if row[0][0] == "R":
            relation, *ends = row[1].split()
            first, second = (end.partition(":")[2] for end in ends)
            facts |= {(head, relation, tail) for head in ids.get(first, ()) for tail in ids.get(second, ())}
    same(facts, {(fact.head, fact.relation, fact.tail) for fact in document.facts}, "relations")
    all_words(document)


# Label Studio


def label_studio_records(raw: bytes) -> list[tuple[str, Any]]:
    """Tasks that were not cancelled, and the identifiers of their documents."""
    text = raw.decode("utf-8").removeprefix("\ufeff")
    try:
        value = json.loads(text)
        tasks = value if isinstance(value, list) else [value]
    except ValueError:
        tasks = [json.loads(line.removeprefix("\ufeff")) for line in text.split("\n") if line.strip()]
    return [
        (str(task["data"].get("id", task.get("id", number))), task)
        for number, task in enumerate(tasks)
        if not task.get("annotations") or not all(each.get("was_cancelled") for each in task["annotations"])
    ]


def label_studio(files: Files, read: Sequence[Document]) -> None:
    said = label_studio_records(only(files))
    same([name for name, _ in said], [document.id for document in read], "documents")
    for (_, task), document in zip(said, read, strict=True):
        data = task["data"]
        assert document.text in data.values(), "text"
        same([tuple(each) for each in data.get("sections", [])], list(document.sections), "sections")
        made = [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
        truth = [each for each in made if each.get("ground_truth")]
        chosen = [*truth, *made, *(task.get("predictions") or ())][:1]
        items = chosen[0].get("result") or [] if chosen else []
        _tasks_items(items, document)
        all_words(document)


def _tasks_items(items: Sequence[Any], document: Document) -> None:
    regions = [item for item in items if item["type"].endswith("labels") and item.get("value") is not None]
    same(len(regions), len(document.mentions), "mentions")
    ids: dict[str, tuple[str, ...]] = {}
    units = document.text.encode("utf-16-le")
    for number, (region, mention) in enumerate(zip(regions, document.mentions, strict=True)):
        value = region["value"]
        name = document.text[mention.start : mention.end]
        same(words(value["text"]), words(name), "text of a region")
        same(value["labels"], [mention.type], "label")
        start, end = value["start"], value["end"]
        old = units[2 * start : 2 * end].decode("utf-16-le", "replace")
        assert document.text[start:end].strip() == name or old.strip() == name, "place of a region"
        given = (region.get("meta") or {}).get("text") or []
        given = [each.strip() for each in ([given] if isinstance(given, str) else given) if each.strip()]
        if given:
            same(() if set(given) == {"-"} else tuple(dict.fromkeys(given)), mention.ids, "identifiers")
        elif region.get("id"):
            same((region["id"],), mention.ids, "identifier of a region")
        ids[region.get("id") or str(number)] = mention.ids
    facts = set()
    for item in items:
        if item["type"] == "relation":
            first, second = ids[item["from_id"]], ids[item["to_id"]]
            for label in item.get("labels") or ():
                direction = item.get("direction") or "right"
                if direction in ("right", "bi"):
                    facts |= {(head, label, tail) for head in first for tail in second}
                if direction in ("left", "bi"):
                    facts |= {(tail, label, head) for head in first for tail in second}
    same(facts, {(fact.head, fact.relation, fact.tail) for fact in document.facts}, "relations")


# DocRED


def docred_lines(files: Files, read: Sequence[Document]) -> None:
    text = only(files).decode("utf-8").removeprefix("\ufeff")
    try:
        value = json.loads(text)
        records = value if isinstance(value, list) else [value]
    except ValueError:
        records = [json.loads(line.removeprefix("\ufeff")) for line in text.split("\n") if line.strip()]
    docred({"mini.json": json.dumps(records).encode()}, read)


# PubTator


def passages(files: Files, read: Sequence[Document]) -> None:
    """Blocks of the same identifier, as one block whose title is all their text."""
    rendered: list[list[str]] = []
    names: list[str] = []
    for block in blocks_of(only(files)):
        lines = [line.decode("utf-8") for line in block]
        name, title = lines[0].split("|t|", 1)
        rows = [line.split("\t") for line in lines[1:]]
        abstract = (
            lines[1].removeprefix(f"{name}|a|") if lines[1:] and lines[1].startswith(f"{name}|a|") else None
        )
        rows = rows[abstract is not None :]
        spans = [(int(row[1]), int(row[2]), row[3]) for row in rows if re.fullmatch("-?[0-9]+", row[1])]
        text = title if abstract is None else f"{title} {abstract}"
        if any(text[start:end] != found for start, end, found in spans):
            text = title.rstrip() if abstract is None else f"{title.rstrip()} {abstract}"
        if names[-1:] != [name]:
            names.append(name)
            rendered.append([text])
            start = 0
        else:
            start = len(rendered[-1][0]) + 1
            rendered[-1][0] += f" {text}"
        for row in rows:
            if re.fullmatch("-?[0-9]+", row[1]):
                row[1:3] = [str(int(offset) + start) for offset in row[1:3]]
            rendered[-1].append("\t".join(row))
    blocks = []
    for name, (text, *rows) in zip(names, rendered, strict=True):
        relations = [row for row in rows if not re.fullmatch("-?[0-9]+", row.split("\t")[1])]
        mentions = [row for row in rows if row not in relations]
        blocks.append("\n".join([f"{name}|t|{text}", *mentions, *relations, "", ""]))
    pubtator("|;", "-1")({"mini.pubtator": "".join(blocks).encode()}, read)
