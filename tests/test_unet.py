"""The U-shaped network of DocuNet against plain loops, and the order of entities that it sees."""

import pytest
import torch

from documents import LABELS, batch_of, odd_documents, random_documents
from glre_pyg.nn.mention_features import entity_numbers
from glre_pyg.nn.unet import UNet

DOCUMENTS = [*odd_documents(), *random_documents(6)]


def convolved(layers, cells):
    """Two convolutions over 3 x 3 cells [E, E, d], with ReLU."""
    for layer in (layers[0], layers[2]):
        size, out = len(cells), []
        for row in range(size):
            for column in range(size):
                total = layer.bias
                for i in range(max(row - 1, 0), min(row + 2, size)):
                    for j in range(max(column - 1, 0), min(column + 2, size)):
                        total = total + layer.weight[:, :, i - row + 1, j - column + 1] @ cells[i, j]
                out.append(total.relu())
        cells = torch.stack(out).view(size, size, -1)
    return cells


def halved(cells):
    half = range(0, len(cells), 2)
    return torch.stack([torch.stack([cells[i : i + 2, j : j + 2].amax((0, 1)) for j in half]) for i in half])


def doubled(layer, cells):
    out = torch.zeros(2 * len(cells), 2 * len(cells), layer.out_channels)
    for i in range(len(out)):
        for j in range(len(out)):
            out[i, j] = cells[i // 2, j // 2] @ layer.weight[:, :, i % 2, j % 2] + layer.bias
    return out


@pytest.mark.parametrize("size", [1, 4, 6])
def test_network_against_loops(size):
    torch.manual_seed(0)
    layer = UNet(3, out_channels=2)
    matrix = torch.randn(size, size, 3)
    padded = torch.zeros(size + -size % 4, size + -size % 4, 3)
    padded[:size, :size] = matrix
    with torch.no_grad():
        first = convolved(layer.down[0], padded)
        second = convolved(layer.down[1], halved(first))
        third = convolved(layer.down[2], halved(second))
        second = convolved(layer.merge[1], torch.cat([second, doubled(layer.up[1], third)], dim=-1))
        first = convolved(layer.merge[0], torch.cat([first, doubled(layer.up[0], second)], dim=-1))
        torch.testing.assert_close(layer(matrix), first[:size, :size])


def test_entities_are_numbered_by_their_first_mention_and_permuted_for_training():
    batch = batch_of(DOCUMENTS)
    found, permuted = entity_numbers(batch, permuted=False), entity_numbers(batch, permuted=True)
    orders, start = set(), 0
    for each in DOCUMENTS:
        graph = LABELS.graph(each)
        mention, entity = graph["mention", "refers_to", "entity"].edge_index.tolist()
        first = {}
        for m, e in zip(mention, entity, strict=True):
            first[e] = min(first.get(e, len(graph.words)), int(graph["mention"].span[m, 0]))
        ranks = sorted(set(first.values()))
        end = start + graph["entity"].num_nodes
        assert found[start:end].tolist() == [ranks.index(first[e]) for e in range(end - start)]
        rows = dict(zip(found[start:end].tolist(), permuted[start:end].tolist(), strict=True))
        assert sorted(rows.values()) == sorted(rows)
        assert [rows[rank] for rank in found[start:end].tolist()] == permuted[start:end].tolist()
        orders.add(all(rank == row for rank, row in rows.items()))
        start = end
    assert False in orders
