"""pytorch-metric-learning's nearest equivalents of our losses, for ``benchmarks/losses.py``."""

import os

# Beyond these batch sizes the peer takes minutes or does not fit 24 GB.
LIMITS = {"lifted_loss": 120, "semi_hard_triplet": 1024, "smooth_ap": 480, "histogram": 480}


def peer_losses(size, classes):
    """The peer's nearest equivalents: name -> (loss, miner or None)."""
    from pytorch_metric_learning import distances, losses, miners

    raw = distances.LpDistance(normalize_embeddings=False)
    return {
        "hard_triplet": (
            losses.TripletMarginLoss(margin=1.0, distance=raw),
            miners.BatchHardMiner(distance=raw),
        ),
        "semi_hard_triplet": (
            losses.TripletMarginLoss(margin=0.2),
            miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"),
        ),
        "lifted_loss": (losses.LiftedStructureLoss(neg_margin=1.0, distance=raw), None),
        "npairs_loss": (losses.NPairsLoss(), None),
        "angular_loss": (losses.AngularLoss(alpha=45), None),
        "angular_loss, log-sum": (losses.AngularLoss(alpha=45), None),
        "contrastive_loss": (losses.ContrastiveLoss(neg_margin=1.0), None),
        "contrastive_loss, active pairs": (losses.ContrastiveLoss(neg_margin=1.0), None),
        "margin_loss": (losses.MarginLoss(), miners.DistanceWeightedMiner()),
        "multi_similarity": (losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        "circle": (losses.CircleLoss(), None),
        "supervised_contrastive": (losses.SupConLoss(), None),
        "ntxent": (losses.NTXentLoss(), None),
        "fastap": (losses.FastAPLoss(), None),
        "smooth_ap": (losses.SmoothAPLoss(), None),
        "generalized_lifted": (losses.GeneralizedLiftedStructureLoss(distance=raw), None),
        "ranked_list": (losses.RankedListLoss(margin=0.4, Tn=10), None),
        "histogram": (losses.HistogramLoss(n_bins=200), None),
        "tuplet_margin": (losses.TupletMarginLoss(), None),
        "normalized_softmax": (losses.NormalizedSoftmaxLoss(classes, size), None),
        "arcface": (losses.ArcFaceLoss(classes, size), None),
        "cosface": (losses.CosFaceLoss(num_classes=classes, embedding_size=size), None),
        "proxy_nca": (losses.ProxyNCALoss(classes, size, softmax_scale=9), None),
        "proxy_anchor": (losses.ProxyAnchorLoss(classes, size), None),
        "soft_triple": (losses.SoftTripleLoss(classes, size), None),
    }


def peer_step(name, labels, x):
    """A function that computes the peer's loss and its gradient once; None if it cannot."""
    import torch

    classes = max(100, int(labels.max()) + 1)
    loss, miner = peer_losses(x.shape[1], classes).get(name, (None, None))
    if loss is None or (len(x) > LIMITS.get(name, 4096) and "HEAVY" not in os.environ):
        return None
    torch.set_num_threads(os.cpu_count())
    labels, x = torch.from_numpy(labels), torch.from_numpy(x).requires_grad_()

    def step():
        x.grad = None
        mined = miner(x, labels) if miner else None
        loss(x, labels, mined).backward()

    return step
