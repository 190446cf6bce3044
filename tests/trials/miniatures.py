"""Invented files in the true formats, with the oddities of the real ones: a few short documents each."""

import csv
import json
import struct
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import accumulate

Files = Mapping[str, bytes]
"""Files of a folder by name."""


def _row(document: str, text: str, name: str, kind: str, ids: str, *more: str, at: int = 0) -> str:
    """PubTator's line of a mention; `at` is where to look for its name."""
    start = text.index(name, at)
    return "\t".join([document, str(start), str(start + len(name)), name, kind, ids, *more])


def _pubtator(end: str = "\n") -> bytes:
    """Like CDR: composite, nested, doubled and unlinked mentions, no abstract, an empty one, relations with more."""
    title, abstract = "Velmorine-induced tremor 😀 in mice.", "Head and neck tremor | came. Chill too (é)."
    text = f"{title} {abstract}"
    first = [
        f"101|t|{title}",
        f"101|a|{abstract}",
        _row("101", text, "Velmorine", "Chemical", "C01"),
        _row("101", text, "tremor", "Disease", "D01"),
        _row("101", text, "Head and neck tremor", "Disease", "D01|D02", "head tremor|neck tremor"),
        _row("101", text, "tremor", "Disease", "D01", at=len(title)),
        _row("101", text, "Chill", "Disease", "-1"),
        _row("101", text, "Chill", "Disease", "-1"),
        _row("101", text, "Chill", "Disease", "D03"),
        "101\tCID\tC01\tD01",
        "101\tCID\tC01\tD02",
    ]
    second = [
        "7|t|Ostamide eased rash",
        _row("7", "Ostamide eased rash", "Ostamide", "Chemical", "C02"),
        "",
        "88|t|An empty abstract",
        "88|a|",
    ]
    return (end.join([*first, "", *second, "", ""])).encode()


def _biored() -> bytes:
    """Like BioRED: identifiers joined by a comma, "|" within them, "-" for none, novelty."""
    title, abstract = "A c.5del deletion in GENA and GENB.", "Rash 😀 followed."
    text = f"{title} {abstract}"
    lines = [
        f"9|t|{title}",
        f"9|a|{abstract}",
        _row("9", text, "c.5del", "SequenceVariant", "c|DEL|5|"),
        _row("9", text, "GENA", "GeneOrGeneProduct", "11"),
        _row("9", text, "GENA and GENB", "GeneOrGeneProduct", "11,12"),
        _row("9", text, "Rash", "DiseaseOrPhenotypicFeature", "D005"),
        _row("9", text, "followed", "DiseaseOrPhenotypicFeature", "-"),
        "9\tAssociation\tc|DEL|5|\tD005\tNovel",
        "9\tPositive_Correlation\t11\t12\tNo",
        "",
        "10|t|Nothing.",
        "10|a|Nothing at all.",
        "",
        "",
    ]
    return "\n".join(lines).encode()


def _mention(sentences: Sequence[Sequence[str]], sentence: int, start: int, end: int, **more: object) -> dict:
    words = sentences[sentence][start:end]
    return {"name": " ".join(words), "pos": [start, end], "sent_id": sentence, "type": "LOC", **more}


_SENTENCES = [
    ["Velorin", "Bridge", "is", "in", "Ostam", "\xa0", ",", "Lumafia", "."],
    ["It", "was", "built", "on", "July", "4", ",", "1907", "😀", "."],
]


def _docred() -> bytes:
    """Like DocRED: names with other spaces or more before them, words of white space, evidence, one title twice."""
    first = {
        "title": "Velorin Bridge",
        "sents": _SENTENCES,
        "vertexSet": [
            [_mention(_SENTENCES, 0, 7, 8)],
            [_mention(_SENTENCES, 0, 0, 2, type="MISC"), _mention(_SENTENCES, 1, 0, 1, type="MISC")],
            [_mention(_SENTENCES, 1, 4, 8, name="July 4, 1907", type="TIME")],
            [_mention(_SENTENCES, 0, 4, 5, name="0.\nOstam")],
        ],
        "labels": [
            {"h": 1, "t": 0, "r": "P17", "evidence": [0]},
            {"h": 1, "t": 2, "r": "P571", "evidence": [1, 0]},
            {"h": 3, "t": 0, "r": "P17", "evidence": []},
        ],
    }
    last = {"title": "Nothing", "sents": [["Nothing", "."]], "vertexSet": [], "labels": []}
    other = {"title": "Nothing", "sents": [["Again", "."]], "vertexSet": [], "labels": []}
    return json.dumps([first, last, other]).encode()


def _redocred() -> bytes:
    """Like Re-DocRED: keys that say the same again, a sentence without words, a document without labels."""
    sentences = [*_SENTENCES[:1], [], *_SENTENCES[1:]]
    more = {"global_pos": [7, 7], "index": "0_0"}
    return json.dumps(
        [
            {
                "title": "Ostam",
                "vertexSet": [
                    [_mention(sentences, 0, 4, 5, **more), _mention(sentences, 2, 0, 1, **more)],
                    [_mention(sentences, 0, 7, 8, **more)],
                ],
                "labels": [{"r": "P17", "h": 0, "t": 1, "evidence": [0, 2]}, {"r": "P150", "h": 1, "t": 0}],
                "sents": sentences,
            },
            {"title": "Horns", "vertexSet": [], "sents": [["Horns", "grow", "."]]},
        ],
        ensure_ascii=False,
    ).encode()


