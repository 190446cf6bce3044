"""Section 3.4, Eq. 9: losses, and the probabilities that belong to their logits."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from glre_pyg.data.graph import IGNORED
from glre_pyg.utils.ranges import Share


class RelationLoss(nn.Module):
    """Base class of losses: defines the number of logits of a pair, their loss and their probabilities.

    Args:
        num_relations: Number of relations R.
        num_logits: Number of logits of each pair; the first R belong to the relations.
    """

    def __init__(self, num_relations: int, num_logits: int) -> None:
        super().__init__()
        self.num_relations, self.num_logits = num_relations, num_logits

    def mask(self, labels: Tensor) -> Tensor:
        """Return the mask [P] of the pairs in the loss: those whose labels [P, R] are not -1."""
        return (labels != IGNORED).all(-1)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        num_pairs: Tensor | int | None = None,
    ) -> Tensor:
        """Return the mean loss of the pairs in the mask.

        Args:
            logits: [P, num_logits].
            labels: [P, R].
            mask: Pairs in the loss [P]; by default those of :meth:`mask`.
            num_pairs: Number of pairs to divide the sum of losses by, if a step has several batches; by
                default the number of pairs in the mask.
        """
        mask = self.mask(labels) if mask is None else mask
        losses = self.pair_losses(logits.float(), labels)
        number = mask.sum() if num_pairs is None else torch.as_tensor(num_pairs, device=logits.device)
        return torch.where(mask, losses, 0.0).sum() / number.clamp(min=1)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, num_logits] and labels [P, R]."""
        raise NotImplementedError

    def logits_of(self, scores: Tensor) -> Tensor:
        """Return logits [P, num_logits] whose probabilities have the given log odds [P, R]."""
        return pad(scores, (0, self.num_logits - self.num_relations))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        return logits[:, : self.num_relations].float().sigmoid()


class BinaryCrossEntropy(RelationLoss):
    r"""Binary cross-entropy of each relation; thresholds are selected on dev (Eq. 9).

    .. math:: L = -\sum_{r \in R} (y_r^* \log y_r + (1 - y_r^*) \log(1 - y_r))

    The loss is averaged over pairs. With many relations, models were found to learn much more slowly with the
    mean over relations, as in the released code, than with the paper's sum.

    Args:
        num_relations: Number of relations R.
        reduction: ``"sum"`` or ``"mean"`` over relations.
        na_column: Whether to train an additional logit for "no relation", as in the released code.
        na_keep: Probability that a pair without any relation is in the loss of a training step; 0.5 in the
            released code for DocRED. The context layer always attends to all pairs.
        prior: Probability that a pair has a relation, before training: the log odds of its R-th part are
            added to the logits of all relations. Otherwise, a model of many relations first has to learn that
            they are rare, and learns little else meanwhile. None, or a single relation, adds nothing.

    Raises:
        InputError: If the reduction is unknown, or ``na_keep`` or ``prior`` is not a probability.
    """

    offset: Tensor

    def __init__(
        self,
        num_relations: int,
        *,
        reduction: Literal["mean", "sum"],
        na_column: bool,
        na_keep: Share,
        prior: Share | None = None,
    ) -> None:
        super().__init__(num_relations, num_relations + na_column)
        self.reduction, self.na_column, self.na_keep = reduction, na_column, na_keep
        offset = torch.zeros(self.num_logits)
        if prior is not None and num_relations > 1:
            offset[:num_relations] = torch.tensor(prior / num_relations).logit(eps=1e-6)
        self.register_buffer("offset", offset, persistent=False)

    def mask(self, labels: Tensor) -> Tensor:
        """Return the mask [P] of the pairs in the loss; in training, pairs without relations are sampled."""
        mask = super().mask(labels)
        if self.training and self.na_keep < 1:
            sampled = torch.rand(len(labels), device=labels.device) < self.na_keep
            mask &= sampled | (labels > 0).any(-1)
        return mask

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, R], or [P, R + 1] with ``na_column``."""
        if self.na_column:
            labels = torch.cat([labels, 1 - labels.amax(-1, keepdim=True)], dim=-1)
        losses = binary_cross_entropy_with_logits(logits + self.offset, labels, reduction="none").sum(-1)
        return losses / self.num_logits if self.reduction == "mean" else losses

    def logits_of(self, scores: Tensor) -> Tensor:
        """Return logits [P, num_logits] whose probabilities have the given log odds [P, R]."""
        return super().logits_of(scores) - self.offset

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        return super().probabilities(logits + self.offset)


class AdaptiveThreshold(RelationLoss):
    r"""Threshold for each pair, learnt as an additional class TH (ATLOP; Zhou et al., AAAI 2021).

    .. math::
        L = -\sum_{r \in P} \log \frac{\exp(l_r)}{\sum_{r' \in P \cup TH} \exp(l_{r'})}
            - \log \frac{\exp(l_{TH})}{\sum_{r' \in N \cup TH} \exp(l_{r'})}

    *P* are the relations of a pair and *N* the others. A relation is predicted if its logit exceeds that of
    TH, so that its probability, :math:`\mathrm{sigmoid}(l_r - l_{TH})`, exceeds 0.5. The loss is averaged
    over pairs.

    Paper: not used.

    Args:
        num_relations: Number of relations R.
    """

    def __init__(self, num_relations: int) -> None:
        super().__init__(num_relations, num_relations + 1)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, R + 1], of which TH is the last."""
        true = labels > 0
        threshold = torch.zeros_like(true[:, :1])
        above = logits.masked_fill(torch.cat([~true, threshold], dim=-1), -torch.inf).log_softmax(-1)
        below = logits.masked_fill(torch.cat([true, threshold], dim=-1), -torch.inf).log_softmax(-1)
        return -(above[:, :-1].masked_fill(~true, 0.0).sum(-1) + below[:, -1])

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R], which are 0.5 at the threshold class."""
        logits = logits.float()
        return (logits[:, :-1] - logits[:, -1:]).sigmoid()


class BalancedSoftmax(RelationLoss):
    r"""Logits of true relations above 0 and of others below, without a threshold (DocuNet, 2021).

    .. math::
        L = \log \Big(1 + \sum_{r \in N} \exp(l_r)\Big) + \log \Big(1 + \sum_{r \in P} \exp(-l_r)\Big)

    *P* are the relations of a pair and *N* the others. The loss is averaged over pairs.

    Args:
        num_relations: Number of relations R.
    """

    def __init__(self, num_relations: int) -> None:
        super().__init__(num_relations, num_relations)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, R]."""
        true, threshold = labels > 0, torch.zeros_like(logits[:, :1])
        others = torch.cat([threshold, logits.masked_fill(true, -torch.inf)], dim=-1)
        missed = torch.cat([threshold, (-logits).masked_fill(~true, -torch.inf)], dim=-1)
        return others.logsumexp(-1) + missed.logsumexp(-1)


