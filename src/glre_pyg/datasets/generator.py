"""Invented abstracts on chemicals that do or do not induce diseases: section 4.1's task without its data.

Whether a pair is a fact can only be read in the text. The knobs of :class:`SyntheticCorpus` make
documents that one layer of the model can solve and the others cannot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, product
from random import Random

from glre_pyg.data.document import Document, Fact, Span
from glre_pyg.datasets.generator_text import Character, Line, Writer, abbreviation, name, number_of_names
from glre_pyg.utils.exceptions import InputError

RELATION = "CID"

# How a pair is told: what the sentences mean and who is in them. Two sentences with a gene go together.
_TELLINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "direct": (("{claim}", "xy"),),
    "bridged": (("block", "xg"), ("gene {claim}", "gy")),
    "suggested": (("suggest", "xy"),),
    "treated": (("treat", "xy"),),
    "apart": (("drug", "x"), ("disease", "y")),  # as often named as in a stated pair: counting tells nothing
    "role": (("{claim}", "x"),),
    "remote role": (("block", "xg"), ("{claim} target", "g")),
}


@dataclass(frozen=True, kw_only=True)
class SyntheticCorpus:
    """Documents that a seed, the name of a split and these knobs determine.

    The candidates are all pairs of a chemical and a disease; their one relation is ``"CID"``,
    chemical-induced disease. No name, place or number of mentions tells whether a pair is a fact, only
    what the sentences say. A *stated* pair is told in one of three ways:

    - *direct*: one sentence affirms or denies it ("X caused Y", "X did not cause Y");
    - *bridged*: one sentence says that X blocks a gene, another what the loss of the gene causes or not;
    - *suggested*: one sentence leaves it open ("Y was observed in patients on X"). It is a fact if and only
      if the reference drug of the document causes the diseases. A second drug does the opposite, so that
      nothing but the name of the reference drug tells the two kinds of documents apart.

    A range is ``(lowest, highest)``, drawn for each document. A share is rounded at random in each document.

    Args:
        seed: Another seed, other documents.
        drugs: Range: chemicals of a document, without the two more that a suggested pair brings.
        diseases: Range: diseases of a document.
        mentions: Range: an entity is named at least this often; sentences that claim nothing fill up.
        affirmed: Share of the stated pairs that are facts; for suggested pairs, of the documents.
        unstated: Share of the pairs that no sentence states; they are no facts.
        treated: Share of the unstated pairs that a sentence names together ("X was given to patients with
            Y"); in the others each of the two has a sentence of its own.
        balanced: Share of the documents in which every chemical and every disease has as many affirmed,
            denied and unstated pairs as the others: an entity alone tells nothing. Needs
            ``drugs == diseases``, and draws one number for both.
        bridged: Share of the stated pairs that are bridged.
        gap: Range: sentences between the two that together tell one thing. Where there is no room,
            sentences without a mention are added.
        suggested: Share of the stated pairs that are suggested.
        remote: The reference drug is known by its target only: one sentence says that X blocks a gene,
            another that the gene is the reference target.
        abbreviated: Share of the entities that are introduced with an abbreviation and then called by it.
        aliases: Share of the entities that go by two names in turn, which the text never links.
        distractors: Range: sentences without a mention.
        composites: Share of the documents with a mention of two chemicals in one.
        unlinked: Share of the documents with a mention of no known entity.

    Raises:
        InputError: If a range is empty, a share is not in [0, 1], or the ranges do not fit `balanced`.
    """

    seed: int = 0
    drugs: tuple[int, int] = (2, 3)
    diseases: tuple[int, int] = (1, 2)
    mentions: tuple[int, int] = (1, 2)
    affirmed: float = 0.5
    unstated: float = 0.25
    treated: float = 0.5
    balanced: float = 0.0
    bridged: float = 0.0
    gap: tuple[int, int] = (0, 3)
    suggested: float = 0.0
    remote: bool = False
    abbreviated: float = 0.2
    aliases: float = 0.0
    distractors: tuple[int, int] = (1, 2)
    composites: float = 0.0
    unlinked: float = 0.0

    def __post_init__(self) -> None:
        for knob, least in {"drugs": 1, "diseases": 1, "mentions": 1, "gap": 0, "distractors": 0}.items():
            low, high = getattr(self, knob)
            if not least <= low <= high:
                raise InputError(f"{knob}: [{low}, {high}] is no range of numbers from {least}")
            object.__setattr__(self, knob, (low, high))  # a configuration has lists
        for knob in (each.name for each in fields(self) if isinstance(each.default, float)):
            if not 0 <= getattr(self, knob) <= 1:
                raise InputError(f"{knob}: {getattr(self, knob)} is no share between 0 and 1")
        if self.balanced and self.drugs != self.diseases:
            raise InputError(f"diseases: {self.diseases} is not drugs, {self.drugs}, as balanced needs")

    def generate(self, split: str, size: int) -> Iterator[Document]:
        """Write the first `size` documents of a split, one by one: a larger split begins with them."""
        return (self.document(split, index) for index in range(size))

    def document(self, split: str, index: int) -> Document:
        """Write one document of a split."""
        rng = Random(f"{self.seed}/{split}/{index}")  # hashed with SHA-512: the same in every process
        rows = rng.randint(*self.drugs)
        balanced = rng.random() < self.balanced
        columns = rows if balanced else rng.randint(*self.diseases)
        *drugs, reference, comparator, other = self._characters("Chemical", rows + 3, rng)
        diseases = self._characters("Disease", columns, rng)
        plan = _Plan(iter(self._characters("Gene", rows * columns + 2, rng)))
        truths = self._balanced(rows, rng) if balanced else self._truths(rows * columns, rng)
        tellings = self._tellings(truths, rng)
        regime = rng.random() < self.affirmed
        for (drug, disease), truth, telling in zip(product(drugs, diseases), truths, tellings, strict=True):
            plan.tell(telling, drug, disease, truth=regime if telling == "suggested" else truth)
        if "suggested" in tellings:
            drugs += [reference, comparator]
            roles = (reference, "reference", regime), (comparator, "comparator", not regime)
            for drug, role, truth in roles:
                plan.add("remote role" if self.remote else "role", claim=role, x=drug)
                for disease in diseases:
                    plan.tell("direct", drug, disease, truth)
        self._fill(plan, drugs, diseases, other, rng)
        title = Line("title", {"x": rng.choice(drugs), "y": rng.choice(diseases)})
        facts = sorted(plan.facts, key=lambda fact: (fact.head, fact.tail))
        return Writer(rng).document(f"{split}-{index}", title, plan.arrange(self.gap, rng), facts)

    def _characters(self, kind: str, count: int, rng: Random) -> list[Character]:
        """Draw entities, with names and abbreviations that differ."""
        characters, taken = [], {""}
        for number in rng.sample(range(number_of_names(kind) // 2), count):
            names = name(kind, 2 * number), name(kind, 2 * number + 1)
            short = abbreviation(names[0]) if rng.random() < self.abbreviated else ""
            short = "" if short in taken else short
            taken.add(short)
            known = names if rng.random() < self.aliases else names[:1]
            characters.append(Character(kind, (f"{kind[0]}{number:04d}",), known, short))
        return characters

    def _truths(self, size: int, rng: Random) -> list[bool | None]:
        """Of each pair: affirmed, denied, or not stated."""
        unstated = _share(self.unstated, size, rng)
        affirmed = _share(self.affirmed, size - unstated, rng)
        truths = [None] * unstated + [True] * affirmed + [False] * (size - unstated - affirmed)
        return rng.sample(truths, size)

    def _balanced(self, size: int, rng: Random) -> list[bool | None]:
        """A Latin square: the same in each row and column, each time in another order."""
        truths = self._truths(size, rng)
        rows, columns = rng.sample(range(size), size), rng.sample(range(size), size)
        return [truths[(row + column) % size] for row, column in product(rows, columns)]

    def _tellings(self, truths: Sequence[bool | None], rng: Random) -> list[str]:
        """How each pair is told."""
        stated = sum(truth is not None for truth in truths)
        bridged = _share(self.bridged, stated, rng)
        suggested = min(_share(self.suggested, stated, rng), stated - bridged)
        tellings = ["bridged"] * bridged + ["suggested"] * suggested
        tellings = rng.sample(tellings + ["direct"] * (stated - len(tellings)), stated)
        unstated = (rng.choices(["treated", "apart"], [self.treated, 1 - self.treated])[0] for _ in truths)
        return [next(unstated) if truth is None else tellings.pop() for truth in truths]

    def _fill(
        self,
        plan: _Plan,
        drugs: Sequence[Character],
        diseases: Sequence[Character],
        other: Character,
        rng: Random,
    ) -> None:
        """Add the sentences that claim nothing."""
        number = plan.mentions()
        for slot, meaning, characters in (("x", "drug", drugs), ("y", "disease", diseases)):
            for character in characters:
                for _ in range(number[character], rng.randint(*self.mentions)):
                    plan.lines.append(Line(meaning, {slot: character}))
        plan.lines += [Line("plain", {})] * rng.randint(*self.distractors)
        if rng.random() < self.composites and len(drugs) > 1:
            pair = rng.sample(drugs, 2)
            parts = tuple(drug.names[0] for drug in pair)
            both = Character(pair[0].type, pair[0].ids + pair[1].ids, (" and ".join(parts),), parts=parts)
            plan.lines.append(Line("composite", {"x": both}))
        if rng.random() < self.unlinked:
            plan.lines.append(Line("unlinked", {"x": Character(other.type, (), other.names[:1])}))


@dataclass
class _Plan:
    """What a document will say, in no order yet; the lines of `pairs` tell one thing together."""

    genes: Iterator[Character]
    lines: list[Line] = field(default_factory=list)
    pairs: list[tuple[Line, Line]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def tell(self, telling: str, drug: Character, disease: Character, truth: bool | None) -> None:
        self.add(telling, claim="affirm" if truth else "deny", x=drug, y=disease)
        if truth:
            self.facts.append(Fact(drug.ids[0], RELATION, disease.ids[0]))

    def add(self, telling: str, *, claim: str, **cast: Character) -> None:
        together = any("g" in slots for _, slots in _TELLINGS[telling])
        if together:
            cast["g"] = next(self.genes)
        lines = [
            Line(meaning.format(claim=claim), {slot: cast[slot] for slot in slots})
            for meaning, slots in _TELLINGS[telling]
        ]
        if together:
            self.pairs.append((lines[0], lines[1]))
        else:
            self.lines += lines

    def mentions(self) -> Counter[Character]:
        lines = self.lines + [line for pair in self.pairs for line in pair]
        return Counter(character for line in lines for character in line.cast.values())

    def arrange(self, gap: Span, rng: Random) -> list[Line]:
        """Put the lines in a random order that keeps the two of a pair at their distance."""
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
    """A share of a number, rounded at random so that the mean is exact."""
    return int(share * size + rng.random())
