"""Low-rank adaptation: what it computes, what is trained, and what it merges to."""

import pytest
import torch
from torch import nn

from documents import LABELS, random_documents, subwords
from glre_pyg.data.batch import collate
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.nn.lora import LoRALinear, add_lora, merge_lora
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = random_documents(3)


def encoder(**settings):
    torch.manual_seed(0)
    defaults = {"pooling": "mean", "trainable": True, "dropout": None, "attention_dropout": None}
    defaults |= {"mask_rate": 0.0, "frozen": None}
    return TransformerEncoder(subwords(DOCUMENTS), **(defaults | settings))


def batch():
    tokenizer = subwords(DOCUMENTS)
    return collate([tokenizer(LABELS.graph(each)) for each in DOCUMENTS])


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_the_base_and_a_product(bias):
    base = nn.Linear(5, 3, bias=bias)
    layer = LoRALinear(base, 2)
    x = torch.randn(4, 5)
    assert torch.equal(layer(x), base(x))  # the left matrix is 0
    nn.init.normal_(layer.left)
    expected = torch.stack([base.weight @ row + layer.left @ (layer.right @ row) for row in x])
    torch.testing.assert_close(layer(x), expected + (base.bias if bias else 0))
    torch.testing.assert_close(layer.merged()(x), layer(x))


def test_an_encoder_begins_as_the_pretrained_one_and_trains_low_rank_parts_alone():
    plain, adapted = encoder().eval(), encoder(lora_rank=2).eval()
    adapted.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(plain(batch()), adapted(batch()))
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    added = adapted.state_dict().keys() - plain.state_dict().keys()
    assert trained == added
    assert len(added) == 2 * sum(isinstance(module, nn.Linear) for module in plain.modules())
    adapted(batch()).sum().backward()
    assert all(p.grad is None for name, p in adapted.named_parameters() if name not in trained)
    assert all(p.grad is not None for name, p in adapted.named_parameters() if name in trained)


def test_frozen_layers_have_no_low_rank_part():
    adapted = encoder(lora_rank=2, frozen="attention")
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert not any("attention" in name for name in trained)


def test_a_merged_model_has_the_same_weights_by_name_and_the_same_words():
    plain, adapted = encoder(), encoder(lora_rank=2).eval()
    for name, parameter in adapted.named_parameters():
        if name.endswith("left"):
            nn.init.normal_(parameter, std=0.1)
    expected = adapted(batch())
    merge_lora(adapted)
    assert adapted.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(adapted(batch()), expected)


def test_what_cannot_be_adapted_is_an_error():
    with pytest.raises(InputError, match="lora_rank: trainable=false trains nothing"):
        encoder(trainable=False, lora_rank=2)
    with pytest.raises(InputError, match="no linear layer that is trained"):
        add_lora(nn.Sequential(nn.ReLU()), 2)
