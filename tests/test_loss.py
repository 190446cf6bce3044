"""Eq. 9 and its siblings against plain loops: the loss, and what turns logits into probabilities."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid

from glre_pyg.data.graph import IGNORED
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.loss import AdaptiveThreshold, BalancedSoftmax, BinaryCrossEntropy, RelationLoss

close = torch.testing.assert_close
LABELS = torch.tensor([[0, 0, 0], [1, 0, 1], [-1, -1, -1], [0, 1, 0], [-1, 1, -1], [1, 1, 1]]).float()
COUNTED = [0, 1, 3, 5]
LOSSES = [
    BinaryCrossEntropy(3, reduction=reduction, na_column=na_column, na_keep=1.0)
    for reduction in ("mean", "sum")
    for na_column in (False, True)
]
LOSSES += [BinaryCrossEntropy(3, reduction="mean", na_column=False, na_keep=0.5), AdaptiveThreshold(3)]
LOSSES.append(BalancedSoftmax(3))
every_loss = pytest.mark.parametrize("loss", LOSSES)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def cross_entropy(*, relations=3, reduction="mean", na_column=False, na_keep=1.0, prior=None):
    return BinaryCrossEntropy(
        relations, reduction=reduction, na_column=na_column, na_keep=na_keep, prior=prior
    )


# Eq. 9


@pytest.mark.parametrize("na_column", [False, True])
def test_a_prior_is_the_probability_of_logits_of_zero(na_column):
    loss, plain = cross_entropy(na_column=na_column, prior=0.3), cross_entropy(na_column=na_column)
    assert not loss.state_dict()
    close(loss.probabilities(torch.zeros(2, loss.num_logits)), torch.full((2, 3), 0.1))
    logits = torch.randn(6, loss.num_logits)
    shifted = logits.clone()
    shifted[:, :3] += math.log(0.1 / 0.9)
    close(loss(logits, LABELS), plain(shifted, LABELS))
    close(loss.probabilities(logits), plain.probabilities(shifted))
    one = cross_entropy(relations=1, na_column=na_column, prior=0.3)
    close(one.probabilities(torch.zeros(2, one.num_logits)), torch.full((2, 1), 0.5))


@pytest.mark.parametrize("prior", [None, 0.3])
@pytest.mark.parametrize("na_column", [False, True])
def test_logits_of_log_odds_have_their_probabilities(na_column, prior):
    loss, scores = cross_entropy(na_column=na_column, prior=prior), torch.randn(2, 3)
    close(loss.probabilities(loss.logits_of(scores)), scores.sigmoid())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("na_column", [False, True])
def test_loss_is_eq_9(na_column, reduction):
    loss = cross_entropy(na_column=na_column, reduction=reduction)
    assert loss.num_logits == 3 + na_column
    assert IGNORED == -1
    logits = (3 * torch.randn(6, loss.num_logits)).requires_grad_()
    total = 0.0
    for row, gold in zip(logits.tolist(), LABELS.tolist(), strict=True):
        if -1 in gold:
            continue
        gold = [*gold, float(not any(gold))] if na_column else gold
        for logit, y in zip(row, gold, strict=True):
            p = 1 / (1 + math.exp(-logit))
            total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    found = loss(logits, LABELS)
    expected = total / (4 * (loss.num_logits if reduction == "mean" else 1))
    close(found, torch.tensor(expected), rtol=1e-5, atol=0)
    found.backward()
    assert logits.grad[[2, 4]].eq(0).all()
    assert logits.grad[COUNTED].ne(0).all()


def test_loss_of_far_logits_is_finite():
    logits = torch.tensor([[1000.0], [-1000.0]])
    found = cross_entropy(relations=1)(logits, torch.tensor([[0.0], [1.0]]))
    close(found, -logsigmoid(torch.tensor(-1000.0)))


@every_loss
@pytest.mark.parametrize("rows", [0, 3])
def test_loss_of_no_pair_is_zero(loss, rows):
    logits = torch.randn(rows, loss.num_logits, requires_grad=True)
    found = loss(logits, torch.full((rows, 3), IGNORED))
    assert found == 0
    found.backward()
    assert logits.grad.eq(0).all()


def test_probabilities_leave_the_column_for_no_relation_out():
    logits = torch.randn(4, 3)
    found = cross_entropy(relations=2, na_column=True).probabilities(logits)
    close(found, 1 / (1 + (-logits[:, :2]).exp()), rtol=1e-5, atol=0)


@every_loss
def test_labels_of_ignored_pairs_say_nothing(loss):
    logits, other = torch.randn(6, loss.num_logits), LABELS.clone()
    other[2, 1] = 1
    loss.eval()
    assert loss(logits, LABELS) == loss(logits, other) == loss(logits[COUNTED], LABELS[COUNTED])


@every_loss
def test_the_loss_is_a_mean_over_pairs(loss):
    """Each pair twice is the same, so the learning rate does not depend on the size of a batch."""
    loss.eval()
    logits = torch.randn(6, loss.num_logits)
    close(loss(logits.repeat(2, 1), LABELS.repeat(2, 1)), loss(logits, LABELS))


@every_loss
def test_half_precision_logits(loss):
    """Loss and probabilities are computed in single precision, and close to those of the same logits there."""
    loss.eval()
    half = (4 * torch.randn(6, loss.num_logits)).bfloat16().requires_grad_()
    found = loss(half, LABELS)
    assert found.dtype == loss.probabilities(half).dtype == torch.float
    close(found, loss(half.detach().float(), LABELS))
    close(loss.probabilities(half), loss.probabilities(half.float()))
    found.backward()
    assert half.grad.isfinite().all()
    assert half.grad[COUNTED].ne(0).any()


def test_a_model_asks_its_loss():
    loss = AdaptiveThreshold(3)
    logits = torch.randn(5, 4)
    assert torch.equal(RelationModel(loss).probabilities(logits), loss.probabilities(logits))
    with pytest.raises(NotImplementedError):
        RelationLoss(3, 3)(torch.zeros(len(LABELS), 3), LABELS)


# Pairs without relation, sub-sampled


def kept(loss, labels):
    """Pairs that a step looks at: those whose logits get a gradient."""
    logits = torch.zeros(len(labels), loss.num_logits, requires_grad=True)
    loss(logits, labels).backward()
    return logits.grad.ne(0).any(-1)


@pytest.mark.parametrize("na_column", [False, True])
def test_pairs_with_a_relation_are_always_kept(na_column):
    loss = cross_entropy(na_keep=0.3, na_column=na_column)
    labels = LABELS.repeat(500, 1)
    drawn = kept(loss, labels)
    related = (labels > 0).any(-1) & (labels >= 0).all(-1)
    none = (labels == 0).all(-1)
    assert drawn[related].all()
    assert not drawn[~related & ~none].any()
    assert 0.2 < drawn[none].float().mean() < 0.4
    assert not torch.equal(kept(loss, labels), drawn)  # each step draws again


@pytest.mark.parametrize(("na_keep", "expected"), [(0.0, False), (1.0, True)])
def test_none_and_all_of_the_pairs_without_relation(na_keep, expected):
    assert kept(cross_entropy(na_keep=na_keep), torch.zeros(50, 3)).eq(expected).all()


def test_the_loss_is_the_mean_over_what_is_kept():
    labels, logits = LABELS[[0, 1]].repeat(40, 1), torch.randn(80, 3)
    loss, whole = cross_entropy(na_keep=0.25), cross_entropy()
    torch.manual_seed(3)
    drawn = kept(loss, labels)
    assert 40 < drawn.sum() < 80
    torch.manual_seed(3)
    close(loss(logits, labels), whole(logits[drawn], labels[drawn]))


def test_the_expected_sum_of_the_kept_pairs_is_their_share():
    loss, logits = cross_entropy(na_keep=0.25, reduction="sum"), torch.randn(400, 3)
    labels = torch.zeros(400, 3)
    sums = []
    for seed in range(50):
        torch.manual_seed(seed)
        count = kept(loss, labels).sum()
        torch.manual_seed(seed)
        sums.append(loss(logits, labels) * count)
    whole = cross_entropy(reduction="sum")(logits, labels) * 400
    close(torch.stack(sums).mean(), 0.25 * whole, rtol=0.03, atol=0)


def test_evaluation_looks_at_every_pair():
    loss = cross_entropy(na_keep=0.1).eval()
    assert kept(loss, torch.zeros(50, 3)).all()
    logits = torch.randn(6, 3)
    assert loss(logits, LABELS) == cross_entropy()(logits, LABELS)


def test_nothing_is_drawn_where_all_is_kept():
    """The random state of a run without sub-sampling is that of a run that does not know of it."""
    before = torch.get_rng_state()
    cross_entropy()(torch.randn(6, 3, generator=torch.Generator()), LABELS)
    cross_entropy(na_keep=0.5).eval()(torch.zeros(6, 3), LABELS)
    assert torch.equal(torch.get_rng_state(), before)


# The learnt threshold


def test_adaptive_threshold_is_the_published_formula():
    loss = AdaptiveThreshold(3)
    assert loss.num_logits == 4
    logits = (3 * torch.randn(6, 4)).requires_grad_()
    total = 0.0
    for (*row, threshold), gold in zip(logits.tolist(), LABELS.tolist(), strict=True):
        if -1 in gold:
            continue
        positive = [logit for logit, y in zip(row, gold, strict=True) if y == 1]
        negative = [logit for logit, y in zip(row, gold, strict=True) if y == 0]
        for logit in positive:
            total -= math.log(math.exp(logit) / sum(map(math.exp, [*positive, threshold])))
        total -= math.log(math.exp(threshold) / sum(map(math.exp, [*negative, threshold])))
    found = loss(logits, LABELS)
    close(found, torch.tensor(total / 4), rtol=1e-5, atol=0)
    found.backward()
    assert logits.grad[[2, 4]].eq(0).all()
    assert logits.grad[COUNTED].ne(0).all()


def test_balanced_softmax_is_the_published_formula():
    logits = torch.randn(6, 3)
    expected = 0.0
    for row, labels in zip(logits[COUNTED].tolist(), LABELS[COUNTED].tolist(), strict=True):
        others = sum(math.exp(x) for x, true in zip(row, labels, strict=True) if not true)
        missed = sum(math.exp(-x) for x, true in zip(row, labels, strict=True) if true)
        expected += math.log(1 + others) + math.log(1 + missed)
    assert BalancedSoftmax(3)(logits, LABELS).item() == pytest.approx(expected / len(COUNTED), rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_are_finite_with_no_relation_and_with_all(value, scale):
    logits = (scale * torch.randn(20, 4)).requires_grad_()
    found = AdaptiveThreshold(3)(logits, torch.full((20, 3), value))
    assert found.isfinite()
    found.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.ne(0).any()


def test_gradients_are_those_of_the_formula():
    loss = AdaptiveThreshold(3)
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    logits_single = logits.detach().float().requires_grad_()
    rows = []
    for row, gold in zip(logits, LABELS, strict=True):
        if (gold >= 0).all():
            gold = torch.cat([gold > 0, torch.tensor([True])])
            others = torch.cat([~gold[:-1], torch.tensor([True])])
            rows.append((row[gold].logsumexp(0) - row[gold])[:-1].sum() + row[others].logsumexp(0) - row[-1])
    torch.stack(rows).mean().backward()
    loss(logits_single, LABELS).backward()
    close(logits_single.grad.double(), logits.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float, torch.bfloat16])
def test_a_relation_above_the_threshold_class_exceeds_a_half(dtype):
    logits = torch.randn(500, 4).to(dtype)
    found = AdaptiveThreshold(3).probabilities(logits)
    assert found.shape == (500, 3)
    assert torch.equal(found > 0.5, logits[:, :3] > logits[:, 3:])
    level = torch.full((1, 4), 2.5, dtype=dtype)
    assert AdaptiveThreshold(3).probabilities(level).eq(0.5).all()


def test_both_losses_can_be_learnt():
    """A table of logits ends on the right side of the threshold."""
    for loss in (cross_entropy(na_column=True), AdaptiveThreshold(3)):
        logits = torch.zeros(6, loss.num_logits, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.1)
        for _ in range(100):
            optimizer.zero_grad()
            loss(logits, LABELS).backward()
            optimizer.step()
        assert torch.equal(loss.probabilities(logits)[COUNTED] > 0.5, LABELS[COUNTED] > 0)
