"""What stands for a request's content."""

from __future__ import annotations

import hashlib


def digest_of(*parts: bytes | memoryview) -> bytes:
    """Return the SHA-1 of some bytes: of hashlib the fastest here, and nobody is to be kept out."""
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.digest()
