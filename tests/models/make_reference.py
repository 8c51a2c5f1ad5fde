"""Store what the original EfficientNet-Lite networks say of the photos, at two image sizes.

Needs torch and efficientnet-lite-pytorch, which the tests do not, and the packages of the weights:

    python -m tests.models.make_reference

The networks compute in double precision, so that the stored numbers carry no rounding of their own.
"""

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from retrieval.models.packages import PACKAGES, packaged_weights
from tests.models.pixels import HERE, photos

TORCHVISION = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
GOOGLE = 127.0, 128.0
# 131: odd sizes all the way down, where the padding of strided convolutions goes wrong first.
SIZES = (160, 131)


def main():
    for variant in PACKAGES:
        mean, deviation = TORCHVISION if variant == "efficientnet_lite0" else GOOGLE
        reference = {}
        for size in SIZES:
            # image_size: this network fixes its padding when it is built.
            network = EfficientNet.from_pretrained(
                variant.removesuffix("_tf").replace("_", "-"),
                weights_path=str(packaged_weights(variant)),
                image_size=size,
            )
            network.double().eval()
            pixels = (photos(size) - mean) / deviation
            with torch.no_grad():
                images = torch.tensor(pixels.transpose(0, 3, 1, 2))
                features = network.extract_features(images).mean(dim=(2, 3))
                reference[f"features_{size}"] = features.numpy().astype(np.float32)
                reference[f"logits_{size}"] = network(images).numpy().astype(np.float32)
            reference[f"pixels_{size}"] = photos(size).sum(axis=(1, 2), dtype=np.int64)
        np.savez_compressed(HERE / f"{variant}_reference.npz", **reference)


if __name__ == "__main__":
    main()
