"""Where libraries keep the pretrained weights that they download."""

import os
from pathlib import Path


def keras_models() -> Path:
    """Return the folder of Keras' pretrained weights, ``KERAS_HOME/models``."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def kagglehub_models() -> Path:
    """Return the folder of keras-hub's presets, ``KAGGLEHUB_CACHE/models/keras``."""
    cache = os.environ.get("KAGGLEHUB_CACHE", "~/.cache/kagglehub")
    return Path(cache).expanduser() / "models" / "keras"


def hugging_face_models() -> Path:
    """Return the folder of models from Hugging Face, ``HF_HUB_CACHE`` or ``HF_HOME/hub``."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()