def _dwie() -> bytes:
    """Like DWIE: each document one long sentence."""
    words = [*_SENTENCES[0], *_SENTENCES[1]]
    vertices = [[_mention([words], 0, 7, 8)], [_mention([words], 0, 0, 2), _mention([words], 0, 9, 10)]]
    labels = [{"h": 1, "t": 0, "r": "based_in0", "evidence": [0]}]
    return json.dumps(
        [
            {"title": "DW_1", "sents": [words], "vertexSet": vertices, "labels": labels},
            {"title": "DW_2", "sents": [["No", "more", "."]], "vertexSet": [], "labels": []},
        ]
    ).encode()


def _jsonl() -> bytes:
    """Lines with and without words, with predictions, evidence, ignored pairs and sections."""
    text = "Velmorine 😀 hurts. It may."
    mentions = [
        {"start": 0, "end": 9, "type": "Chemical", "ids": ["C1"]},
        {"start": 12, "end": 17, "type": "Disease", "ids": ["D1", "D2"], "names": ["ache", ""]},
        {"start": 12, "end": 17, "type": "Disease", "ids": []},
    ]
    whole = {
        "id": "5",
        "text": text,
        "mentions": mentions,
        "facts": [
            {"head": "C1", "relation": "CID", "tail": "D2", "extra": ["Novel"], "evidence": [1, 0]},
            {"head": "C1", "relation": "CID", "tail": "D1"},
        ],
        "ignored": [["D1", "C1"]],
        "sections": [[0, 18], [19, 26]],
        "words": [[0, 9], [10, 11], [12, 17], [17, 18], [19, 21], [22, 25], [25, 26]],
        "sentences": [[0, 4], [4, 7]],
    }
    found = {
        "id": "6",
        "text": text,
        "mentions": mentions[:2],
        "facts": [
            {
                "head": "C1",
                "relation": "CID",
                "tail": "D1",
                "extra": ["0.900000"],
                "probability": 0.9,
                "threshold": 0.5,
                "reasons": {"path": []},
            }
        ],
    }
    lines = [whole, found, {"id": "é", "text": "Two words.\u2028More."}]
    return "".join(
        json.dumps(line, ensure_ascii=index == 1) + "\n" for index, line in enumerate(lines)
    ).encode()


def _eog() -> bytes:
    """Like the filtered files of CDR: names within words, the true pair first, pairs left out."""
    text = "Ostamide and velorin6 caused rash .|Rash came after velorin6 , no deep cough ."
    ostamide = ["C2", "Ostamide", "Chemical", "0", "1", "0"]
    velorin = ["C1", "velorin|velorin", "Chemical", "2:9", "3:10", "0:1"]
    rash = ["D1", "rash|Rash", "Disease", "4:6", "5:7", "0:1"]
    cough = ["D2", "deep cough", "Disease", "12", "14", "1"]
    pairs = [
        ["1:CID:2", "L2R", "NON-CROSS", "2-3", "4-5", *velorin, *rash],
        ["1:NR:2", "L2R", "NON-CROSS", "9-10", "12-14", *velorin, *cough],
        ["not_include", "L2R", "NON-CROSS", "0-1", "4-5", *ostamide, *rash],
        ["1:NR:2", "L2R", "CROSS", "0-1", "12-14", *ostamide, *cough],
    ]
    columns = [column for pair in pairs for column in pair]
    other = "78\tGiven é .|Then none ."
    last = "\t".join(["79", "Rash by velorin", "1:CID:2", "R2L", "NON-CROSS", "2-3", "0-1"])
    last += "\tC1\tvelorin\tChemical\t2\t3\t0\tD1\tRash\tDisease\t0\t1\t0"
    return "\n".join(["\t".join(["77", text, *columns]), other, last, ""]).encode()


def _gda() -> Files:
    text = "GEN1 and tumors. We found GEN1 in Tumors and fever."
    lines = [
        _row("10001", text, "GEN1", "Gene", "672"),
        _row("10001", text, "tumors", "Disease", "D009369|D000001"),
        _row("10001", text, "GEN1", "Gene", "672", at=10),
        _row("10001", text, "Tumors", "Disease", "D009369").replace("Tumors", "tumors"),
        _row("10001", text, "fever", "Disease", "-1"),
        "",
        _row("10002", "A title on GEN2.", "GEN2", "Gene", "675"),
        "",
    ]
    return {
        "abstracts.txt": (
            "10001\nGEN1 and tumors.\nWe found GEN1 in Tumors and fever.\n\n10002\nA title on GEN2.\n\n"
            "10003\nAn abstract é.\nNo mention.\n\n"
        ).encode(),
        "anns.txt": "\n".join(lines).encode(),
        "labels.csv": b"pmid,geneId,diseaseId,label\n10001,672,D009369,1\n10001,672,D000001,0\n",
    }


