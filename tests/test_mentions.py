"""Documents from plain text and what was found in it: checks, grouping, streaming."""

import random
from itertools import pairwise

import pytest

from glre_pyg.data.document import Document, Fact
from glre_pyg.mentions.documents import document_of, with_mentions
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.grouping import group_mentions
from glre_pyg.mentions.names import name_key
from glre_pyg.utils.exceptions import InputError


def marked(text):
    """The text without marks, and what they mark: "[cardiac arrest|Disease|D1]", type and id optional."""
    plain, found = "", []
    while text:
        before, _, text = text.partition("[")
        plain += before
        if text:
            name, _, text = text.partition("]")
            name, type_, id_, *_ = [*name.split("|"), "", ""]
            found.append(FoundMention(len(plain), len(plain) + len(name), type_ or "Disease", id_ or None))
            plain += name
    return plain, found


def entities(text, **options):
    """Entities as {id: texts of its mentions}."""
    plain, found = marked(text)
    groups = {}
    for mention in group_mentions(plain, found, **options):
        [id_] = mention.ids
        groups.setdefault(id_, []).append(plain[mention.start : mention.end])
    return groups


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # identifiers, whatever the names
        ("[rash|Disease|D1] or [eruption|Disease|D1]", {"D1": ["rash", "eruption"]}),
        ("[rash|Disease|D1] or [rash|Disease|D2]", {"D1": ["rash"], "D2": ["rash"]}),
        # names
        ("[Beta-Blockers] and [beta  blocker]", {"beta-blockers": ["Beta-Blockers", "beta  blocker"]}),
        ("[CAs] and [CA]", {"cas": ["CAs", "CA"]}),
        ("[cold|Disease] [cold|Sense]", {"cold (Disease)": ["cold"], "cold (Sense)": ["cold"]}),
        ("[heart\nattack] [heart attacks]", {"heart attacks": ["heart\nattack", "heart attacks"]}),
        ("[a/b]", {"a/b": ["a/b"]}),
        # names and identifiers
        ("[rash|Disease|D1] and [Rashes]", {"D1": ["rash", "Rashes"]}),
        ("[rash|Disease|D1] and [Rash]", {"D1": ["rash", "Rash"]}),
        ("[rash|Disease|D1] and [rash|Sign]", {"D1": ["rash"], "rash": ["rash"]}),
        (
            "[rash|Disease|D1] [rash|Disease|D2] [rash]",  # of which of the two?
            {"D1": ["rash"], "D2": ["rash"], "rash": ["rash"]},
        ),
        ("[x|Disease|rash] [rash]", {"rash": ["x"], "rash (Disease)": ["rash"]}),
        # abbreviations
        ("[cardiac arrest] (CA): CA, CAs", {"cardiac arrest": ["cardiac arrest", "CA", "CA", "CAs"]}),
        ("[cardiac arrest|Disease|D1] (CA): CA", {"D1": ["cardiac arrest", "CA", "CA"]}),
        ("CA ([cardiac arrest|Disease|D1])", {"D1": ["CA", "cardiac arrest"]}),
        ("After CA. [cardiac arrest|Disease|D1] (CA)", {"D1": ["CA", "cardiac arrest", "CA"]}),
        ("[two cardiac arrests] (CAs) CA", {"two cardiac arrests": ["two cardiac arrests", "CAs", "CA"]}),
        # as whole words, in just this case
        ("[cardiac arrest] (CA) ca Ca CAB CA-9 CA_1 9-CA", {"cardiac arrest": ["cardiac arrest", "CA"]}),
        ("[cardiac arrest] (CA) CA-like post-CA", {"cardiac arrest": ["cardiac arrest", "CA", "CA", "CA"]}),
        # found short forms: without an identifier they join, of another type or identifier they do not
        ("[cardiac arrest|Disease|D1] ([CA]) [CA]", {"D1": ["cardiac arrest", "CA", "CA"]}),
        ("[cardiac arrest|Disease|D1] ([CA|Gene|G]) CA", {"D1": ["cardiac arrest", "CA"], "G": ["CA"]}),
        ("[cardiac arrest|Disease|D1] (CA) [CA|Gene]", {"D1": ["cardiac arrest", "CA"], "ca": ["CA"]}),
        ("[cardiac arrest] ([CA|Disease|D1])", {"D1": ["cardiac arrest", "CA"]}),
        # nothing that overlaps what was found
        ("[cardiac arrest] (CA) [CA syndrome]", {"cardiac arrest": ["cardiac arrest", "CA"], "ca syndrome": ["CA syndrome"]}),
        # the long form has to be what was found
        ("fear of [arrest] (FA) FA", {"arrest": ["arrest"]}),
        ("[cardiac] arrest (CA) CA", {"cardiac": ["cardiac"]}),
        # introduced twice
        (
            "[cardiac arrest] (CA), CA, [common ache] (CA), CA",
            {"cardiac arrest": ["cardiac arrest", "CA", "CA"], "common ache": ["common ache", "CA", "CA"]},
        ),
        # further names of what was found, in brackets
        ("[Cisplatin|C|C1] (CDDP; cis-diamminedichloroplatinum) CDDP", {"C1": ["Cisplatin", "CDDP", "CDDP"]}),
        ("[tea|C|C1] ([epigallocatechin gallate|C|C2], EGCG)", {"C1": ["tea"], "C2": ["epigallocatechin gallate", "EGCG"]}),
        # a long form that is itself a short form
        ("[velorin acid sodium|C|C1] ([VAS|C]) [VAS|C] ([VS|C])", {"C1": ["velorin acid sodium", "VAS", "VAS", "VS"]}),
    ],
)  # fmt: skip
def test_entities(text, expected):
    assert entities(text) == expected


