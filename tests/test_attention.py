"""Eq. 7 in blocks of rows, against attention at once."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from glre_pyg.nn.attention import attend_in_blocks


def at_once(query, key, value, document, scale):
    mask = None if document is None else document[:, None] == document
    return scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=mask, scale=scale
    ).squeeze(0)


def inputs(dtype=torch.double):
    generator = torch.Generator().manual_seed(0)
    sizes = ((7, 4), (7, 4), (7, 3))
    return [torch.randn(*size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("document", [None, [0, 0, 2, 2, 2, 5, 6]])
def test_blocks_are_attention_at_once(rows, document):
    document = None if document is None else torch.tensor(document)
    expected = at_once(*inputs(), document, 0.3)
    found = attend_in_blocks(*inputs(), document, scale=0.3, rows=rows)
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(
        lambda *given: attend_in_blocks(*given, document, scale=0.3, rows=rows), inputs()
    )


def test_large_logits_are_no_overflow():
    query, key, value = (each.detach() * 1e4 for each in inputs(torch.float))
    found = attend_in_blocks(query, key, value, None, scale=1.0, rows=2)
    torch.testing.assert_close(found, at_once(query, key, value, None, 1.0))


def test_half_precision():
    given, same = inputs(torch.float), inputs(torch.float)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = attend_in_blocks(*given, None, scale=1.0, rows=3), at_once(*same, None, 1.0)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)
    found.float().square().sum().backward()
    expected.float().square().sum().backward()
    for one, other in zip(given, same, strict=True):
        assert one.grad.dtype == torch.float32
        torch.testing.assert_close(one.grad, other.grad, atol=0.3, rtol=0.1)
