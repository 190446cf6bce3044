"""Abbreviations that a text introduces (Schwartz and Hearst, 2003)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glre_pyg.mentions.abbreviations import abbreviations_in


def introduced(text):
    return [(text[slice(*short)], text[slice(*long)]) for short, long in abbreviations_in(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Three cardiac arrests (CA) occurred.", [("CA", "cardiac arrests")]),
        ("CA (cardiac arrest) occurred.", [("CA", "cardiac arrest")]),
        ("heat shock protein (HSP)", [("HSP", "heat shock protein")]),
        ("Heat  shock\nprotein ( HSP )", [("HSP", "Heat  shock\nprotein")]),
        # letters inside of words, and hyphens
        ("thyroid transport factor 1 (TTF-1)", [("TTF-1", "transport factor 1")]),  # the shortest, by design
        ("methamphetamine (METH)", [("METH", "methamphetamine")]),
        ("of 5-hydroxytryptamine (5-HT)", [("5-HT", "5-hydroxytryptamine")]),
        ("a non-steroidal drug (NSD)", [("NSD", "non-steroidal drug")]),
        ("given St. John's wort (SJW)", [("SJW", "St. John's wort")]),
        # the first letter begins a word: the first "s" going left is in "loss", the second in "sensory"
        ("early sensory loss (SL)", [("SL", "sensory loss")]),
        # plurals
        ("two beta blockers (BBs)", [("BBs", "beta blockers")]),
        ("a beta blocker (BBs)", [("BBs", "beta blocker")]),
        # nested brackets, square brackets, several
        ("myocardial infarction (heart attack (HA))", [("HA", "heart attack")]),
        ("(cardiac arrest [CA])", [("CA", "cardiac arrest")]),
        ("tumour necrosis factor (alpha) (TNF)", [("TNF", "tumour necrosis factor (alpha)")]),
        ("cardiac arrest [CA] and heart rate (HR)", [("CA", "cardiac arrest"), ("HR", "heart rate")]),
        # more in the brackets
        ("cardiac arrest (CA; n = 5)", [("CA", "cardiac arrest")]),
        ("cardiac arrest (CA, see below)", [("CA", "cardiac arrest")]),
        ("cardiac arrest ('CA')", [("CA", "cardiac arrest")]),
        ("CA (cardiac arrest; n = 5)", [("CA", "cardiac arrest")]),
        # both forms in the brackets
        ("tea (epigallocatechin gallate, EGCG)", [("EGCG", "epigallocatechin gallate")]),
        ("tea (e.g., epigallocatechin gallate, EGCG; 5 mg)", [("EGCG", "epigallocatechin gallate")]),
        (
            "Cisplatin (CDDP; cis-diamminedichloroplatinum) was given",
            [("CDDP", "Cisplatin"), ("CDDP", "cis-diamminedichloroplatinum")],
        ),
        ("(CDDP; cis-diamminedichloroplatinum)", [("CDDP", "cis-diamminedichloroplatinum")]),
        # Unicode
        ("β-adrenergic receptor (βAR)", [("βAR", "β-adrenergic receptor")]),
        ("état de mal (ÉM)", [("ÉM", "état de mal")]),
    ],
)
def test_what_is_introduced(text, expected):
    assert introduced(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(CA)",
        "(CA) cardiac arrest",
        "cardiac arrest CA)",
        "cardiac arrest (CA",
        "cardiac arrest)CA(",
        "cardiac arrest () [ ]",
        "patients (n = 5)",
        "five patients (5)",
        "in two thousand three (2003)",
        "cardiac arrest (C)",  # one letter is too short
        "cardiac arrest (CA of the heart)",  # three words are no short form
        "fear of abbreviations (FOABBREVIATIONS)",  # more than ten characters
        "cardiac arrest (-CA)",  # does not begin with a letter or digit
        "the arcade (CA)",  # no word begins with "c"
        "Cardiac pain. An arrest (CA)",  # not in one sentence
        "CA (CA)",
        "the CA (CA)",
        "(CA) (CA)",
        "cardiac and also quite a lot of other arrest (CA)",  # more than four words
        "was (with a score)",  # no capital before the brackets
        "some (nausea, vomiting, Na)",  # one capital
        "rats (Wistar, Charles River, n = 5)",
    ],
)
def test_what_is_not(text):
    assert introduced(text) == []


def test_long_form_has_at_most_as_many_words_as_the_paper_says():
    """min(n + 5, 2 n) words for n characters: 4 for 2, and 11 for 6."""
    assert introduced("cardiac a b arrest (CT)") == [("CT", "cardiac a b arrest")]
    assert introduced("cardiac a b d arrest (CT)") == []
    filler = "x " * 5
    assert introduced(f"a b c d e {filler}f (ABCDEF)") == [("ABCDEF", f"a b c d e {filler}f")]
    assert introduced(f"a b c d e x {filler}f (ABCDEF)") == []


@given(st.text(alphabet="aAbB ()[].,;s1-", max_size=60))
def test_every_letter_of_the_short_form_is_in_the_long_form_in_order(text):
    for short, long in abbreviations_in(text):
        form, letters = text[slice(*short)], iter(text[slice(*long)].lower())
        assert min(short[0], long[0]) >= 0
        assert max(short[1], long[1]) <= len(text)
        assert short[1] <= long[0] or long[1] <= short[0]
        singular = form[:-1] if form.endswith("s") else form
        assert all(letter in letters for letter in singular.lower() if letter.isalnum())


@pytest.mark.parametrize("part", ["(", "([", "x", "AB (CD) ", "a (", "A b c ", ") "])
def test_work_grows_with_the_length_alone(part, monkeypatch):
    """Whatever is cut out of the text for a pair of brackets is short: counted, not timed."""
    from glre_pyg.mentions import abbreviations

    looked_at = []
    monkeypatch.setattr(abbreviations, "_definitions", lambda text, *bracket: looked_at.append(bracket) or [])
    text = part * 2000 + ")" * 2000
    abbreviations.abbreviations_in(text)
    assert len(looked_at) <= len(text)
    monkeypatch.undo()
    seen = 0

    def match(short, text, start, end):
        nonlocal seen
        seen += end - start
        return None

    monkeypatch.setattr(abbreviations, "_match", match)
    abbreviations.abbreviations_in(text)
    assert seen <= 8 * 250 * len(looked_at)
