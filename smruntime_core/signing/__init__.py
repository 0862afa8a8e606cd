"""Signing for any AWS service: `sign` says which headers to add, `verify` checks what came."""

from __future__ import annotations

from ._sigv4 import UNSIGNED_PAYLOAD, Signature, hash_payload, sign
from ._verify import MAX_SKEW, verify

__all__ = ["MAX_SKEW", "UNSIGNED_PAYLOAD", "Signature", "hash_payload", "sign", "verify"]
