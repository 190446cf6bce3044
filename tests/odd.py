"""Documents that are odd in one way each, and ordinary ones to put beside them."""

import json
import re
from dataclasses import replace

from documents import LABELS, VOCABULARY, random_documents
from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.labels import Labels
from glre_pyg.data.segmentation import segment

PAIR_TYPES = (("Chemical", "Disease"),)
ODD_LABELS = Labels(LABELS.relations, LABELS.types, PAIR_TYPES)
ZERO_WIDTH = "\u200b\u2060\ufeff"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
EASE = ("causes", "V", "R")


def marked(name, text, *names, facts=(), ignored=()):
    """A document in whose text every name is marked wherever it stands.

    Args:
        name: The document's identifier.
        text: Its text.
        names: (name, type, *identifiers).
        facts: (relation, head, tail).
        ignored: (head, tail).
    """
    mentions = tuple(
        Mention(found.start(), found.end(), kind, tuple(ids))
        for of, kind, *ids in names
        for found in re.finditer(re.escape(of), text)
    )
    words, sentences = segment(text, [mention.span for mention in mentions])
    given = tuple(Fact(head, relation, tail) for relation, head, tail in facts)
    return Document(name, text, words, sentences, mentions, given, tuple(ignored))


def pair(name, text, head="velorin", tail="rash", **more):
    """A document of a chemical V and a disease R, by the names that the text has for them."""
    return marked(name, text, (head, "Chemical", "V"), (tail, "Disease", "R"), facts=[EASE], **more)


# Little or nothing


def few():
    """Texts with no words, no entities, or no pairs."""
    return [
        marked("no text", ""),
        marked("white space", " \n\t\u00a0\u3000\r\n "),
        marked("one character", "x"),
        marked("one character that is a mention", "x", ("x", "Chemical", "V")),
        marked("punctuation", "... !!! ?? -- () ; :"),
        marked("no mention", "All was well. Nobody came."),
        marked("no entity", "Patients had rash.", ("rash", "Disease")),
        marked("one entity", "velorin eased it. velorin was stopped.", ("velorin", "Chemical", "V")),
        marked("no candidate", "velorin and querine.", ("velorin", "Gene", "V"), ("querine", "Gene", "Q")),
        marked(
            "nothing but mentions", "velorin rash", ("velorin", "Chemical", "V"), ("rash", "Disease", "R")
        ),
    ]


# Much of something


