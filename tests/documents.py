"""Small invented documents, their graphs, and small models, for tests."""

from functools import partial
from itertools import pairwise
from random import Random

import pytest
import torch
from omegaconf import OmegaConf
from torch_geometric.data import Batch

from glre_pyg.data.annotations import Annotations
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.labels import Labels
from glre_pyg.data.parser import Parser
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.data.word_tokenizer import WordTokenizer
from glre_pyg.models.glre import GLRE
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.context import ContextAttention, NoContext
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.encoder import TransformerEncoder, WordEmbedding
from glre_pyg.nn.local import LocalAttention, NoLocal
from glre_pyg.nn.loss import BinaryCrossEntropy
from glre_pyg.nn.nodes import NodeEncoder
from glre_pyg.nn.recurrent import BiLSTM
from glre_pyg.nn.rgcn import RGCN, NoGlobal
from glre_pyg.runs.run import Run

LABELS = Labels(relations=("causes", "treats"), types=("Chemical", "Disease", "Gene"), pair_types=None)
ONE_WAY = Labels(LABELS.relations, LABELS.types, (("Chemical", "Disease"),))
_WORDS = (
    "velorin ostamide brastol querine lumafen dexoril tarsemine fevers rash coughing tremor nausea blindness "
    "caused eased preceded followed raised lowered patients mice the a of in and after before with without dose "
    "daily weekly severe mild early late treatment symptoms receptor kinase pathway blood liver"
)
VOCABULARY = _WORDS.split()


def untrained_run(documents, *, threshold):
    """A run of a small model of their subword tokens, which was not trained."""
    torch.manual_seed(0)
    tokenizer = subwords(documents)
    dataset = {"_target_": "glre_pyg.datasets.Files", "name": "mine", "root": None, "dev_from_train": 0}
    dataset |= {"train": None, "dev": None, "test": None, "directed": True, "pair_types": None}
    dataset |= {"relations": list(LABELS.relations), "types": list(LABELS.types)}
    config = OmegaConf.create({"eval_batch_size": 4, "dataset": dataset})
    return Run(glre(tokenizer).eval(), tokenizer, LABELS, threshold, config, None)


def document(sentences, mentions=(), facts=(), *, ignored=(), name="d"):
    """A document of sentences of words with a space between any two.

    Args:
        sentences: Strings.
        mentions: (first word, one past the last word, type, *identifiers), words counted over the document.
        facts: (head, relation, tail).
        ignored: (head, tail).
        name: The document's identifier.
    """
    lines = [sentence.split() for sentence in sentences]
    words = [word for line in lines for word in line]
    starts = [sum(len(word) + 1 for word in words[:index]) for index in range(len(words))]
    spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=True))
    bounds = [sum(map(len, lines[:index])) for index in range(len(lines) + 1)]
    return Document(
        id=name,
        text=" ".join(words),
        words=spans,
        sentences=tuple(Sentence(start, end) for start, end in pairwise(bounds)),
        mentions=tuple(
            Mention(spans[start][0], spans[end - 1][1], kind, tuple(ids))
            for start, end, kind, *ids in mentions
        ),
        facts=tuple(Fact(*fact) for fact in facts),
        ignored=tuple(ignored),
    )


def two_sentences():
    """Two sentences, four mentions, three entities; "ostamide" is in both sentences."""
    return document(
        ["velorin and ostamide caused severe rash .", "ostamide eased it ."],
        [(0, 1, "Chemical", "V"), (2, 3, "Chemical", "O"), (4, 6, "Disease", "R"), (7, 8, "Chemical", "O")],
        [("V", "causes", "R"), ("O", "treats", "R")],
        name="two",
    )


def no_pair():
    """One entity, so no pair."""
    return document(["velorin eased it ."], [(0, 1, "Chemical", "V")], name="no pair")


def no_entity():
    """Sentences only; one mention has no identifier."""
    return document(["patients had fevers .", "all was well ."], [(2, 3, "Disease")], name="no entity")


