"""The graphs of a corpus as a dataset of PyG: built once, loaded as weights alone, and ready for its models."""

from dataclasses import replace

import pytest
import torch
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.loader import DataLoader
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.transforms import ToUndirected

from documents import two_sentences
from glre_pyg import DocumentDataset
from glre_pyg.datasets import Synthetic
from glre_pyg.formats.detection import write_documents
from glre_pyg.utils.exceptions import InputError

SMALL = ["dataset.sizes={train: 6, dev: 4, test: 2}"]


def dataset(root, split="train", **given):
    return DocumentDataset(root, "synthetic", split, overrides=SMALL, **given)


def equal(one, other):
    return one.words == other.words and all(
        torch.equal(edges, other.edge_index_dict[key]) for key, edges in one.edge_index_dict.items()
    )


@pytest.mark.filterwarnings("error:.*[Ww]eights.only")
def test_is_built_once_and_loaded_with_weights_only(tmp_path, monkeypatch):
    first = dataset(tmp_path)
    monkeypatch.setattr(Synthetic, "documents", None)  # would fail now
    again = dataset(tmp_path)
    assert repr(again) == "DocumentDataset(synthetic, train, 6)"
    assert again.labels == Synthetic.labels
    assert all(map(equal, first, again))


def test_graphs_are_those_of_the_corpus_in_each_split(tmp_path):
    sizes = {"train": 6, "dev": 4, "test": 2}
    for split, size in sizes.items():
        graphs = dataset(tmp_path, split)
        documents = graphs._corpus().documents(split)
        assert len(graphs) == size
        assert all(
            equal(one, graphs.labels.graph(other)) for one, other in zip(graphs, documents, strict=True)
        )


def test_other_settings_have_a_folder_of_their_own(tmp_path):
    assert len(dataset(tmp_path)) == 6
    assert len(DocumentDataset(tmp_path, "synthetic", "train", overrides=["dataset.sizes.train=3"])) == 3
    assert len(dataset(tmp_path)) == 6


@pytest.mark.filterwarnings("ignore:The `pre_")
def test_transforms_and_filter(tmp_path):
    def twice(graph):
        graph.number = 2 * graph["number"] if "number" in graph else 1
        return graph

    graphs = dataset(
        tmp_path, pre_transform=twice, transform=twice, pre_filter=lambda graph: graph.id != "train-0"
    )
    assert [graph.id for graph in graphs] == [f"train-{number}" for number in range(1, 6)]
    assert [graph.number for graph in graphs] == [2] * 5
    assert len(dataset(tmp_path)) == 5
    assert len(dataset(tmp_path, force_reload=True)) == 6


def test_files_of_ones_own(tmp_path):
    document = replace(two_sentences(), id="mine")
    write_documents([document], tmp_path / "mine.jsonl")
    overrides = [f"dataset.{split}={tmp_path / 'mine.jsonl'}" for split in ("train", "test")]
    [graph] = DocumentDataset(tmp_path / "graphs", "jsonl", overrides=overrides)
    assert (graph.id, graph.words) == ("mine", document.word_texts())


@pytest.mark.parametrize(
    ("name", "split", "overrides", "line"),
    [
        ("cdrr", "train", [], "dataset: 'cdrr' is not one of .*did you mean cdr\\?"),
        ("cdr", "validation", [], "split: 'validation' is not one of train, dev, test"),
        ("cdr", "train", ["dataset.protcol=x"], "dataset.protcol: no such .*mean dataset.protocol\\?$"),
        ("cdr", "train", ["dataset.protocol=x"], "dataset.protocol: 'x' is not one of eog"),
        ("jsonl", "train", [], "dataset.test: is required"),
        ("synthetic", "dev", ["dataset.sizes.dev=0"], "synthetic: dev has no documents"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, name, split, overrides, line):
    with pytest.raises(InputError, match=line):
        DocumentDataset(tmp_path, name, split, overrides=overrides)
    with pytest.raises(InputError, match=line):  # nothing half-written is left behind
        DocumentDataset(tmp_path, name, split, overrides=overrides)


# PyG's models


class Classifier(torch.nn.Module):
    """Scores of pairs from messages over the edges."""

    def __init__(self, metadata):
        super().__init__()
        self.convolution = HeteroConv({key: SAGEConv((-1, -1), 4) for key in metadata[1]})

    def forward(self, x, edge_index, pair_index):
        entity = self.convolution(x, edge_index)["entity"]
        return (entity[pair_index[0]] * entity[pair_index[1]]).sum(-1, keepdim=True)


def with_features(graph):
    for name in graph.node_types:
        graph[name].x = torch.linspace(0, 1, 3 * graph[name].num_nodes).view(-1, 3)
    return ToUndirected()(graph)


def test_link_prediction_and_explanation(tmp_path):
    graphs = dataset(tmp_path, pre_transform=with_features)
    model = Classifier(graphs[0].metadata())
    batch = next(iter(DataLoader(graphs, batch_size=6)))
    logits = model(batch.x_dict, batch.edge_index_dict, batch.pair_index)
    assert logits.shape == batch.pair_label.shape
    torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.pair_label).backward()
    into = model.convolution.convs["mention", "refers_to", "entity"]
    assert all(each.grad is not None for each in into.parameters())
    config = {"mode": "binary_classification", "task_level": "edge", "return_type": "raw"}
    explainer = Explainer(
        model, GNNExplainer(epochs=2), explanation_type="model", node_mask_type="object", model_config=config
    )
    graph = graphs[0]
    explained = explainer(graph.x_dict, graph.edge_index_dict, pair_index=graph.pair_index, index=0)
    assert explained["mention"].node_mask.shape == (graph["mention"].num_nodes, 1)
