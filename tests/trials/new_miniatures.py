"""Invented files in the forms of other tools: BioC, brat, Label Studio."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from miniatures import DOCRED, Files

TITLE, ABSTRACT = "Velmorine-induced tremor 😀 in mice.", "c.5del and GENA & GENB < é; Chill came. "


def _annotation(identifier: str, name: str, at: int, infons: Mapping[str, Any]) -> dict[str, Any]:
    locations = [{"offset": at, "length": len(name)}]
    return {"id": identifier, "infons": dict(infons), "text": name, "locations": locations}


def _find(name: str, kind: str, identifiers: str | None, number: int, text: str, at: int) -> dict[str, Any]:
    """An annotation of the first place of a name in a passage that begins at a character."""
    infons = {"identifier": identifiers, "type": kind, "valid": identifiers is not None}
    return _annotation(str(number), name, text.index(name) + at, infons)


def _pubtator3() -> dict[str, Any]:
    """Like PubTator3's export: a title, an abstract, a paragraph after a gap; relations with roles."""
    first, second = 0, len(TITLE) + 1
    third = second + len(ABSTRACT) + 3
    paragraph = "Head or neck tremor was seen."
    pieces = _find("Head or neck tremor", "Disease", "MESH:D01;MESH:D02", 7, paragraph, third)
    pieces |= {
        "text": "Head tremor",
        "locations": [{"offset": third, "length": 4}, {"offset": third + 13, "length": 6}],
    }
    roles = [("MESH:C01", "Chemical"), ("MESH:D01", "Disease"), ("11", "Gene"), ("RS#:7", "Variant")]
    role1, role2, gene, variant = ({"identifier": name, "type": kind, "valid": True} for name, kind in roles)
    return {
        "_id": "101|None",
        "id": "101",
        "infons": {},
        "passages": [
            {
                "infons": {"type": "title", "year": "2021"}, "offset": first, "text": TITLE, "sentences": [],
                "annotations": [
                    _find("Velmorine", "Chemical", "MESH:C01", 1, TITLE, first),
                    _find("tremor", "Disease", "MESH:D01", 2, TITLE, first),
                ],
                "relations": [],
            },
            {
                "infons": {"type": "abstract"}, "offset": second, "text": ABSTRACT, "sentences": [],
                "annotations": [
                    _find("c.5del", "Variant", "tmVar:c|DEL|5|;HGVS:c.5del;RS#:7", 3, ABSTRACT, second),
                    _find("GENA & GENB", "Gene", "11;12", 4, ABSTRACT, second),
                    _find("Chill", "Disease", None, 5, ABSTRACT, second),
                    {"id": "6", "infons": {"type": "Index"}, "text": "chills", "locations": []},
                ],
                "relations": [],
            },
            {
                "infons": {"type": "paragraph"}, "offset": third, "text": paragraph, "sentences": [],
                "annotations": [pieces],
                "relations": [],
            },
        ],
        "relations": [
            {
                "id": "R1", "infons": {"score": "0.9993", "role1": role1, "role2": role2, "type": "cause"},
                "nodes": [{"refid": "0", "role": "0,1"}],
            },
            {"id": "R2", "infons": {"role1": gene, "role2": variant, "type": "Association"}, "nodes": []},
        ],
        "pmid": 101, "relations_display": [{"name": "cause|@CHEMICAL_Velmorine|@DISEASE_Tremor"}],
    }  # fmt: skip


