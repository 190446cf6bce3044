"""Documents of a given number of words, entities and mentions, for measuring only: they mean nothing."""

from __future__ import annotations

from itertools import accumulate, pairwise
from random import Random

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.labels import Labels
from glre_pyg.utils.exceptions import InputError

TYPES = ("LOC", "MISC", "NUM", "ORG", "PER", "TIME")
LABELS = Labels(tuple(f"R{number}" for number in range(96)), TYPES, None)
"""As many relations and types as DocRED has, and every pair of entities."""
SENTENCE = 20
FACTS = 0.05
WORDS = """
the city of river north house music album band song written released year first second team played season
born died school university war army king queen church island county state law party member president
film series book author published company founded station line road bridge park and in on at by with for
"""


def invented_document(words: int, entities: int, mentions: int, *, seed: int) -> Document:
    """A document of sentences of 20 words; each mention is one word, at a place of its own.

    Args:
        words: Number of words.
        entities: Number of entities; every ordered pair is a candidate.
        mentions: Mentions of each entity.
        seed: Seed of words, places, types and facts.

    Raises:
        InputError: If the document has too few words for its mentions.
    """
    if entities * mentions > words:
        raise InputError(f"{entities} entities of {mentions} mentions do not fit into {words} words")
    text = Random(f"text {seed}").choices(WORDS.split(), k=words)
    random = Random(f"entities {seed}")
    starts = [0, *accumulate(len(word) + 1 for word in text)][:words]
    spans = [(start, start + len(word)) for start, word in zip(starts, text, strict=True)]
    bounds = [*range(0, words, SENTENCE), words]
    places = random.sample(range(words), entities * mentions)
    kinds = [random.choice(TYPES) for _ in range(entities)]
    pairs = [(head, tail) for head in range(entities) for tail in range(entities) if head != tail]
    return Document(
        id=f"invented {seed}",
        text=" ".join(text),
        words=tuple(spans),
        sentences=tuple(Sentence(start, end) for start, end in pairwise(bounds)),
        mentions=tuple(
            Mention(*spans[place], kinds[number % entities], (f"E{number % entities}",))
            for number, place in enumerate(places)
        ),
        facts=tuple(
            Fact(f"E{head}", random.choice(LABELS.relations), f"E{tail}")
            for head, tail in pairs
            if random.random() < FACTS
        ),
    )