def many_mentions(count=500):
    """An entity with very many mentions, all in a few sentences."""
    return pair("many mentions", " ".join([" ".join(["velorin"] * (count // 5)) + " caused rash."] * 5))


def long_mention(words=90):
    """A mention that no window holds."""
    name = " ".join(VOCABULARY[number % len(VOCABULARY)] for number in range(words))
    return pair("long mention", f"After dexoril-9 came {name}. It was dexoril-9.", "dexoril-9", name)


def long_sentence(words=5000):
    """One sentence."""
    middle = " ".join(VOCABULARY[number * 7 % len(VOCABULARY)] for number in range(words - 2))
    return pair("long sentence", f"qvelorin {middle} qrash", "qvelorin", "qrash")


def many_sentences(count=200):
    """Many sentences, each with a mention of one entity."""
    return pair(
        "many sentences", "velorin was given daily. " * (count - 1) + "It raised rash without velorin."
    )


def many_entities(chemicals=280, diseases=20):
    """Very many entities; a disease in every sentence."""
    names = [(f"chem{number}x", "Chemical", f"C{number}") for number in range(chemicals)]
    ills = [(f"ill{number}x", "Disease", f"D{number}") for number in range(diseases)]
    share = -(-chemicals // diseases)
    text = " ".join(
        f"{', '.join(name for name, *_ in names[number * share : (number + 1) * share])} caused {ill}."
        for number, (ill, *_) in enumerate(ills)
    )
    facts = [("causes", f"C{number}", f"D{number // share}") for number in range(0, chemicals, 10)]
    return marked("many entities", text, *names, *ills, facts=facts)


def long_word(length=10_000):
    """A word that no tokenizer knows, and that is a mention."""
    word = "acgt" * (length // 4)
    return pair("long word", f"velorin binds {word} tightly.", tail=word)


# Odd mentions, pairs and facts


def nested(depth=5):
    """Mentions within mentions."""
    words = ["severe", "chronic", "drug-induced", "liver", "failure", "syndrome"]
    inner = [(" ".join(words[number:]), "Disease", f"D{number}") for number in range(depth)]
    text = f"velorin preceded {' '.join(words)}. Later the syndrome eased."
    facts = [("causes", "V", f"D{number}") for number in range(depth)]
    return marked("nested", text, ("velorin", "Chemical", "V"), *inner, facts=facts)


def twins():
    """Entities with exactly the same mentions: by composite mentions, and by mentions of the same place."""
    return marked(
        "twins",
        "velorin raised rash. velorin lowered rash.",
        ("velorin", "Chemical", "V", "W"),
        ("rash", "Disease", "R"),
        ("rash", "Gene", "G"),
        ("rash", "Disease", "S"),
        facts=[EASE, ("treats", "W", "S")],
    )


def repeated():
    """Mentions that are given twice, and facts that are."""
    once = pair("repeated", "velorin caused rash and velorin eased rash.")
    return replace(once, mentions=once.mentions * 2, facts=once.facts * 2)


def left_out():
    """All pairs are ignored, one of them although it has a fact."""
    return marked(
        "left out",
        "velorin and querine caused rash.",
        ("velorin", "Chemical", "V"),
        ("querine", "Chemical", "Q"),
        ("rash", "Disease", "R"),
        facts=[EASE],
        ignored=[("V", "R"), ("Q", "R")],
    )


def odd_facts():
    """Facts of an entity with itself, of pairs that are no candidates, and of both orders."""
    facts = [EASE, ("treats", "V", "V"), ("causes", "R", "V"), ("treats", "V", "R"), ("causes", "V", "Q")]
    return marked(
        "odd facts",
        "velorin and querine with rash.",
        ("velorin", "Chemical", "V"),
        ("querine", "Chemical", "Q"),
        ("rash", "Disease", "R"),
        facts=facts,
    )


def odd_names():
    """Identifiers that formats may take for something else."""
    return marked(
        'a|b\\ "c" / \U0001f48a',
        "velorin, querine and dexoril: rash or tremor.",
        ("velorin", "Chemical", "x|y"),
        ("querine", "Chemical", "=1+1"),
        ("dexoril", "Chemical", "\u202eabc"),
        ("rash", "Disease", "a b"),
        ("tremor", "Disease", "<script>"),
        facts=[("causes", "x|y", "a b"), ("treats", "\u202eabc", "<script>")],
    )


# Odd characters


def scripts():
    """Scripts and characters that tokenizers drop, change, or do not know; some of them mentions."""
    many = "\u0301\u0302\u0303\u0323" * 10
    return [
        pair("right to left", "أدى الدواء velorin إلى طفح جلدي. \u200fהתרופה גרמה לפריחה.", tail="طفح"),
        pair("Hebrew", "velorin גרם לפריחה (rash) ב־12 חולים, \u2067שלום\u2069.", tail="לפריחה"),
        pair("combining", f"velorin ga\u0308b o{many}w u\u0308bel e\u0301 rash. \u0301", tail=f"o{many}w"),
        pair(
            "composed", "caf\u00e9 or cafe\u0301 \u2126 \u212b; na\u0131ve \u0130.", "caf\u00e9", "cafe\u0301"
        ),
        pair(
            "emoji", f"velorin \u2764\ufe0f {FAMILY} \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea.", tail=FAMILY
        ),
        pair("Thai", "ผู้ป่วยได้รับยาแล้วมีผื่นขึ้น", "ยา", "ผื่น"),
        pair("Chinese", "患者服用阿司匹林后出现皮疹。随后好转。", "阿司匹林", "皮疹"),
        pair(
            "astral", "\U0001d6fc-velorin \U00012000\U00012001 rash \U0010fffd.", "\U0001d6fc", "\U00012000"
        ),
        pair(
            "soft hyphens", "ve\u00adlo\u00adrin and ra\u00adsh \u00ad .", "ve\u00adlo\u00adrin", "ra\u00adsh"
        ),
        pair("zero width", f"velorin \u200b {ZERO_WIDTH} \u200d \u00ad and rash.", tail=ZERO_WIDTH),
        pair(
            "control",
            "velorin \u0007 \u0001\u0002 and \u0085 rash \u001c.\u2028And \u000b\u000c\u2029.",
            tail="\u0007",
        ),
        pair("replacement", "velorin \ufffd\ufffd caused \ufffd \ufffe rash.", tail="\ufffd\ufffd"),
        pair("private", "velorin \ue000 and \U000f0000 rash.", "\ue000", "\U000f0000"),
        pair("special tokens", "[CLS] velorin [SEP] <s> [MASK] <unk> [PAD] rash </s>", "[SEP]", "<unk>"),
        pair("lines", "velorin\r\n\r\n\tcaused\r rash \n\n\n"),
    ]


def ordinary(count=4):
    """Documents as there are many, whose mentions do not cross."""
    found = []
    for each in random_documents(6 * count, composites=0):
        spans = [mention.span for mention in each.mentions]
        if not any(one < other < one_end < other_end for one, one_end in spans for other, other_end in spans):
            words, sentences = segment(each.text, spans)
            found.append(replace(each, words=words, sentences=sentences))
    return found[:count]


def odd_corpus():
    """All of them in one list, each odd one between others."""
    return [
        *few(),
        *ordinary(2),
        many_mentions(),
        long_mention(),
        long_sentence(),
        *scripts(),
        many_sentences(),
        many_entities(),
        long_word(),
        *ordinary(4)[2:],
        nested(),
        twins(),
        repeated(),
        left_out(),
        odd_facts(),
        odd_names(),
    ]


def held_out():
    """The same for dev and test, and a fact of a relation that nothing was trained on."""
    other = marked(
        "unknown relation",
        "velorin and rash.",
        ("velorin", "Chemical", "V"),
        ("rash", "Disease", "R"),
        facts=[EASE, ("prevents", "V", "R"), ("prevents", "R", "V")],
    )
    return [*odd_corpus(), other]


def write_lines(documents, path):
    """Documents as one writes them oneself: JSON lines without words and sentences."""
    lines = []
    for document in documents:
        line = {
            "id": document.id,
            "text": document.text,
            "mentions": [
                {"start": each.start, "end": each.end, "type": each.type, "ids": each.ids}
                for each in document.mentions
            ],
            "facts": [
                {"head": each.head, "relation": each.relation, "tail": each.tail} for each in document.facts
            ],
            "ignored": document.ignored,
        }
        lines.append(json.dumps(line, ensure_ascii=len(lines) % 2 == 0) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
