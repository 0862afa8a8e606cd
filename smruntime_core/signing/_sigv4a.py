"""SigV4a: a key pair on the curve P-256 in place of an HMAC key, good in many regions.

The private key is derived from the secret (NIST SP 800-108, counter mode, HMAC-SHA256). A block of

    00000001 ‖ "AWS4-ECDSA-P256-SHA256" ‖ 00 ‖ access key id ‖ counter (one byte) ‖ 00000100

keyed with "AWS4A" + secret is read as a number c. If c ≤ n - 2, where n is the order of the curve,
the key is c + 1; otherwise the next counter is tried. The public key follows from it, so a server
that knows the secret can verify. A signature is ECDSA over SHA-256 of the string to sign, DER in
hexadecimal. It differs each time: compare strings to sign, and verify signatures.

The arithmetic of the curve is that of cryptography (extra `sigv4a`), imported when a key is made.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from ..values._credentials import Credentials
from ._keys import ECDSA, Key, RegionSet

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class EcdsaKey(Key):
    """The key of SigV4a; raises `ImportError` with the pip install if cryptography is missing."""

    algorithm = ECDSA

    def __init__(self, credentials: Credentials, date: str, scope: RegionSet) -> None:
        super().__init__(date, f"{date}/{scope.service}/aws4_request")
        self.region_set: str | None = scope.region
        self._key_pair = private_key(credentials)

    def sign(self, text: str) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._key_pair.sign(text.encode(), ec.ECDSA(hashes.SHA256())).hex()

    def matches(self, text: str, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self._key_pair.public_key().verify(
                bytes.fromhex(signature), text.encode(), ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, ValueError):
            return False
        return True


def private_key(credentials: Credentials) -> EllipticCurvePrivateKey:
    """Return the key pair of `credentials`; raises `ImportError` if cryptography is missing."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as missing:
        raise ImportError(
            "SigV4a needs cryptography: pip install 'smruntime-core[sigv4a]'"
        ) from missing
    return ec.derive_private_key(private_number(credentials), ec.SECP256R1())


def private_number(credentials: Credentials) -> int:
    """Return the private key as a number from 1 to the order of the curve less one."""
    key_label = ECDSA.encode() + b"\0" + credentials.access_key_id.encode()
    secret = b"AWS4A" + credentials.secret_access_key.encode()
    for counter in range(1, 255):
        counter_block = b"\0\0\0\1" + key_label + bytes((counter,)) + b"\0\0\1\0"
        candidate = int.from_bytes(hmac.digest(secret, counter_block, "sha256"), "big")
        if candidate <= ORDER - 2:
            return candidate + 1
    raise AssertionError("254 numbers of 256 bits, all above the order of the curve")