def test_without_abbreviations():
    text = "[cardiac arrest|Disease|D1] (CA): [CA]"
    assert entities(text, abbreviations=False) == {"D1": ["cardiac arrest"], "ca": ["CA"]}


def test_equal_mentions_count_once_and_order_does_not_matter():
    plain, found = marked("[rash|Disease|D1] and [Rash] or [cold] (CO), [cough|Sign], [colds], [cold|Sign]")
    expected = group_mentions(plain, found)
    rng = random.Random(0)
    for _ in range(10):
        shuffled = found * 2
        rng.shuffle(shuffled)
        assert group_mentions(plain, shuffled) == expected
    assert list(expected) == sorted(expected, key=lambda mention: mention.span)


def test_mentions_without_identifier_are_of_one_entity_just_if_name_and_type_agree():
    """An oracle over all pairs, where there are no abbreviations."""
    rng = random.Random(1)
    names = ["rash", "Rash", "rashes", "skin-rash", "skin rash", "Skin  Rashes", "CA", "CAs", "ca"]
    for _ in range(30):
        text = " , ".join(f"[{rng.choice(names)}|{rng.choice('AB')}]" for _ in range(8))
        plain, found = marked(text)
        mentions = group_mentions(plain, found)
        keys = [(name_key(plain[m.start : m.end]), m.type) for m in mentions]
        for first, key in zip(mentions, keys, strict=True):
            for second, other in zip(mentions, keys, strict=True):
                assert (first.ids == second.ids) == (key == other)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 99)], "d: mention at 0 to 99 is not inside the text of 30 characters"),
        ([(-1, 3)], "d: mention at -1 to 3 is not inside the text of 30 characters"),
        ([(5, 3)], "d: mention at 5 to 3 is not inside the text of 30 characters"),
        ([(3, 3)], "d: mention at 3 to 3 is empty or white space"),
        ([(7, 8)], "d: mention at 7 to 8 is empty or white space"),
        (
            [(0, 14), (8, 23)],
            "d: mentions 'cardiac arrest' at 0 to 14 and 'arrest in adult' at 8 to 23 overlap, and neither is "
            "inside the other",
        ),
        (
            [(0, 30), (0, 7), (8, 14), (11, 17)],
            "d: mentions 'arrest' at 8 to 14 and 'est in' at 11 to 17 overlap, and neither is inside the other",
        ),
    ],
)
def test_bad_spans(spans, message):
    text = "cardiac arrest in adults, rare"
    with pytest.raises(InputError) as caught:
        document_of("d", text, [FoundMention(*span, "Disease") for span in spans])
    assert str(caught.value) == message


def test_spans_are_refused_just_if_two_cross():
    rng = random.Random(2)
    text = "abcdefghij"
    for _ in range(300):
        spans = [tuple(sorted(rng.sample(range(11), 2))) for _ in range(rng.randint(1, 4))]
        crosses = any(a < c < b < d for a, b in spans for c, d in spans)
        found = [FoundMention(start, end, "T") for start, end in spans]
        try:
            document_of("d", text, found)
        except InputError:
            assert crosses
        else:
            assert not crosses


def test_message_of_long_mentions_is_one_short_line():
    text = "many words\n" * 50
    with pytest.raises(InputError) as caught:
        document_of("d", text, [FoundMention(0, 400, "T"), FoundMention(11, 500, "T")])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_nested_mentions_and_mentions_inside_words():
    text = "acute cardiac arrest. Anticardiac."
    document = document_of(
        "d", text, [FoundMention(0, 20, "D"), FoundMention(6, 20, "D"), FoundMention(26, 33, "D")]
    )
    assert [text[m.start : m.end] for m in document.mentions] == [
        "acute cardiac arrest",
        "cardiac arrest",
        "cardiac",
    ]
    assert "cardiac" in document.word_texts()


def test_mentions_cross_no_sentence_and_sections_begin_one():
    text = "Rash. After it. Cold came"
    sections = ((0, 5), (6, 25))
    document = document_of("d", text, [FoundMention(6, 20, "D")], sections=sections)
    assert document.sections == sections
    assert len(document.sentences) == 2