def _standard() -> dict[str, Any]:
    """Sentences that have the text, relations between annotations, one of three; an annotation without identifier."""
    one, two = "Ostamide eased rash.", "Rash é returned."
    nodes = [("T2", "theme"), ("T1", "cause"), ("T3", "theme")]
    return {
        "id": "7",
        "infons": {},
        "passages": [
            {
                "infons": {}, "offset": 0, "annotations": [],
                "sentences": [
                    {
                        "offset": 0, "text": one, "infons": {},
                        "annotations": [
                            _annotation("T1", "Ostamide", 0, {"type": "Chemical"}),
                            _annotation("T2", "rash", 15, {"type": "Disease", "MESH": "D05|D06"}),
                        ],
                    },
                    {
                        "offset": 21, "text": two, "infons": {},
                        "annotations": [_annotation("T3", "Rash é", 21, {"type": "Disease", "MESH": "-1"})],
                    },
                ],
                "relations": [
                    {"id": "R1", "infons": {"type": "eases"}, "nodes": [{"refid": name, "role": role} for name, role in nodes[1::-1]]},
                    {"id": "R2", "infons": {"type": "all"}, "nodes": [{"refid": name, "role": role} for name, role in nodes]},
                ],
            }
        ],
        "relations": [{"id": "R3", "infons": {"relation": "CID", "Chemical": "T1", "Disease": "D05"}}],
    }  # fmt: skip


def xml_of(documents: Sequence[Mapping[str, Any]]) -> str:
    """Documents in BioC's JSON as XML."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection>\n'
    return f"{head}<source>x</source>\n{''.join(_xml('document', each) for each in documents)}</collection>\n"


def _xml(tag: str, value: Mapping[str, Any]) -> str:
    out = [f"<{tag}>" if "locations" not in value else f"<{tag} id={quoteattr(value['id'])}>"]
    out += [
        f"<{key}>{escape(str(value[key]))}</{key}>"
        for key in ("id", "offset")
        if key in value and tag != "annotation"
    ]
    for key, infon in value.get("infons", {}).items():
        text = f"{infon['type']}|{infon['identifier']}" if isinstance(infon, dict) else infon
        if text is not None:
            out.append(f"<infon key={quoteattr(key)}>{escape(str(text))}</infon>")
    out += [
        f'<location offset="{each["offset"]}" length="{each["length"]}"/>'
        for each in value.get("locations", [])
    ]
    if "text" in value:
        out.append(f"<text>{escape(value['text'])}</text>")
    for key in ("passages", "sentences", "annotations", "relations"):
        out += [_xml(key[:-1], each) for each in value.get(key, [])]
    out += [f'<node refid="{each["refid"]}" role="{each["role"]}"/>' for each in value.get("nodes", [])]
    return "\n".join([*out, f"</{tag}>", ""])


_BIOC = [_pubtator3(), _standard()]
BIOC_JSON: Sequence[Files] = [
    {"mini.json": raw.encode()}
    for raw in (
        json.dumps({"PubTator3": _BIOC}, indent=1),
        json.dumps(
            {"source": "x", "date": "", "key": "", "infons": {}, "documents": _BIOC}, ensure_ascii=False
        ),
        "".join(json.dumps(each) + "\n" for each in _BIOC),
    )
]
BIOC_XML: Sequence[Files] = [{"mini.xml": xml_of(_BIOC).encode()}]


_BRAT_TEXT = "Velorin 😀 raised\nhead or neck rash. Velorin helped, é.\n"
_BRAT_LINES = [
    "T1\tChemical 0 7\tVelorin",
    "T2\tDisease 17 21;30 34\thead rash",
    "T3\tChemical 36 43\tVelorin",
    "T4\tTrigger 10 16\traised",
    "T5\tDisease 30 34\trash",
    "E1\tTrigger:T4 Cause:T1",
    "*\tEquiv T1 T3",
    "N1\tReference T2 MESH:D1\trash",
    "N2\tReference T2 id:D2\trash",
    "A1\tUnlinked T5",
    "R1\tCID Arg1:T3 Arg2:T2",
    "#1\tAnnotatorNotes R1\t0.9",
]


def _region(name: str, start: int, end: int, text: str, label: str, *ids: str) -> dict[str, Any]:
    """A region of Label Studio's text."""
    meta = {"meta": {"text": list(ids)}} if ids else {}
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    return {
        "id": name,
        "type": "labels",
        "from_name": "label",
        "to_name": "text",
        "origin": "manual",
        "value": value,
        **meta,
    }


