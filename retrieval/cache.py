"""Where recomputable things are kept: backbone features, thumbnails."""

import hashlib
import json
import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Return ``$RETRIEVAL_CACHE/<kind>`` (default ``data/.cache/<kind>``); not created here."""
    return Path(os.environ.get("RETRIEVAL_CACHE", "data/.cache")) / kind


def fingerprint(*parts: object) -> str:
    """Return a short stable hash of JSON-able values, for cache keys."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