class Words:
    """Finds the word "rash"; looks `ahead` texts ahead."""

    def __init__(self, ahead=0):
        self.ahead = ahead

    def __call__(self, texts):
        waiting = []
        for text in texts:
            waiting.append(text)
            if len(waiting) > self.ahead:
                yield self.find(waiting.pop(0))
        yield from map(self.find, waiting)

    @staticmethod
    def find(text):
        at = text.find("rash")
        return (
            []
            if at < 0
            else [FoundMention(at, at + 4, "Disease"), *([FoundMention(at + 2, at + 8, "D")] * ("!" in text))]
        )


def plain(name, text):
    document = document_of(name, text, [FoundMention(0, 1, "X", "1"), FoundMention(2, 3, "X", "2")])
    return Document(
        name, text, document.words, document.sentences, document.mentions,
        facts=(Fact("1", "r", "2"),), ignored=(("2", "1"),), sections=((0, len(text)),),
    )  # fmt: skip


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_documents_get_the_mentions_of_their_own_text(ahead):
    texts = ["a b rash", "a b cold", "a rash b", "a b c rash"]
    documents = [plain(str(number), text) for number, text in enumerate(texts)]
    done = list(with_mentions(documents, Words(ahead)))
    assert [(d.id, d.text, d.sections) for d in done] == [(d.id, d.text, d.sections) for d in documents]
    for document in done:
        assert document.facts == document.ignored == ()
        assert [m.span for m in document.mentions] == [f[:2] for f in spans(document.text)]


def spans(text):
    return [(found.start, found.end) for found in Words.find(text)]


def test_documents_are_read_as_they_are_asked_for():
    read = []

    def documents():
        for number in range(5):
            read.append(number)
            yield plain(str(number), "a b rash")

    stream = with_mentions(documents(), Words(1))
    next(stream)
    assert read == [0, 1]


def test_a_bad_document_is_told_of_and_the_others_go_on():
    documents = [
        plain(name, text) for name, text in [("x", "a b rash"), ("y", "a rash ! b"), ("z", "a b rash")]
    ]
    errors = []
    assert [d.id for d in with_mentions(documents, Words(2), on_error=errors.append)] == ["x", "z"]
    assert [str(error) for error in errors] == [
        "y: mentions 'rash' at 2 to 6 and 'sh ! b' at 4 to 10 overlap, and neither is inside the other"
    ]
    with pytest.raises(InputError, match=r"^y: "):
        list(with_mentions(documents, Words(2)))


@pytest.mark.parametrize(
    ("finder", "message"),
    [
        (lambda texts: ([] for _ in list(texts)[1:]), "no list of mentions for 1"),
        (lambda texts: ([] for _ in [*texts, 1]), "more lists"),
    ],
)
def test_finders_that_lose_count(finder, message):
    with pytest.raises(ValueError, match=message):
        list(with_mentions([plain(str(n), "a b rash") for n in range(2)], finder))


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_memory_that_is_not_enough_costs_the_document_alone(ahead):
    texts = {"x": "a b rash", "y": "a huge rash", "z": "a b rash", "last": "rash"}

    class Small(Words):
        @staticmethod
        def find(text):
            if "huge" in text:
                raise MemoryError
            return Words.find(text)

    errors = []
    documents = [plain(name, text) for name, text in texts.items()]
    found = list(with_mentions(documents, Small(ahead), on_error=errors.append))
    assert [document.id for document in found] == ["x", "z", "last"]
    assert list(map(str, errors)) == ["y: there is not enough memory to find mentions"]


def test_short_forms_that_begin_with_the_same_word():
    text = "Alpha beta (A b) and alpha gamma (A g). A g, A b, A x, A"
    found = [FoundMention(0, 10, "D", "1"), FoundMention(21, 32, "D", "2")]
    mentions = [(text[slice(*mention.span)], *mention.ids) for mention in group_mentions(text, found)]
    assert [mention for mention in mentions if len(mention[0]) == 3] == [
        ("A b", "1"), ("A g", "2"), ("A g", "2"), ("A b", "1")
    ]  # fmt: skip


def test_a_short_form_ends_the_text():
    text = "Cardiac arrest (CA). CA"
    mentions = group_mentions(text, [FoundMention(0, 14, "D", "1")])
    assert [mention.span for mention in mentions] == [(0, 14), (16, 18), (21, 23)]


def test_text_without_words():
    assert document_of("d", "", []).sentences == ()
    assert document_of("d", " \n", []).words == ()


def test_words_do_not_overlap_where_many_short_forms_are_added():
    text = "Cardiac arrest (CA)" + " CA, CAs; CA-like" * 50
    document = document_of("d", text, [FoundMention(0, 14, "D", "1")])
    assert len(document.mentions) == 2 + 150
    assert all(left.end <= right.start for left, right in pairwise(document.mentions))
