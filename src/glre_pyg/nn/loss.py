"""Section 3.4, Eq. 9: the loss, and what stands between logits and probabilities."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from glre_pyg.data.graph import IGNORED
from glre_pyg.utils.exceptions import InputError


class RelationLoss(nn.Module):
    """What a model's logits mean: a loss for training, and probabilities.

    Args:
        num_relations: R.
        num_logits: Logits of each pair; those beyond R are the last.
    """

    def __init__(self, num_relations: int, num_logits: int) -> None:
        super().__init__()
        self.num_relations, self.num_logits = num_relations, num_logits

    def kept(self, labels: Tensor) -> Tensor:
        """Which pairs of labels [P, R] take part in the loss [P]: those that are not labelled -1."""
        return (labels != IGNORED).all(-1)

    def forward(
        self, logits: Tensor, labels: Tensor, *, kept: Tensor | None = None, pairs: Tensor | int | None = None
    ) -> Tensor:
        """Loss, a sum over pairs that is divided by their number.

        Args:
            logits: [P, num_logits].
            labels: [P, R].
            kept: What :meth:`kept` has said of the labels [P]; None asks it.
            pairs: What the sum is divided by, where the step has pairs of other batches, too; None for the
                number of pairs that are kept.
        """
        kept = self.kept(labels) if kept is None else kept
        losses = self.pair_losses(logits.float(), labels)
        number = kept.sum() if pairs is None else torch.as_tensor(pairs, device=logits.device)
        return torch.where(kept, losses, 0.0).sum() / number.clamp(min=1)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each pair [P], of logits [P, num_logits] and labels [P, R] without -1."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the relations [P, R]."""
        return logits[:, : self.num_relations].float().sigmoid()


class BinaryCrossEntropy(RelationLoss):
    r"""Each relation of its own, with a threshold that is chosen on dev (Eq. 9).

    .. math:: L = -\sum_{r \in R} (y_r^* \log y_r + (1 - y_r^*) \log(1 - y_r))

    Paper: the sum over relations. Here: by default the mean over pairs and relations, as in the released
    code, so that the learning rate does not depend on the number of relations.

    Args:
        num_relations: R.
        reduction: ``"mean"`` over pairs and relations, or ``"sum"`` over relations and mean over pairs.
        na_column: Whether one more logit is trained to say "no relation", as in the released code.
        na_keep: Probability with which a pair without any relation is kept, drawn in each training step;
            the released code keeps half of them on DocRED. All pairs stay in the context layer.

    Raises:
        InputError: If there is no such reduction, or ``na_keep`` is no probability.
    """

    def __init__(
        self, num_relations: int, *, reduction: Literal["mean", "sum"], na_column: bool, na_keep: float
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise InputError(f"loss: reduction must be mean or sum, not {reduction}")
        if not 0 <= na_keep <= 1:
            raise InputError(f"loss: na_keep must be from 0 to 1, not {na_keep}")
        super().__init__(num_relations, num_relations + na_column)
        self.reduction, self.na_column, self.na_keep = reduction, na_column, na_keep

    def kept(self, labels: Tensor) -> Tensor:
        """Which pairs take part [P]; in training, those without any relation are drawn."""
        kept = super().kept(labels)
        if self.training and self.na_keep < 1:
            drawn = torch.rand(len(labels), device=labels.device) < self.na_keep
            kept &= drawn | (labels > 0).any(-1)
        return kept

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each pair [P], of logits [P, R], or [P, R + 1] with ``na_column``."""
        if self.na_column:
            labels = torch.cat([labels, 1 - labels.amax(-1, keepdim=True)], dim=-1)
        losses = binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(-1)
        return losses / self.num_logits if self.reduction == "mean" else losses


class AdaptiveThreshold(RelationLoss):
    r"""A threshold of each pair's own, learnt as one more class TH (Zhou et al., AAAI 2021).

    .. math::
        L = -\sum_{r \in P} \log \frac{\exp(l_r)}{\sum_{r' \in P \cup TH} \exp(l_{r'})}
            - \log \frac{\exp(l_{TH})}{\sum_{r' \in N \cup TH} \exp(l_{r'})}

    *P* are the relations of a pair and *N* the others. A relation is predicted where its logit exceeds that
    of TH, so the probability given here, :math:`\mathrm{sigmoid}(l_r - l_{TH})`, exceeds 0.5.

    Paper: none of this. The mean over pairs is taken.

    Args:
        num_relations: R.
    """

    def __init__(self, num_relations: int) -> None:
        super().__init__(num_relations, num_relations + 1)

    def pair_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each pair [P], of logits [P, R + 1], TH the last."""
        true = labels > 0
        threshold = torch.zeros_like(true[:, :1])
        above = logits.masked_fill(torch.cat([~true, threshold], dim=-1), -torch.inf).log_softmax(-1)
        below = logits.masked_fill(torch.cat([true, threshold], dim=-1), -torch.inf).log_softmax(-1)
        return -(above[:, :-1].masked_fill(~true, 0.0).sum(-1) + below[:, -1])

    def probabilities(self, logits: Tensor) -> Tensor:
        """How far each relation is above the threshold class [P, R]; 0.5 is level with it."""
        logits = logits.float()
        return (logits[:, :-1] - logits[:, -1:]).sigmoid()
