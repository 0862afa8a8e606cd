"""SigV4a: a pair of keys on the curve P-256 in place of HMAC, so that one signature is good in many regions.

The private key is derived from the secret (NIST SP 800-108, counter mode, HMAC-SHA256): a block of

    00000001 ‖ "AWS4-ECDSA-P256-SHA256" ‖ 00 ‖ access key id ‖ counter (one byte) ‖ 00000100

keyed with "AWS4A" + secret, read as a number c; if c ≤ n - 2 (n is the order of the curve) the key is c + 1, else the next counter
is tried. The public key follows from it, so a server that knows the secret can verify. A signature is ECDSA over SHA-256 of the
string to sign, DER in hexadecimal: it differs each time, so compare strings to sign, and verify signatures.

The curve's arithmetic is cryptography's (extra `sigv4a`), imported when a key is made and not before.
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
    """SigV4a; raises `ImportError` saying what to install if there is no cryptography."""

    algorithm = ECDSA

    def __init__(self, credentials: Credentials, date: str, scope: RegionSet) -> None:
        super().__init__(date, f"{date}/{scope.service}/aws4_request")
        self.region_set = scope.region
        self._private = private_key(credentials)

    def sign(self, text: str) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._private.sign(text.encode(), ec.ECDSA(hashes.SHA256())).hex()

    def matches(self, text: str, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self._private.public_key().verify(
                bytes.fromhex(signature), text.encode(), ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, ValueError):
            return False
        return True


def private_key(credentials: Credentials) -> EllipticCurvePrivateKey:
    """The key pair of `credentials`; raises `ImportError` saying what to install if there is no cryptography."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as missing:
        raise ImportError(
            "SigV4a needs cryptography: pip install 'smruntime-core[sigv4a]'"
        ) from missing
    return ec.derive_private_key(private_number(credentials), ec.SECP256R1())


def private_number(credentials: Credentials) -> int:
    """The private key as a number from 1 to the curve's order less one."""
    for counter in range(1, 255):
        block = (
            b"\0\0\0\1"
            + ECDSA.encode()
            + b"\0"
            + credentials.access_key_id.encode()
            + bytes((counter,))
            + b"\0\0\1\0"
        )
        candidate = int.from_bytes(
            hmac.digest(b"AWS4A" + credentials.secret_access_key.encode(), block, "sha256"), "big"
        )
        if candidate <= ORDER - 2:
            return candidate + 1
    raise AssertionError("254 numbers of 256 bits, and all above the order of the curve")