def one_sentence():
    """One sentence with two entities: no edge between sentences."""
    return document(
        ["velorin caused rash ."], [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")], name="one sentence"
    )


def apart():
    """Each mention in a sentence of its own: no edge between mentions."""
    return document(
        ["velorin was given .", "rash followed ."],
        [(0, 1, "Chemical", "V"), (4, 5, "Disease", "R")],
        [("V", "causes", "R")],
        name="apart",
    )


def empty():
    """No text."""
    return Document(id="empty", text="", words=(), sentences=(), mentions=())


def odd_documents():
    """Documents that lack a kind of node, of edge, or pairs; the first has all of them."""
    return [two_sentences(), no_pair(), no_entity(), one_sentence(), apart(), empty()]


def random_document(
    seed, *, sentences=(2, 5), words=(5, 12), entities=(3, 6), facts=0.3, composites=0.2, name=None
):
    """Random words, entities with one to three mentions of one or two words, some nested or composite."""
    random = Random(f"document {seed}")
    lines = [
        [random.choice(VOCABULARY) for _ in range(random.randint(*words))]
        for _ in range(random.randint(*sentences))
    ]
    ids = [f"E{number}" for number in range(random.randint(*entities))]
    kinds = {identifier: random.choice(LABELS.types) for identifier in ids}
    mentions = []
    for identifier in ids:
        for _ in range(random.randint(1, 3)):
            line = random.randrange(len(lines))
            start = random.randrange(len(lines[line]) - 1)
            offset = sum(map(len, lines[:line])) + start
            others = [random.choice(ids)] if random.random() < composites else []
            span = (offset, offset + random.randint(1, 2))
            mentions.append((*span, kinds[identifier], *dict.fromkeys([identifier, *others])))
    pairs = [(head, tail) for head in ids for tail in ids if head != tail]
    return document(
        [" ".join(line) for line in lines],
        mentions,
        [(head, random.choice(LABELS.relations), tail) for head, tail in pairs if random.random() < facts],
        name=name or f"random {seed}",
    )


def random_documents(count, **options):
    return [random_document(seed, **options) for seed in range(count)]


def batch_of(documents, tokenizer=lambda graph: graph, labels=LABELS):
    """One batch of the graphs of documents."""
    return Batch.from_data_list([tokenizer(labels.graph(each)) for each in documents])


def by_name(logits, graph):
    """Logits of one graph by the identifiers of head and tail."""
    names = graph["entity"].id
    return {
        (names[a], names[b]): row for (a, b), row in zip(graph.pair_index.t().tolist(), logits, strict=True)
    }


def relabelled(graph, entity, mention):
    """The same graph with entity ``i`` called ``entity[i]`` and mention ``j`` called ``mention[j]``."""
    out, new = graph.clone(), {"entity": entity, "mention": mention, "sentence": None}
    for name, number in (("entity", entity), ("mention", mention)):
        for key, value in graph[name].items():
            if key == "num_nodes":
                continue
            if isinstance(value, list):
                out[name][key] = [value[index] for index in number.argsort().tolist()]
            else:
                out[name][key] = value[number.argsort()]
    for source, relation, target in graph.edge_types:
        rows = graph[source, relation, target].edge_index
        ends = [
            row if new[kind] is None else new[kind][row]
            for kind, row in zip((source, target), rows, strict=True)
        ]
        shuffle = torch.randperm(rows.size(1))
        out[source, relation, target].edge_index = torch.stack(ends)[:, shuffle]
    if "marker_index" in graph:
        token, of_mention = graph.marker_index
        out.marker_index = torch.stack([token, mention[of_mention]])
    order = torch.randperm(graph.pair_index.size(1))
    out.pair_index = entity[graph.pair_index][:, order]
    out.pair_label, out.pair_distance = graph.pair_label[order], graph.pair_distance[order]
    pair, sentence = graph.pair_evidence
    out.pair_evidence = torch.stack([order.argsort()[pair], sentence])
    return out


def random_nodes(batch, channels, *, generator=None, dtype=torch.float64):
    """A random vector for each node of a batch, by type."""
    return {
        name: torch.randn(batch[name].num_nodes, channels, generator=generator, dtype=dtype)
        for name in batch.node_types
    }


def subwords(documents, *, max_length=48, overlap=8, vocab_size=200, marker=None, **config):
    """Tokenizer of a random BERT with one narrow layer."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return SubwordTokenizer.train(
        [each.word_texts() for each in documents],
        vocab_size=vocab_size,
        config={"model_type": "bert", **sizes, **config},
        max_length=max_length,
        overlap=overlap,
        marker=marker,
    )


def vocabulary(documents, marker=None):
    """Tokenizer of the encoder without BERT."""
    words = [each.word_texts() for each in documents]
    return WordTokenizer.build(words, min_count=1, lowercase=True, vectors=None, max_vectors=None)


def invented_heads(words):
    """Head of each word of a sentence: one that its letters choose, before it or, in odd sentences, after it."""
    size = len(words)
    heads = [sum(map(ord, word)) % max(index, 1) for index, word in enumerate(words)]
    if size % 2:
        heads = [size - 1 - heads[size - 1 - index] for index in range(size)]
    return heads


def pipeline():
    """A spaCy pipeline with :func:`invented_heads`."""
    spacy = pytest.importorskip("spacy")

    @spacy.Language.component("invented_parser")
    def parse(doc):
        for token, head in zip(doc, invented_heads([token.text for token in doc]), strict=True):
            token.head = doc[head]
            token.dep_ = "ROOT" if head == token.i else f"label{len(token) % 5}"
            token.pos_ = ("NOUN", "VERB", "ADP")[len(token) % 3]
        return doc

    nlp = spacy.blank("en")
    nlp.add_pipe("invented_parser", name="parser")
    return nlp


def annotated(tokenizer, *, parse=None, **settings):
    """A tokenizer that also annotates graphs as the settings of a model ask for."""
    annotations = Annotations(Parser(pipeline(), name="invented") if parse else None, **settings)

    def prepare(graph):
        graph = tokenizer(graph)
        annotations.add([graph])
        return graph

    return prepare


def transformer(*, dropout=0.0, pooling="mean", trainable=True, max_padding=None):
    return partial(
        TransformerEncoder,
        pooling=pooling,
        trainable=trainable,
        dropout=dropout,
        attention_dropout=dropout,
        mask_rate=0.0,
        frozen=None,
        max_tokens=None,
        max_padding=max_padding,
        gradient_checkpointing=False,
        compile=None,
    )


def bilstm(*, dropout=0.0):
    base = partial(WordEmbedding, channels=16, trainable=True)
    return partial(BiLSTM, base=base, hidden_channels=8, num_layers=1, dropout=dropout)


def glre(
    tokenizer,
    *,
    encoder=None,
    global_layer="rgcn",
    local_layer="attention",
    context_layer="attention",
    query="global",
    na_column=False,
    dropout=0.0,
    bilinear=False,
):
    """A narrow GLRE whose layers are named as in ``conf/layer``."""
    layers = {
        "rgcn": partial(
            RGCN,
            out_channels=16,
            num_layers=2,
            dropout_in=dropout,
            dropout=dropout,
            norm="relation",
            message_bias=False,
            self_loops=False,
        ),
        "local": partial(LocalAttention, heads=2, dropout=dropout),
        "context": partial(ContextAttention, diagonal=False, scaled=False),
    }
    if encoder is None:
        encoder = (
            transformer(dropout=dropout)
            if isinstance(tokenizer, SubwordTokenizer)
            else bilstm(dropout=dropout)
        )
    return GLRE(
        tokenizer,
        len(LABELS.relations),
        encoder=encoder,
        nodes=partial(NodeEncoder, hidden_channels=16, type_channels=4),
        global_layer=layers["rgcn"] if global_layer == "rgcn" else NoGlobal,
        local_layer=layers["local"] if local_layer == "attention" else NoLocal,
        distance=partial(DistanceEmbedding, channels=4, num_bins=20, zero_is_fixed=False),
        context_layer=layers["context"] if context_layer == "attention" else NoContext,
        classifier=partial(Classifier, hidden_channels=16, num_hidden=1, dropout=dropout),
        query=query,
        loss=partial(BinaryCrossEntropy, reduction="mean", na_column=na_column, na_keep=1.0),
        bilinear=bilinear,
    )
