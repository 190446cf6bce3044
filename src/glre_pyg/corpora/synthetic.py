"""Invented abstracts on chemicals that do or do not induce diseases: section 4.1's task without its data.

The names, the identifiers and the facts are made up; whether a pair is a fact can only be read in the text.
The knobs of :class:`SyntheticCorpus` make documents that one layer of the model can solve and the others not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations, product
from random import Random

from glre_pyg.document import Document, Fact, Mention, Sentence, Span

RELATION = "CID"

# What sentences say, by their meaning. {x} is a chemical, {y} a disease, {g} a gene; see FILLERS for the rest.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "title": (
        "Side effects of {x}: a report of {n} cases.",
        "The safety of {x} in adults.",
        "A study of {y} in rats.",
        "{y} in clinical practice.",
        "A controlled trial in {n} patients.",
    ),
    "affirm": (
        "{x} caused {y} in {n} patients.",
        "Treatment with {x} {route} led to {y}.",
        "{y} was induced by {x} at {dose}.",
        "{n} patients developed {y} because of {x}.",
        "{x} at {dose} produced severe {y} in rats.",
        "Exposure to {x} resulted in {y} (p = {p}).",
        "We attribute {y} to {x}, which was stopped on day {n}.",
        "{y} was a direct effect of {x}, e.g. in older patients.",
    ),
    "deny": (
        "{x} did not cause {y} in any of the {n} patients.",
        "Treatment with {x} {route} never led to {y}.",
        "{y} was not induced by {x} at {dose}.",
        "None of the {n} patients developed {y} because of {x}.",
        "{x} at {dose} produced no {y} in rats.",
        "Exposure to {x} did not result in {y} (p = {p}).",
        "We do not attribute {y} to {x}, which was continued after day {n}.",
        "{y} was not an effect of {x}, e.g. in older patients.",
    ),
    "treat": (
        "{x} was given {route} to {n} patients with {y}.",
        "Patients with known {y} received {x} at {dose}.",
        "{x} is widely prescribed in {y}, e.g. at {dose}.",
        "{y} was the reason to start {x} in {n} patients.",
        "We studied {x} {route} in rats with {y}.",
        "A history of {y} is common among users of {x}.",
    ),
    "suggest": (
        "Signs of {y} were recorded during {x}.",
        "{n} reports of {y} came from the {x} group.",
        "{x} at {dose} and {y} occurred together.",
        "{y} was observed in {n} patients on {x}.",
        "A link between {x} and {y} was suspected.",
        "{x} {route} was temporally associated with {y}.",
    ),
    "reference": (
        "{x} was the reference drug of the trial.",
        "As the reference drug we used {x} at {dose}.",
        "{x} {route} served as the reference drug.",
    ),
    "comparator": (
        "{x} was the second drug of the trial.",
        "As the second drug we used {x} at {dose}.",
        "{x} {route} served as the second drug.",
    ),
    "reference target": (
        "{g} was the reference target of the trial.",
        "As the reference target we used {g} from rats.",
        "{g} served as the reference target.",
    ),
    "comparator target": (
        "{g} was the second target of the trial.",
        "As the second target we used {g} from rats.",
        "{g} served as the second target.",
    ),
    "block": (
        "{x} blocks {g} at {dose}.",
        "{g} is inhibited by {x}.",
        "{x} {route} lowered the activity of {g} by {n} percent.",
        "The main target of {x} is {g}.",
    ),
    "gene affirm": (
        "Loss of {g} causes {y} in mice.",
        "Low activity of {g} leads to {y}.",
        "{y} is induced by a lack of {g} (p = {p}).",
        "Mice without {g} develop severe {y}.",
    ),
    "gene deny": (
        "Loss of {g} does not cause {y} in mice.",
        "Low activity of {g} never leads to {y}.",
        "{y} is not induced by a lack of {g} (p = {p}).",
        "Mice without {g} develop no {y}.",
    ),
    "drug": (
        "{x} was given {route} at {dose} for {n} days.",
        "Plasma levels of {x} were measured after {n} hours.",
        "The dose of {x} was {dose} in all subjects.",
        "{x} was dissolved in saline (0.9 percent).",
        "The half-life of {x} was {n} hours.",
        "{x} was supplied as tablets of {dose}.",
    ),
    "disease": (
        "{y} was graded by two readers.",
        "The severity of {y} was scored on day {n}.",
        "{y} was confirmed by biopsy in {n} patients.",
        "The diagnosis of {y} followed current guidelines, e.g. those of {n} centres.",
        "We looked for {y} every {n} days.",
        "{y} was assessed with a standard scale.",
    ),
    "plain": (
        "Blood was drawn every {n} hours.",
        "The protocol was approved by the local ethics committee.",
        "Groups were compared with a t test (p = {p}).",
        "Saline was infused i.v. at 0.5 ml per minute.",
        "All subjects gave written consent.",
        "Body weight was recorded on day {n}, i.e. before the last dose.",
        "Further studies are needed.",
        "Data from {n} centres were pooled.",
    ),
    "composite": (
        "The label lists {both} as alternatives.",
        "Tablets of {both} were stored at room temperature.",
    ),
    "unlinked": ("The carrier {other} was inert.", "Traces of {other} were removed before use."),
}
FILLERS: Mapping[str, tuple[str, ...]] = {
    "n": ("two", "three", "six", "eight", "12", "14", "21", "30", "45"),
    "dose": ("0.5 mg", "2.5 mg/kg", "10 mg", "40 mg/day", "0.1 g"),
    "route": ("i.v.", "i.p.", "orally", "twice daily"),
    "p": ("0.01", "0.03", "0.2", "0.7"),
}
# Names are one choice from each tuple.
NAMES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Chemical": (
        tuple("vel mor quil bren zan pel drav fos kel lum nor rab sil tam ux wil yer cab dul gor".split()),
        tuple(
            "otra emi ufa igo avu ezo ylo upri ansa olve idu esta ona ubi arga iro etu aste omi ulca".split()
        ),
        tuple("nib zole mide cept stat pram zine done lide vir tane xin".split()),
    ),
    "Disease": (
        ("", "acute ", "focal ", "late "),
        tuple(
            "corv tarv dreb mulg brand fesc gland hurp jund krov lemb nisk porl rusk sterv trob vask".split()
        ),
        tuple("el and or ub im esk ilt ock urn am".split()),
        tuple("itis osis algia emia opathy plegia oma edema".split()),
    ),
    "Gene": (
        tuple("bal cre dor fim gur hep jal kip lor mun pra ros sul tev wun zer".split()),
        tuple("vo la mi ru so ti ne pho du ga".split()),
        tuple("kinase lysin ferase globin ceptor lectin reductase synthase".split()),
    ),
}
_SLOT_TYPES = {"x": "Chemical", "y": "Disease", "g": "Gene"}
_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[a-z](?:\.[a-z])+\.|\d+(?:\.\d+)?|\w+|[^\w\s]")


@dataclass(frozen=True)
class _Entity:
    id: str
    type: str
    names: tuple[str, ...]
    abbreviation: str = ""


@dataclass(frozen=True)
class _Line:
    """A sentence to be written: what it means and whom it is about."""

    meaning: str
    about: tuple[_Entity, ...] = ()


@dataclass
class _Plan:
    """The sentences of a document before they are put in order; two of a pair together tell one thing."""

    lines: list[_Line] = field(default_factory=list)
    pairs: list[tuple[_Line, _Line]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def add(self, meaning: str, *about: _Entity) -> None:
        self.lines.append(_Line(meaning, about))

    def mentions(self) -> Counter[_Entity]:
        return Counter(entity for line in [*self.lines, *sum(self.pairs, ())] for entity in line.about)


@dataclass(frozen=True, kw_only=True)
class SyntheticCorpus:
    """Documents that a seed, a split's name and these knobs determine.

    The candidates are all pairs of a chemical and a disease; their one relation is ``"CID"``, chemical-induced
    disease. Whether a pair is a fact depends on no name, position or number of mentions, only on what the
    sentences say. A *stated* pair is told by one of these:

    - *direct*: one sentence affirms or denies it ("X caused Y", "X did not cause Y");
    - *bridged*: one sentence says that X blocks a gene, another what the gene's loss causes or does not cause;
    - *suggested*: one sentence leaves it open ("Y was observed in patients on X"). It is a fact if and only if
      the document's reference drug caused the diseases. A second drug did the opposite of the reference drug,
      so that only who is the reference drug tells the two kinds of documents apart.

    A range is ``(lowest, highest)``, drawn for each document; a share is rounded at random for each document.

    Args:
        seed: Another seed, other documents.
        drugs: Range: chemicals of a document, those of `suggested` not counted.
        diseases: Range: diseases of a document.
        mentions: Range: an entity is in at least this many sentences; sentences that claim nothing fill up.
        affirmed: Share of the stated pairs that are facts. For suggested pairs, the share of such documents.
        unstated: Share of the pairs that no sentence states; never facts.
        treated: Share of the unstated pairs that one sentence names together ("X was given to patients with Y").
            Otherwise each of the two gets a sentence of its own.
        balanced: Every chemical and every disease of a document has the same number of affirmed, of denied and of
            unstated pairs: no entity by itself tells anything. Needs ``drugs == diseases``; one number is drawn
            for both.
        bridged: Share of the stated pairs that are bridged.
        gap: Range: sentences between the two parts of what is told in two parts. Sentences that tell nothing are
            added where there is no room.
        suggested: Share of the stated pairs that are suggested. Documents with such a pair have two more drugs.
        remote: The reference drug is known only through its target: one sentence says that X blocks a gene,
            another that the gene is the reference target.
        abbreviated: Share of the entities that are introduced with an abbreviation and then called by it.
        aliases: Share of the entities that go by two names in turn, which the text never links.
        distractors: Range: sentences without any mention.
        composites: Share of the documents with a mention that refers to two chemicals.
        unlinked: Share of the documents with a mention that refers to no known entity.

    Raises:
        ValueError: If a range is empty, a share is not in [0, 1], or `balanced` gets two different ranges.
    """

    seed: int = 0
    drugs: tuple[int, int] = (2, 3)
    diseases: tuple[int, int] = (1, 2)
    mentions: tuple[int, int] = (1, 2)
    affirmed: float = 0.5
    unstated: float = 0.25
    treated: float = 0.5
    balanced: bool = False
    bridged: float = 0.1
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
                raise ValueError(f"{knob}: [{low}, {high}] is no range of numbers from {least}")
            object.__setattr__(self, knob, (low, high))  # a configuration gives lists
        for knob in (each.name for each in fields(self) if isinstance(each.default, float)):
            if not 0 <= getattr(self, knob) <= 1:
                raise ValueError(f"{knob}: {getattr(self, knob)} is no share between 0 and 1")
        if self.balanced and self.drugs != self.diseases:
            raise ValueError(f"diseases: balanced needs as many as drugs, {self.drugs}, not {self.diseases}")

    def generate(self, split: str, size: int) -> Iterator[Document]:
        """Write the first `size` documents of a split, one by one; a larger split begins with the smaller one."""
        return (self.document(split, index) for index in range(size))

    def document(self, split: str, index: int) -> Document:
        """Write one document of a split."""
        rng = Random(f"{self.seed}/{split}/{index}")  # hashed with SHA-512: the same in every process
        plan, rows = _Plan(), rng.randint(*self.drugs)
        columns = rows if self.balanced else rng.randint(*self.diseases)
        *drugs, reference, comparator, other = self._cast("Chemical", rows + 3, rng)
        diseases = self._cast("Disease", columns, rng)
        genes = iter(self._cast("Gene", rows * columns + 2, rng))
        truths = self._truths(rows, columns, rng)
        tellings = self._tellings(sum(truth is not None for truth in truths), rng)
        regime = rng.random() < self.affirmed
        for (drug, disease), truth in zip(product(drugs, diseases), truths, strict=True):
            if truth is None:
                self._leave_open(plan, drug, disease, rng)
            else:
                _tell(plan, next(tellings), drug, disease, truth, regime, genes)
        if any(line.meaning == "suggest" for line in plan.lines):
            drugs += [reference, comparator]
            self._add_references(plan, (reference, comparator), diseases, regime, genes)
        self._fill(plan, drugs, diseases, other, rng)
        title = _Line("title", (rng.choice(drugs), rng.choice(diseases)))
        return _write(f"{split}-{index}", title, _arrange(plan, self.gap, rng), plan.facts, rng)

    def _cast(self, kind: str, count: int, rng: Random) -> list[_Entity]:
        """Draw entities with their names and abbreviations, which differ within a document."""
        cast, taken = [], {""}
        for number in rng.sample(range(_number_of_names(kind) // 2), count):
            names = (_name(kind, 2 * number), _name(kind, 2 * number + 1))
            short = _abbreviation(names[0]) if rng.random() < self.abbreviated else ""
            short = "" if short in taken else short
            taken.add(short)
            known = names if rng.random() < self.aliases else names[:1]
            cast.append(_Entity(f"{kind[0]}{number:04d}", kind, known, short))
        return cast

    def _truths(self, rows: int, columns: int, rng: Random) -> list[bool | None]:
        """For each pair: affirmed, denied, or not stated."""
        size = columns if self.balanced else rows * columns
        unstated = _share(self.unstated, size, rng)
        affirmed = _share(self.affirmed, size - unstated, rng)
        truths = [None] * unstated + [True] * affirmed + [False] * (size - unstated - affirmed)
        rng.shuffle(truths)
        if not self.balanced:
            return truths
        first, second = rng.sample(range(size), size), rng.sample(range(size), size)
        return [truths[(i + j) % size] for i, j in product(first, second)]  # a Latin square

    def _tellings(self, stated: int, rng: Random) -> Iterator[str]:
        bridged = _share(self.bridged, stated, rng)
        suggested = _share(self.suggested, stated - bridged, rng) if self.bridged < 1 else 0
        tellings = ["bridged"] * bridged + ["suggested"] * suggested
        tellings += ["direct"] * (stated - len(tellings))
        return iter(rng.sample(tellings, stated))

    def _leave_open(self, plan: _Plan, drug: _Entity, disease: _Entity, rng: Random) -> None:
        """As many mentions as a stated pair has: their number tells nothing."""
        if rng.random() < self.treated:
            plan.add("treat", drug, disease)
        else:
            plan.add("drug", drug)
            plan.add("disease", disease)

    def _add_references(
        self,
        plan: _Plan,
        drugs: Sequence[_Entity],
        diseases: Iterable[_Entity],
        regime: bool,
        genes: Iterator[_Entity],
    ) -> None:
        for drug, role, truth in zip(drugs, ("reference", "comparator"), (regime, not regime), strict=True):
            for disease in diseases:
                _tell(plan, "direct", drug, disease, truth, regime, genes)
            if self.remote:
                gene = next(genes)
                plan.pairs.append((_Line("block", (drug, gene)), _Line(f"{role} target", (gene,))))
            else:
                plan.add(role, drug)

    def _fill(
        self,
        plan: _Plan,
        drugs: Sequence[_Entity],
        diseases: Sequence[_Entity],
        other: _Entity,
        rng: Random,
    ) -> None:
        """Add the sentences that claim nothing."""
        number = plan.mentions()
        for meaning, entities in (("drug", drugs), ("disease", diseases)):
            for entity in entities:
                for _ in range(number[entity], rng.randint(*self.mentions)):
                    plan.add(meaning, entity)
        for _ in range(rng.randint(*self.distractors)):
            plan.add("plain")
        if rng.random() < self.composites and len(drugs) > 1:
            plan.add("composite", *rng.sample(drugs, 2))
        if rng.random() < self.unlinked:
            plan.add("unlinked", other)


def _tell(
    plan: _Plan,
    telling: str,
    drug: _Entity,
    disease: _Entity,
    truth: bool,
    regime: bool,
    genes: Iterator[_Entity],
) -> None:
    claim = "affirm" if truth else "deny"
    if telling == "suggested":
        plan.add("suggest", drug, disease)
        truth = regime
    elif telling == "bridged":
        gene = next(genes)
        plan.pairs.append((_Line("block", (drug, gene)), _Line(f"gene {claim}", (gene, disease))))
    else:
        plan.add(claim, drug, disease)
    if truth:
        plan.facts.append(Fact(drug.id, RELATION, disease.id))


def _arrange(plan: _Plan, gap: Span, rng: Random) -> list[_Line]:
    """Put sentences in a random order that keeps the two of a pair at their distance."""
    slots: list[_Line | None] = [None] * (len(plan.lines) + 2 * len(plan.pairs))
    for pair in rng.sample(plan.pairs, len(plan.pairs)):
        places = _places(slots, gap)
        if not places:
            slots += [None] * (gap[0] + 2)
            places = _places(slots, gap)
        for place, line in zip(rng.choice(places), rng.sample(pair, 2), strict=True):
            slots[place] = line
    lines = plan.lines + [_Line("plain")] * (slots.count(None) - len(plan.lines))
    rest = iter(rng.sample(lines, len(lines)))
    return [line or next(rest) for line in slots]


def _places(slots: Sequence[_Line | None], gap: Span) -> list[Span]:
    free = [place for place, line in enumerate(slots) if line is None]
    return [(first, last) for first, last in combinations(free, 2) if gap[0] < last - first <= gap[1] + 1]


def _write(id: str, title: _Line, lines: Iterable[_Line], facts: Iterable[Fact], rng: Random) -> Document:
    """Put the sentences into words."""
    writer = _Writer(rng)
    writer.write(title)
    end = len(writer.text)
    for line in lines:
        writer.write(line)
    return Document(
        id=id,
        text=writer.text,
        words=tuple(writer.words),
        sentences=tuple(writer.sentences),
        mentions=tuple(writer.mentions),
        facts=tuple(sorted(facts, key=lambda fact: (fact.head, fact.tail))),
        sections=((0, end), (end + 1, len(writer.text))),
    )


class _Writer:
    """Text, words, sentences and mentions of a document that is being written."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.text = rng, ""
        self.words: list[Span] = []
        self.sentences: list[Sentence] = []
        self.mentions: list[Mention] = []
        self._seen: Counter[_Entity] = Counter()

    def write(self, line: _Line) -> None:
        """Add a sentence."""
        self.text += " " if self.text else ""
        start, first = len(self.text), len(self.words)
        parts = _SLOT.split(self.rng.choice(TEMPLATES[line.meaning]))
        for literal, slot in zip(parts[::2], [*parts[1::2], ""], strict=True):
            self.text += literal
            self._fill(slot, line.about)
        self.text = self.text[:start] + self.text[start].upper() + self.text[start + 1 :]
        spans = (match.span() for match in _WORD.finditer(self.text, start))
        self.words.extend(spans)
        self.sentences.append(Sentence(first, len(self.words)))

    def _fill(self, slot: str, about: tuple[_Entity, ...]) -> None:
        if slot in _SLOT_TYPES:
            self._name(next(entity for entity in about if entity.type == _SLOT_TYPES[slot]))
        elif slot == "both":
            names = tuple(entity.names[0] for entity in about)
            self._mention(" and ".join(names), "Chemical", tuple(entity.id for entity in about), names)
        elif slot == "other":
            self._mention(about[0].names[0], about[0].type, ())
        elif slot:
            self.text += self.rng.choice(FILLERS[slot])

    def _name(self, entity: _Entity) -> None:
        """Call an entity by its full name and abbreviation at first, later by one of them or by its alias."""
        turn, short = self._seen[entity], entity.abbreviation
        self._seen[entity] += 1
        name = entity.names[turn % len(entity.names)]
        if turn and short and name == entity.names[0]:
            name = short
        self._mention(name, entity.type, (entity.id,))
        if not turn and short:
            self.text += " ("
            self._mention(short, entity.type, (entity.id,))
            self.text += ")"

    def _mention(self, name: str, kind: str, ids: tuple[str, ...], names: tuple[str, ...] = ()) -> None:
        start = len(self.text)
        self.text += name
        self.mentions.append(Mention(start, len(self.text), kind, ids, names))


def _share(share: float, size: int, rng: Random) -> int:
    """A share of a number, rounded at random so that the mean is exact."""
    return int(share * size + rng.random())


def _number_of_names(kind: str) -> int:
    number = 1
    for choices in NAMES[kind]:
        number *= len(choices)
    return number


def _name(kind: str, number: int) -> str:
    """The name of a number; neighbours have names that are nothing alike."""
    name, number = "", number * 7919 % _number_of_names(kind)  # 7919 is prime: no two numbers share a name
    for choices in reversed(NAMES[kind]):
        number, choice = divmod(number, len(choices))
        name = choices[choice] + name
    return name


def _abbreviation(name: str) -> str:
    return "".join(letter for letter in name.split()[-1] if letter not in "aeiouy")[:3].upper()