def _link(first: str, second: str, *labels: str, direction: str = "right", **more: Any) -> dict[str, Any]:
    return {
        "type": "relation",
        "from_id": first,
        "to_id": second,
        "direction": direction,
        "labels": list(labels),
        **more,
    }


def _tasks() -> list[dict[str, Any]]:
    """A task that two persons annotated, one of an old version with UTF-16 offsets, one that is to be annotated."""
    text = "Velorin 😀 raised\nrash. Velorin é helped, \u00e9."
    result = [
        _region("a", 0, 7, "Velorin", "Chemical", "C1"),
        _region("b", 17, 22, "rash.", "Disease", "D1", "D2"),
        _region("c", 23, 31, "Velorin ", "Chemical", "C1"),
        _region("d", 31, 32, "é", "Disease", "-"),
        _region("e", 33, 39, "helped", "Other"),
        {"id": "f", "type": "choices", "from_name": "c", "to_name": "text", "value": {"choices": ["x"]}},
        _link("c", "b", "CID"), _link("a", "b", "CID"), _link("b", "a", "of", "by", direction="left"),
        _link("a", "e"), _link("e", "a", "with", direction="bi"),
    ]  # fmt: skip
    old = [_region("a", 3, 7, "rash", "Disease"), _region("b", 8, 15, "Velorin", "Chemical", "C1")]
    new = [
        _region("m0", 0, 7, "Ostamid", "Chemical", "C2"), _region("m1", 8, 13, "eases", "Disease", "D3"),
        _link("m0", "m1", "CID", score=0.987654),
    ]  # fmt: skip
    return [
        {
            "id": 5, "data": {"text": text, "url": "x", "sections": [[0, 16], [17, 42]]},
            "annotations": [
                {"id": 1, "result": [], "was_cancelled": True, "ground_truth": False},
                {"id": 2, "result": [], "was_cancelled": False, "ground_truth": False},
                {"id": 3, "result": result, "was_cancelled": False, "ground_truth": True},
            ],
            "predictions": [{"id": 4, "model_version": "x", "result": new}],
        },
        {"id": 6, "data": {"id": "old", "body": "😀 rash Velorin"}, "annotations": [{"result": old}]},
        {"id": 7, "data": {"text": "Cancelled."}, "annotations": [{"result": [], "was_cancelled": True}]},
        {"data": {"text": "Ostamid eases."}, "predictions": [{"model_version": "glre_pyg", "result": new}]},
    ]  # fmt: skip


LABEL_STUDIO: Sequence[Files] = [
    {"mini.json": json.dumps(_tasks(), indent=2).encode()},
    {"mini.json": "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in _tasks()).encode()},
]
BRAT: Sequence[Files] = [
    {"mini.txt": _BRAT_TEXT.encode(), "mini.ann": "".join(f"{line}\n" for line in _BRAT_LINES).encode()}
]
DOCRED_LINES: Sequence[Files] = [
    {"mini.json": "".join(f"{json.dumps(record)}\n" for record in json.loads(files["mini.json"])).encode()}
    for files in DOCRED
]
"""Records of DocRED, a line each."""
PASSAGES: Sequence[Files] = [
    {
        "mini.pubtator": (
            "1|t|Velorin and 😀 rash. \n1|a|Velorin raised rash.\n1\t0\t7\tVelorin\tChemical\tC1\n"
            "1\t35\t39\trash\tDisease\tD1\n\n1|t|Methods é\n1\t0\t7\tMethods\tOther\t-1\n\n"
            "1|t|Velorin.\n1|a|\n1\t0\t7\tVelorin\tChemical\tC1\n1\tCID\tC1\tD1\n\n2|t|Rash.\n\n"
        ).encode()
    }
]
"""Blocks that are passages, the first with white space at the end of its title that offsets do not count."""
