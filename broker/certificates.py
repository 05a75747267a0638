"""The community's certification authority: EC P-256 keys, X.509 certificates and the revocation list (RFC 5280).

Lifetimes. Meters pin the authority for the ten years and more that they hang in their cupboards, so it lives for 25
years and a meter's certificate for 12. Nobody pins the server's certificate, which is renewed every two years
(``pumasi broker renew``). The revocation list is a file beside the broker, never fetched from elsewhere, so an early
expiry would guard against nothing and lock every meter out: it lasts as long as the authority.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

DAY = dt.timedelta(days=1)
AUTHORITY_DAYS = 25 * 365
METER_DAYS = 12 * 365
SERVER_DAYS = 2 * 365
RENEW_BEFORE_DAYS = 90
"""A server certificate with less than this left is renewed."""
MAX_NAME = 64
"""Longest common name (RFC 5280, appendix A.1: ub-common-name)."""
BACKDATED = DAY
"""Certificates begin a day early: a meter's clock may be a little behind."""

Key = ec.EllipticCurvePrivateKey


class CertificateError(ValueError):
    """A certificate or key cannot be made or read; the message is one line that says why."""


@dataclass(frozen=True)
class Authority:
    """The authority's certificate, and its key where that is at hand."""

    certificate: x509.Certificate
    key: Key


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(name: str, key: Key, now: dt.datetime) -> Authority:
    """A self-signed authority that signs end certificates and revocation lists only."""
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def server_certificate(authority: Authority, key: Key, hosts: Iterable[str], now: dt.datetime) -> x509.Certificate:
    """A certificate for a server that is reached by these DNS names and IP addresses."""
    names = list(hosts)
    alternatives = x509.SubjectAlternativeName([_general_name(host) for host in names])
    builder = _issued(authority, names[0][:MAX_NAME], key, ExtendedKeyUsageOID.SERVER_AUTH, now, SERVER_DAYS)
    return builder.add_extension(alternatives, critical=False).sign(authority.key, hashes.SHA256())


def client_certificate(
    authority: Authority, user: str, key: Key, now: dt.datetime, days: float = METER_DAYS
) -> x509.Certificate:
    """A certificate that proves the broker user. Raises CertificateError for a name that a certificate cannot hold."""
    if len(user) > MAX_NAME:
        raise CertificateError(
            f"{user}: {len(user)} characters; a certificate's name holds {MAX_NAME}: shorten community or meter"
        )
    builder = _issued(authority, user, key, ExtendedKeyUsageOID.CLIENT_AUTH, now, days)
    return builder.sign(authority.key, hashes.SHA256())


def revocation_list(
    authority: Authority, revoked: Mapping[int, int], before: x509.CertificateRevocationList | None, now: dt.datetime
) -> x509.CertificateRevocationList:
    """A list of serial number -> when it was revoked [epoch s]; its number and date are above those of `before`."""
    number, last_update = 1, now - BACKDATED
    if before is not None:
        number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        # Of two lists with one date, OpenSSL may go on believing the older.
        last_update = max(last_update, before.last_update_utc + dt.timedelta(seconds=1))
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(last_update).next_update(authority.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    builder = builder.add_extension(_authority_identifier(authority), critical=False)
    for serial, at in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(entry.revocation_date(dt.datetime.fromtimestamp(at, dt.UTC)).build())
    return builder.sign(authority.key, hashes.SHA256())


def revoked_serials(crl: x509.CertificateRevocationList) -> dict[int, int]:
    """Serial number -> when it was revoked [epoch s]."""
    return {entry.serial_number: int(entry.revocation_date_utc.timestamp()) for entry in crl}


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_der(key: Key) -> bytes:
    """The key as SEC 1 (RFC 5915): what mbedTLS on the meter reads in every version."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def pem(thing: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return thing.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def read_key(content: bytes) -> Key:
    """Raises CertificateError when it is no EC key in PEM."""
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"not a private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("not an EC key")
    return key


def read_certificate(content: bytes) -> x509.Certificate:
    """Raises CertificateError when it is no certificate in PEM."""
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise CertificateError(f"not a certificate: {error}") from None


def read_revocation_list(content: bytes) -> x509.CertificateRevocationList:
    """Raises CertificateError when it is no revocation list in PEM."""
    try:
        return x509.load_pem_x509_crl(content)
    except ValueError as error:
        raise CertificateError(f"not a revocation list: {error}") from None


def days_left(certificate: x509.Certificate, now: dt.datetime) -> int:
    return (certificate.not_valid_after_utc - now) // DAY


def _issued(
    authority: Authority, name: str, key: Key, purpose: ObjectIdentifier, now: dt.datetime, days: float
) -> x509.CertificateBuilder:
    # A certificate cannot outlive the authority that vouches for it.
    ends = min(now + days * DAY, authority.certificate.not_valid_after_utc)
    builder = _builder(_name(name), authority.certificate.subject, key.public_key(), now, (ends - now) / DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.add_extension(_authority_identifier(authority), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: dt.datetime, days: float
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + days * DAY)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _authority_identifier(authority: Authority) -> x509.AuthorityKeyIdentifier:
    public = authority.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
