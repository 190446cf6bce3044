"""No layer and no loss waits for the device: sizes travel with the batch, on the host."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from documents import LABELS, glre, odd_documents, random_documents, subwords
from glre_pyg.data.batch import collate
from glre_pyg.nn.loss import AdaptiveThreshold

DOCUMENTS = [*odd_documents(), *random_documents(4)]
aten = torch.ops.aten
WAITING = {
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.bincount, aten.is_nonzero),
    *(aten._unique2, aten.unique_consecutive, aten.unique_dim, aten.equal),
}
"""Operators whose result, or its size, has to come from the device."""


class NoWaiting(TorchDispatchMode):
    """Refuse what a device would have to be waited for, on a CPU, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = func.overloadpacket
        waits = packet in WAITING
        if packet is aten.repeat_interleave:
            waits = kwargs.get("output_size") is None
        if packet in (aten.index, aten.index_put, aten.index_put_):
            waits = any(index is not None and index.dtype == torch.bool for index in args[1])
        assert not waits, f"{func} waits for the device"
        return func(*args, **kwargs)


@pytest.fixture
def no_waiting(monkeypatch):
    def refuse(tensor, *args, **kwargs):
        raise AssertionError("a tensor is copied to the host")

    for name in ("tolist", "cpu", "numpy", "item"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    with NoWaiting():
        yield


@pytest.fixture
def batch():
    graphs = [subwords(DOCUMENTS)(LABELS.graph(each)) for each in DOCUMENTS]
    for graph in graphs:
        graph.features = torch.randn(len(graph.words), 16)  # so that only layers of this project are run
    return collate(graphs)


@pytest.mark.parametrize("layers", ["attention", "none"])
def test_a_step_waits_for_nothing(batch, layers, request):
    model = glre(subwords(DOCUMENTS), local_layer=layers, context_layer=layers, dropout=0.3)
    request.getfixturevalue("no_waiting")
    model.loss(model(batch), batch.pair_label, num_pairs=batch.pair_label.size(0)).backward()


def test_the_encoder_waits_for_nothing(batch, request):
    """The transformer itself is that of Hugging Face; what is around it is ours."""
    encoder = glre(subwords(DOCUMENTS)).encoder
    del batch.features
    width = encoder.out_channels

    class Transformer(torch.nn.Module):
        _compiled_call_impl = None

        def forward(self, input_ids, **rest):
            return type(
                "Output", (), {"last_hidden_state": input_ids[..., None].float().expand(-1, -1, width)}
            )

    encoder.transformer = Transformer()
    request.getfixturevalue("no_waiting")
    encoder(batch)


def test_the_threshold_class_waits_for_nothing(request):
    loss, labels = AdaptiveThreshold(3), torch.tensor([[0.0, 1, 1], [0, 0, 0], [-1, -1, -1]])
    logits = torch.randn(3, 4, requires_grad=True)
    request.getfixturevalue("no_waiting")
    loss(logits, labels).backward()
