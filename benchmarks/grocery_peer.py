"""The six baseline losses of pytorch-metric-learning, trained as ours on the same features.

A linear head with orthogonal weights, Adam with learning rate 3e-4, and the same P x K batches; see
``grocery.py``.
"""

import numpy as np
import torch
from pytorch_metric_learning import distances, losses, miners

from retrieval.losses import LOSSES
from retrieval.sampling import PKSampler


def recipes() -> dict:
    """Return for each loss whether to normalize the embedding, the loss, and its miner or None."""
    plain = distances.LpDistance(normalize_embeddings=False)
    squared = distances.LpDistance(power=2)
    return {
        "hard_triplet": (
            False,
            losses.TripletMarginLoss(margin=1.0, distance=plain),
            miners.BatchHardMiner(distance=plain),
        ),
        "semi_hard_triplet": (
            True,
            losses.TripletMarginLoss(margin=0.2, distance=squared),
            miners.TripletMarginMiner(0.2, "semihard", distance=squared),
        ),
        "lifted_loss": (False, losses.LiftedStructureLoss(neg_margin=1.0, distance=plain), None),
        "npairs_loss": (
            False,
            losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)),
            None,
        ),
        "angular_loss": (True, losses.AngularLoss(alpha=45), None),
        "contrastive_loss": (True, losses.ContrastiveLoss(pos_margin=0, neg_margin=1), None),
    }


def train_peer(
    name: str, features: np.ndarray, classes: np.ndarray, width: int, steps: int, seed: int
) -> torch.nn.Module:
    """Train a head, a module from features (n, F) to embeddings (n, D)."""
    torch.manual_seed(seed)
    normalize, loss, miner = recipes()[name]
    head = torch.nn.Linear(features.shape[1], width)
    torch.nn.init.orthogonal_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-4)
    entry = LOSSES[name]
    p = min(entry.classes_per_batch, len(np.unique(classes)))
    sampler = PKSampler(classes, p, entry.samples_per_class, seed=seed)
    x, y = torch.from_numpy(np.array(features)), torch.from_numpy(classes.astype(np.int64))
    for step in range(steps):
        rows = torch.from_numpy(sampler.batch(step))
        embeddings = head(x[rows])
        if normalize:
            embeddings = torch.nn.functional.normalize(embeddings)
        value = loss(embeddings, y[rows], miner(embeddings, y[rows]) if miner else None)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return head