def _names(separator: str) -> bytes:
    rows = [
        ["name", "type", "id"],
        ["Velorin sulfate", "Chemical", "C1"],
        ["α-velorin", "Chemical", "C1"],
        ["skin rash", "Disease", ""],
        ["rash 😀", "Disease", "D1"],
    ]
    out = StringIO()
    if separator == ",":
        rows[2][0] = 'a "b", c'
        csv.writer(out).writerows(rows)
    else:
        out.write("\n".join("\t".join(row) for row in rows) + "\n\n")
    return out.getvalue().encode()


def _predictions() -> bytes:
    rows = [
        {
            "document": "5", "head": "C1", "tail": "D1", "probability": {"CID": 0.75, "TREATS": 0.001},
            "distance": 0, "mentions": 1.5, "facts": ["CID"], "known": ["CID"],
        },
        {"document": "5", "head": "C1", "tail": "é", "probability": {}, "distance": -1, "mentions": 1.0},
        {
            "document": "6", "head": "C1", "tail": "D1", "probability": {"TREATS": 1}, "distance": 3,
            "mentions": 2, "other_facts": 1, "ignored": True,
        },
    ]  # fmt: skip
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _errors(separator: str) -> bytes:
    names = ["document", "head", "head names", "tail", "tail names", "relation", "kind", "probability"]
    rows = [
        [*names, "distance", "sentences", "type"],
        ["5", "C1", "velorin", "D1", "rash | Rash", "CID", "missed", "0.1", "0", "[S1] **V**, r.", "other"],
        ["5", "C1", "'=x", "D2", 'a "b"', "CID", "wrong", "0.9", "1", "two\nlines", " Logical  Reasoning"],
        ["6", "é", "v", "D", "r", "CID", "missed", "", "", "", ""],
    ]
    out = StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


_VECTORS = {",": (0.5, -1.0, 2.25), "naïve": (1.5, 0.0, -0.125), "new york": (3.0, 4.0, 5.0)}


def _vectors(*, header: bool, binary: bool = False) -> bytes:
    first = f"{len(_VECTORS)} 3\n".encode() if header else b""
    if binary:
        words = [word.replace(" ", "_").encode() for word in _VECTORS]
        rows = (
            word + b" " + struct.pack("<3f", *row) for word, row in zip(words, _VECTORS.values(), strict=True)
        )
        return first + b"".join(rows)
    rows = (f"{word} {' '.join(map(str, row))}\n".encode() for word, row in _VECTORS.items())
    return first + b"".join(rows)


RESULT = [
    {"title": "Velorin Bridge", "h_idx": 1, "t_idx": 0, "r": "P17", "evidence": [0]},
    {"title": "Ostam é", "h_idx": 0, "t_idx": 1, "r": "P17", "evidence": []},
]

_MESH = "Tree Number\tDesc Ui\tTerm\nC10\tD009422\tNerves\nC10.228\tD002493\tCenter\nA01\tD009422\tParts, é\n"
_FACTS = [["Frank", "the Union", "P27"], ['Ada " Q', "1907", "P569"], ["é😀", "Ostam", "P17"]]
_TEXTS = [
    "Velorin eased rash. It did é😀.\r\n\nA second part, e.g. here.\n",
    "\ufeffOne line",
]

PUBTATOR: Sequence[Files] = [{"mini.pubtator": _pubtator()}, {"mini.pubtator": _pubtator("\r\n")}]
BIORED: Sequence[Files] = [{"mini.pubtator": _biored()}]
DOCRED: Sequence[Files] = [{"mini.json": raw} for raw in (_docred(), _redocred())]
DWIE: Sequence[Files] = [{"mini.json": _dwie()}]
JSONL: Sequence[Files] = [{"mini.jsonl": _jsonl()}]
EOG: Sequence[Files] = [{"mini.data": _eog()}]
GDA: Sequence[Files] = [_gda()]
TEXT: Sequence[Files] = [{"mini.txt": text.encode()} for text in _TEXTS]
NAMES: Sequence[Files] = [{"names.tsv": _names("\t")}, {"names.csv": _names(",")}]
PREDICTIONS: Sequence[Files] = [{"predictions_test.jsonl": _predictions()}]
FACTS: Sequence[Files] = [{"train.fact": json.dumps(_FACTS).encode()}]
MESH: Sequence[Files] = [{"tree.txt": _MESH.encode()}]
ERRORS: Sequence[Files] = [{"errors.csv": _errors(",")}, {"errors.csv": _errors(";")}]
VECTORS: Sequence[Files] = [
    {"vectors.txt": raw}
    for raw in (_vectors(header=False), _vectors(header=True), _vectors(header=True, binary=True))
]


def starts_of(words: Sequence[str]) -> list[int]:
    """Where words begin that have a space between any two."""
    return list(accumulate((len(word) + 1 for word in words), initial=0))[: len(words)]
