"""Names and sentences of the synthetic documents of :mod:`glre_pyg.datasets.generator`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from glre_pyg.data.document import Document, Fact, Mention, Sentence, Span

# Sentences by meaning. {x} is a chemical, {y} a disease, {g} a gene; the others are keys of FILLERS.
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
    "composite": ("The label lists {x} as alternatives.", "Tablets of {x} were stored at room temperature."),
    "unlinked": ("The carrier {x} was inert.", "Traces of {x} were removed before use."),
}
FILLERS: Mapping[str, tuple[str, ...]] = {
    "n": ("two", "three", "six", "eight", "12", "14", "21", "30", "45"),
    "dose": ("0.5 mg", "2.5 mg/kg", "10 mg", "40 mg/day", "0.1 g"),
    "route": ("i.v.", "i.p.", "orally", "twice daily"),
    "p": ("0.01", "0.03", "0.2", "0.7"),
}
# A name is composed of one part from each line.
NAMES: Mapping[str, tuple[str, ...]] = {
    "Chemical": (
        "vel,mor,quil,bren,zan,pel,drav,fos,kel,lum,nor,rab,sil,tam,ux,wil,yer,cab,dul,gor",
        "otra,emi,ufa,igo,avu,ezo,ylo,upri,ansa,olve,idu,esta,ona,ubi,arga,iro,etu,aste,omi,ulca",
        "nib,zole,mide,cept,stat,pram,zine,done,lide,vir,tane,xin",
    ),
    "Disease": (
        ",acute ,focal ,late ",
        "corv,tarv,dreb,mulg,brand,fesc,gland,hurp,jund,krov,lemb,nisk,porl,rusk,sterv,trob,vask",
        "el,and,or,ub,im,esk,ilt,ock,urn,am",
        "itis,osis,algia,emia,opathy,plegia,oma,edema",
    ),
    "Gene": (
        "bal,cre,dor,fim,gur,hep,jal,kip,lor,mun,pra,ros,sul,tev,wun,zer",
        "vo,la,mi,ru,so,ti,ne,pho,du,ga",
        "kinase,lysin,ferase,globin,ceptor,lectin,reductase,synthase",
    ),
}
_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[a-z](?:\.[a-z])+\.|\d+(?:\.\d+)?|\w+|[^\w\s]")


@dataclass(frozen=True)
class Actor:
    """Something that a document mentions.

    Args:
        type: Entity type.
        ids: Identifiers: one, several for a composite mention, none if it is not linked.
        names: Names, used in turn.
        abbreviation: Abbreviation, introduced with the first name and then used in its place; may be empty.
        parts: Names of the parts of a composite mention.
    """

    type: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    abbreviation: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A sentence to write: a key of :data:`TEMPLATES`, and the actor for each slot of the template."""

    meaning: str
    cast: Mapping[str, Actor]


class Writer:
    """Writer of a document, which records words, sentences and mentions.

    Args:
        rng: Random number generator that selects templates and fillers.
    """

    def __init__(self, rng: Random) -> None:
        self._rng, self._text = rng, ""
        self._words: list[Span] = []
        self._sentences: list[Sentence] = []
        self._mentions: list[Mention] = []
        self._seen: Counter[Actor] = Counter()

    def document(self, id: str, title: Line, lines: Iterable[Line], facts: Iterable[Fact]) -> Document:
        """Write a whole document."""
        self._write(title)
        end = len(self._text)
        for line in lines:
            self._text += " "
            self._write(line)
        return Document(
            id=id,
            text=self._text,
            words=tuple(self._words),
            sentences=tuple(self._sentences),
            mentions=tuple(self._mentions),
            facts=tuple(facts),
            sections=((0, end), (end + 1, len(self._text))),
        )

    def _write(self, line: Line) -> None:
        start, first = len(self._text), len(self._words)
        parts = _SLOT.split(self._rng.choice(TEMPLATES[line.meaning]))
        for literal, slot in zip(parts[::2], [*parts[1::2], ""], strict=True):
            self._text += literal
            if slot in line.cast:
                self._name(line.cast[slot])
            elif slot:
                self._text += self._rng.choice(FILLERS[slot])
        self._text = self._text[:start] + self._text[start].upper() + self._text[start + 1 :]
        self._words.extend(match.span() for match in _WORD.finditer(self._text, start))
        self._sentences.append(Sentence(first, len(self._words)))

    def _name(self, actor: Actor) -> None:
        turn, short = self._seen[actor], actor.abbreviation
        self._seen[actor] += 1
        name = actor.names[turn % len(actor.names)]
        self._mention(short if turn and short and name == actor.names[0] else name, actor)
        if short and not turn:
            self._text += " ("
            self._mention(short, actor)
            self._text += ")"

    def _mention(self, name: str, actor: Actor) -> None:
        start = len(self._text)
        self._text += name
        self._mentions.append(Mention(start, len(self._text), actor.type, actor.ids, actor.parts))


def number_of_names(kind: str) -> int:
    """Return the number of names of an entity type."""
    return math.prod(len(parts.split(",")) for parts in NAMES[kind])


def name(kind: str, number: int) -> str:
    """Return the name with a number; names are distinct, and those of neighbouring numbers dissimilar."""
    text, rest = "", number * 7919 % number_of_names(kind)  # 7919 is prime and divides no number of names
    for parts in reversed(NAMES[kind]):
        choices = parts.split(",")
        rest, choice = divmod(rest, len(choices))
        text = choices[choice] + text
    return text


def abbreviation(name: str) -> str:
    """Return the first three consonants of the last word of a name, in capitals."""
    return "".join(letter for letter in name.split()[-1] if letter not in "aeiouy")[:3].upper()
