"""Store small state dicts as PyTorch itself writes them, in both of its formats.

Needs torch, which the tests do not: ``python -m tests.models.make_checkpoints``. PyTorch 2.13 wrote
the committed files.
"""

from pathlib import Path

import torch

CHECKPOINTS = Path(__file__).parent / "checkpoints"


def state_dict():
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    state = torch.nn.BatchNorm1d(3).state_dict()  # an OrderedDict with _metadata, and a scalar
    state["plain"] = base
    state["transposed"] = base.permute(2, 0, 1)  # the same storage, other strides
    state["sliced"] = base[1, 1:, ::2]  # the same storage, from its 17th number on
    state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.0]))
    state["empty"] = torch.zeros(0, 5)
    state["half"] = torch.tensor([0.5, 65504.0], dtype=torch.float16)
    state["double"] = torch.tensor([1e300], dtype=torch.float64)
    state["long"] = torch.tensor([-(2**62), 7])
    state["byte"] = torch.tensor([0, 255], dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False, True])
    return state


def main():
    CHECKPOINTS.mkdir(exist_ok=True)
    for name, as_zip in (("zip.pth", True), ("legacy.pth", False)):
        torch.save(state_dict(), CHECKPOINTS / name, _use_new_zipfile_serialization=as_zip)
    torch.save({"epoch": 3, "state_dict": state_dict()}, CHECKPOINTS / "nested.pth")


if __name__ == "__main__":
    main()
