"""Synthetic abstracts about chemicals that may induce diseases: the task of Section 4.1 without its data.

Only the text says whether a pair is a fact. The parameters of :class:`SyntheticCorpus` can make documents
that one layer of the model can solve and the others cannot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, product
from random import Random

from glre_pyg.data.document import Document, Fact, Span
from glre_pyg.datasets.generator_text import Actor, Line, Writer, abbreviation, name, number_of_names
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import NonNegativeInt, Share

RELATION = "CID"
Range = tuple[NonNegativeInt, NonNegativeInt]

# How the text expresses a pair: templates of sentences and the entities in them. Two sentences with a gene
# belong together.
_PATTERNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "direct": (("{claim}", "xy"),),
    "bridged": (("block", "xg"), ("gene {claim}", "gy")),
    "suggested": (("suggest", "xy"),),
    "treated": (("treat", "xy"),),
    "apart": (("drug", "x"), ("disease", "y")),  # mentioned as often as in a stated pair
    "role": (("{claim}", "x"),),
    "remote role": (("block", "xg"), ("{claim} target", "g")),
}


@dataclass(frozen=True, kw_only=True)
class SyntheticCorpus:
    """Synthetic documents, determined by the seed, the name of the split and these parameters.

    The candidates are all pairs of a chemical and a disease. The only relation is ``"CID"``, chemical-induced
    disease. Names, positions and numbers of mentions are independent of the facts; only the sentences express
    them. A *stated* pair is expressed in one of three ways:

    - *direct*: one sentence affirms or denies it ("X caused Y", "X did not cause Y");
    - *bridged*: one sentence says that X blocks a gene, another whether loss of the gene causes Y;
    - *suggested*: one sentence leaves it open ("Y was observed in patients on X"). It is a fact if and only
      if the reference drug of the document causes the diseases. A second drug does the opposite, so that only
      the name of the reference drug distinguishes the two kinds of documents.

    Ranges are ``(minimum, maximum)``, drawn for each document. Shares are rounded at random in each document.

    Args:
        seed: Random seed.
        drugs: Range of the number of chemicals in a document, without the two that a suggested pair adds.
        diseases: Range of the number of diseases in a document.
        mentions: Range of the minimum number of mentions of an entity, reached by neutral sentences.
        affirmed: Share of the stated pairs that are facts; for suggested pairs, of the documents.
        unstated: Share of the pairs that no sentence states; they are not facts.
        treated: Share of the unstated pairs that appear in one sentence ("X was given to patients with Y");
            the entities of the others appear in separate sentences.
        balanced: Share of the documents in which every chemical and every disease has the same number of
            affirmed, denied and unstated pairs, so that an entity alone is not informative. Requires
            ``drugs == diseases``; both get the same number.
        bridged: Share of the stated pairs that are bridged.
        gap: Range of the number of sentences between two that belong together. Sentences without a mention
            are added where needed.
        suggested: Share of the stated pairs that are suggested.
        remote: Whether the reference drug is known by its target only: one sentence says that X blocks a
            gene, another that the gene is the reference target.
        abbreviated: Share of the entities that are introduced with an abbreviation and then called by it.
        aliases: Share of the entities that have two names, used in turn, which the text never links.
        distractors: Range of the number of sentences without a mention.
        composites: Share of the documents with a composite mention of two chemicals.
        unlinked: Share of the documents with a mention that has no identifier.

    Raises:
        InputError: If a range is empty, a share is not in [0, 1], or the ranges do not fit ``balanced``.
    """

    seed: int = 0
    drugs: Range = (2, 3)
    diseases: Range = (1, 2)
    mentions: Range = (1, 2)
    affirmed: Share = 0.5
    unstated: Share = 0.25
    treated: Share = 0.5
    balanced: Share = 0.0
    bridged: Share = 0.3
    gap: Range = (0, 3)
    suggested: Share = 0.0
    remote: bool = False
    abbreviated: Share = 0.2
    aliases: Share = 0.0
    distractors: Range = (1, 2)
    composites: Share = 0.0
    unlinked: Share = 0.0

    def __post_init__(self) -> None:
        minima = {"drugs": 1, "diseases": 1, "mentions": 1, "gap": 0, "distractors": 0}
        for parameter, minimum in minima.items():
            low, high = getattr(self, parameter)
            if not minimum <= low <= high:
                raise InputError(f"{parameter}: [{low}, {high}] is not a range of numbers from {minimum} on")
            object.__setattr__(self, parameter, (low, high))  # configs have lists
        for parameter, kind in (("drugs", "Chemical"), ("diseases", "Disease")):
            most = number_of_names(kind) // 2 - 3
            if getattr(self, parameter)[1] > most:
                raise InputError(f"{parameter}: there are names for {most} at most")
        for parameter in (each.name for each in fields(self) if isinstance(each.default, float)):
            if not 0 <= getattr(self, parameter) <= 1:
                raise InputError(f"{parameter}: {getattr(self, parameter)} is not a share between 0 and 1")
        if self.balanced and self.drugs != self.diseases:
            raise InputError(f"diseases: {self.diseases} is not drugs, {self.drugs}, as balanced requires")

    def generate(self, split: str, size: int) -> Iterator[Document]:
        """Generate the first ``size`` documents of a split; a larger split begins with the same ones."""
        return (self.document(split, index) for index in range(size))

    def document(self, split: str, index: int) -> Document:
        """Generate one document of a split."""
        rng = Random(f"{self.seed}/{split}/{index}")  # hashed with SHA-512: the same in every process
        rows = rng.randint(*self.drugs)
        balanced = rng.random() < self.balanced
        columns = rows if balanced else rng.randint(*self.diseases)
        *drugs, reference, comparator, other = self._actors("Chemical", rows + 3, rng)
        diseases = self._actors("Disease", columns, rng)
        plan = _Plan(iter(self._actors("Gene", rows * columns + 2, rng)))
        labels = self._balanced(rows, rng) if balanced else self._labels(rows * columns, rng)
        patterns = self._patterns(labels, rng)
        regime = rng.random() < self.affirmed
        for (drug, disease), label, pattern in zip(product(drugs, diseases), labels, patterns, strict=True):
            plan.state(pattern, drug, disease, label=regime if pattern == "suggested" else label)
        if "suggested" in patterns:
            drugs += [reference, comparator]
            roles = (reference, "reference", regime), (comparator, "comparator", not regime)
            for drug, role, label in roles:
                plan.add("remote role" if self.remote else "role", claim=role, x=drug)
                for disease in diseases:
                    plan.state("direct", drug, disease, label)
        self._fill(plan, drugs, diseases, other, rng)
        title = Line("title", {"x": rng.choice(drugs), "y": rng.choice(diseases)})
        facts = sorted(plan.facts, key=lambda fact: (fact.head, fact.tail))
        return Writer(rng).document(f"{split}-{index}", title, plan.arrange(self.gap, rng), facts)

    def _actors(self, kind: str, count: int, rng: Random) -> list[Actor]:
        """Draw entities with distinct names and abbreviations."""
        actors, used = [], {""}
        for number in rng.sample(range(number_of_names(kind) // 2), count):
            names = name(kind, 2 * number), name(kind, 2 * number + 1)
            short = abbreviation(names[0]) if rng.random() < self.abbreviated else ""
            short = "" if short in used else short
            used.add(short)
            known = names if rng.random() < self.aliases else names[:1]
            actors.append(Actor(kind, (f"{kind[0]}{number:04d}",), known, short))
        return actors

    def _labels(self, size: int, rng: Random) -> list[bool | None]:
        """Draw whether each pair is affirmed (True), denied (False) or not stated (None)."""
        unstated = _share(self.unstated, size, rng)
        affirmed = _share(self.affirmed, size - unstated, rng)
        labels = [None] * unstated + [True] * affirmed + [False] * (size - unstated - affirmed)
        return rng.sample(labels, size)

    def _balanced(self, size: int, rng: Random) -> list[bool | None]:
        """Draw a Latin square: each row and column has the same values, in another order."""
        labels = self._labels(size, rng)
        rows, columns = rng.sample(range(size), size), rng.sample(range(size), size)
        return [labels[(row + column) % size] for row, column in product(rows, columns)]

    def _patterns(self, labels: Sequence[bool | None], rng: Random) -> list[str]:
        """Draw how the text expresses each pair."""
        stated = sum(label is not None for label in labels)
        bridged = _share(self.bridged, stated, rng)
        suggested = min(_share(self.suggested, stated, rng), stated - bridged)
        patterns = ["bridged"] * bridged + ["suggested"] * suggested
        patterns = rng.sample(patterns + ["direct"] * (stated - len(patterns)), stated)
        unstated = (rng.choices(["treated", "apart"], [self.treated, 1 - self.treated])[0] for _ in labels)
        return [next(unstated) if label is None else patterns.pop() for label in labels]

    def _fill(
        self,
        plan: _Plan,
        drugs: Sequence[Actor],
        diseases: Sequence[Actor],
        other: Actor,
        rng: Random,
    ) -> None:
        """Add neutral sentences."""
        number = plan.mentions()
        for slot, meaning, actors in (("x", "drug", drugs), ("y", "disease", diseases)):
            for actor in actors:
                for _ in range(number[actor], rng.randint(*self.mentions)):
                    plan.lines.append(Line(meaning, {slot: actor}))
        plan.lines += [Line("plain", {})] * rng.randint(*self.distractors)
        if rng.random() < self.composites and len(drugs) > 1:
            pair = rng.sample(drugs, 2)
            parts = tuple(drug.names[0] for drug in pair)
            both = Actor(pair[0].type, pair[0].ids + pair[1].ids, (" and ".join(parts),), parts=parts)
            plan.lines.append(Line("composite", {"x": both}))
        if rng.random() < self.unlinked:
            plan.lines.append(Line("unlinked", {"x": Actor(other.type, (), other.names[:1])}))


@dataclass
class _Plan:
    """The sentences of a document, not ordered yet; the two of each of ``pairs`` belong together."""

    genes: Iterator[Actor]
    lines: list[Line] = field(default_factory=list)
    pairs: list[tuple[Line, Line]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def state(self, pattern: str, drug: Actor, disease: Actor, label: bool | None) -> None:
        self.add(pattern, claim="affirm" if label else "deny", x=drug, y=disease)
        if label:
            self.facts.append(Fact(drug.ids[0], RELATION, disease.ids[0]))

    def add(self, pattern: str, *, claim: str, **cast: Actor) -> None:
        together = any("g" in slots for _, slots in _PATTERNS[pattern])
        if together:
            cast["g"] = next(self.genes)
        lines = [
            Line(meaning.format(claim=claim), {slot: cast[slot] for slot in slots})
            for meaning, slots in _PATTERNS[pattern]
        ]
        if together:
            self.pairs.append((lines[0], lines[1]))
        else:
            self.lines += lines

    def mentions(self) -> Counter[Actor]:
        lines = self.lines + [line for pair in self.pairs for line in pair]
        return Counter(actor for line in lines for actor in line.cast.values())

    def arrange(self, gap: Span, rng: Random) -> list[Line]:
        """Order the sentences at random, with a number of others from ``gap`` between the two of a pair."""
        slots: list[Line | None] = [None] * (len(self.lines) + 2 * len(self.pairs))
        for pair in rng.sample(self.pairs, len(self.pairs)):
            places = _places(slots, gap)
            if not places:
                slots += [None] * (gap[0] + 2)
                places = _places(slots, gap)
            for place, line in zip(rng.choice(places), rng.sample(pair, 2), strict=True):
                slots[place] = line
        lines = self.lines + [Line("plain", {})] * (slots.count(None) - len(self.lines))
        rest = iter(rng.sample(lines, len(lines)))
        return [line or next(rest) for line in slots]


def _places(slots: Sequence[Line | None], gap: Span) -> list[Span]:
    free = [place for place, line in enumerate(slots) if line is None]
    return [(first, last) for first, last in combinations(free, 2) if gap[0] < last - first <= gap[1] + 1]


def _share(share: float, size: int, rng: Random) -> int:
    """Take a share of a number, rounded at random so that the mean is exact."""
    return int(share * size + rng.random())
