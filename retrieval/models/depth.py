"""How deep a weight lies in a transformer, for layer-wise learning rates.

He et al. (2022), "Masked Autoencoders Are Scalable Vision Learners", after Clark et al. (2020),
"ELECTRA": the learning rate of a block is that of the next one times a decay, so that the first
blocks, which know what is common to all images, change least.
"""

import re

import keras

from retrieval.errors import UserError
from retrieval.models.registry import NO_BLOCKS

# What keras-hub calls the blocks: ViT and DeiT, CLIP and SigLIP, DINO, Swin.
BLOCK = re.compile(r"(?:^|[/_])(?:transformer_block|encoder_block|layers|blocks)_\d+(?=/)")


def layers_above(backbone: keras.Model) -> dict[int, int]:
    """Return how many layers stand above every weight of a transformer.

    The embedding of patches with its tokens and positions is one layer, every block is one, and
    what follows the blocks (the last norm, a projection, the pooling) is the last, as in the paper.
    What lies between blocks, such as Swin's merging of patches, belongs to the block before.

    Args:
        backbone: A backbone.

    Returns:
        ``id`` of the weight -> 0 for what follows the last of L blocks, 1 for the last block, L for
        the first and L + 1 for the embedding.

    Raises:
        UserError: The backbone has no blocks.
    """
    block_of = [_block(weight) for weight in backbone.weights]
    blocks = list(dict.fromkeys(filter(None, block_of)))
    if not blocks:
        raise UserError(NO_BLOCKS)
    last = max(i for i, block in enumerate(block_of) if block is not None)
    above, depth = {}, 0
    for position, (weight, block) in enumerate(zip(backbone.weights, block_of, strict=True)):
        if block is not None:
            depth = 1 + blocks.index(block)
        of_weight = depth if position <= last else len(blocks) + 1
        above[id(weight)] = len(blocks) + 1 - of_weight
    return above


def last_block(backbone: keras.Model) -> keras.layers.Layer | None:
    """Return the last block of a transformer; None if the backbone is none."""
    blocks = list(dict.fromkeys(filter(None, map(_block, backbone.weights))))
    if not blocks:
        return None
    of_last = {id(w) for w in backbone.weights if _block(w) == blocks[-1]}
    holders = [
        layer
        for layer in backbone._flatten_layers(include_self=False)  # see models.freezing
        if of_last == {id(weight) for weight in layer.weights}
    ]
    return holders[0] if holders else None


def _block(weight: keras.Variable) -> str | None:
    """Return the part of a weight's path that names its block; None if it is in none."""
    found = BLOCK.search(weight.path)
    return weight.path[: found.end()] if found else None