class TwoStep(RelationLoss):
    r"""First whether a pair has any relation, then which (Wang et al., 2019).

    .. math::
        L = BCE(l_{any}, y_{any}) + y_{any} \sum_{r \in R} BCE(l_r, y_r), \quad
        p_r = \mathrm{sigmoid}(l_{any}) \, \mathrm{sigmoid}(l_r)

    The second step is trained on the pairs that have a relation alone. With a single relation, there is only
    the first. Paper: two models, trained one after the other. Here: one, and the mean over pairs.

    Args:
        num_relations: Number of relations R.
    """

    def __init__(self, num_relations: int) -> None:
        super().__init__(num_relations, 1 if num_relations == 1 else num_relations + 1)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, R + 1], of which the last is of any relation."""
        has_any = labels.amax(-1)
        losses = binary_cross_entropy_with_logits(logits[:, -1], has_any, reduction="none")
        if self.num_logits == 1:
            return losses
        which = binary_cross_entropy_with_logits(logits[:, :-1], labels, reduction="none").sum(-1)
        return losses + has_any * which

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        any_relation = logits[:, -1:].float().sigmoid()
        return any_relation if self.num_logits == 1 else any_relation * logits[:, :-1].float().sigmoid()


class WithDivergence(RelationLoss):
    """Another loss, with a weighted divergence of each pair that the model computes as its last logit.

    Args:
        base: The other loss.
        weight: Weight of the divergence.
    """

    def __init__(self, base: RelationLoss, weight: float) -> None:
        super().__init__(base.num_relations, base.num_logits + 1)
        self.base, self.weight = base, weight

    def mask(self, labels: Tensor) -> Tensor:
        """Return the mask [P] of the pairs in the other loss."""
        return self.base.mask(labels)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, num_logits]."""
        return self.base.pair_losses(logits[:, :-1], labels) + self.weight * logits[:, -1]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        return self.base.probabilities(logits[:, :-1])


class DeepAndShallow(RelationLoss):
    r"""Logits of a deep and of a shallow model of the same pair, each with a loss of its own.

    .. math:: L = L(l^{deep}) + L(l^{shallow}), \quad l = (1 - w) \, l^{deep} + w \, l^{shallow}

    Probabilities are those of the weighted mean *l*. With a single loss of the mean, the deep model, which
    soon knows the training documents by heart, would leave nothing for the shallow one to explain.

    Args:
        base: The loss of both.
        weight: Weight *w* of the shallow model.
    """

    def __init__(self, base: RelationLoss, weight: float) -> None:
        super().__init__(base.num_relations, 2 * base.num_logits)
        self.base, self.weight = base, weight

    def mask(self, labels: Tensor) -> Tensor:
        """Return the mask [P] of the pairs in the loss of both."""
        return self.base.mask(labels)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each pair [P], given logits [P, num_logits], first those of the deep model."""
        deep, shallow = logits.chunk(2, dim=-1)
        return self.base.pair_losses(deep, labels) + self.base.pair_losses(shallow, labels)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        deep, shallow = logits.float().chunk(2, dim=-1)
        return self.base.probabilities(torch.lerp(deep, shallow, self.weight))
