"""Server certificates of the host's own authority. The authority's certificate is `tls/authority.crt`: trust it in
clients that check, for example `curl --cacert`.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=395)
"""As long as AWS Certificate Manager's certificates live (13 months)."""
_AUTHORITY_LIFETIME = datetime.timedelta(days=3650)


class Authority:
    """Makes certificates in a directory; its own key is made on first use and kept there, readable by its owner."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def holds(self, name: str, names: Iterable[str]) -> bool:
        """Whether the certificate `name` exists for exactly these DNS names."""
        try:
            found = x509.load_pem_x509_certificates((self._directory / f"{name}.crt").read_bytes())[0]
            present = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (OSError, ValueError, IndexError, x509.ExtensionNotFound):
            return False
        same = present.get_values_for_type(x509.DNSName) == list(names)
        return same and (self._directory / f"{name}.key").exists()

    def names(self) -> tuple[str, ...]:
        """The certificates that exist."""
        return tuple(path.stem for path in self._directory.glob("*.crt") if path.stem != "authority")

    def issue(self, name: str, names: Iterable[str], *, now: datetime.datetime) -> None:
        """Write `<name>.crt` (with the authority's certificate behind it) and `<name>.key`."""
        issuer_key, issuer = self._authority(now)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ecsnet")])
        dns_names = [x509.DNSName(text) for text in names]
        certificate = (
            _builder(subject, issuer.subject, key.public_key(), now, _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(dns_names), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self._write(f"{name}.key", _private(key))
        self._write(f"{name}.crt", certificate.public_bytes(pem) + issuer.public_bytes(pem))

    def remove(self, name: str) -> None:
        for suffix in ("crt", "key"):
            (self._directory / f"{name}.{suffix}").unlink(missing_ok=True)

    def _authority(self, now: datetime.datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key((self._directory / "authority.key").read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((self._directory / "authority.crt").read_bytes())
        except (OSError, ValueError):
            return self._make_authority(now)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return self._make_authority(now)
        return key, certificate

    def _make_authority(self, now: datetime.datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        self._directory.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ecsnet local authority")])
        certificate = (
            _builder(name, name, key.public_key(), now, _AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self._write("authority.key", _private(key))
        self._write("authority.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return key, certificate

    def _write(self, name: str, content: bytes) -> None:
        new = self._directory / f"{name}.new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        os.replace(new, self._directory / name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
