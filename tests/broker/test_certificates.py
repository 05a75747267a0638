"""What the authority signs, and for how long; OpenSSL's own view of it is tested by the live broker."""

from __future__ import annotations

import datetime as dt
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from broker import certificates
from broker.certificates import Authority, CertificateError

NOW = dt.datetime(2026, 11, 22, 2, 0, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return certificates.new_authority("Pumasi rural3", certificates.new_key(), NOW)


def test_the_authority_signs_end_certificates_only_and_outlives_the_meters(authority: Authority) -> None:
    certificate = authority.certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and usage.crl_sign and not usage.digital_signature
    assert isinstance(authority.key.curve, ec.SECP256R1)
    assert certificates.days_left(certificate, NOW) == 25 * 365


def test_a_servers_certificate_is_good_for_its_names_and_no_others(authority: Authority) -> None:
    key = certificates.new_key()
    signed = certificates.server_certificate(authority, key, ["hub.local", "192.0.2.7"], NOW)
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hub.local"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("192.0.2.7")]
    assert certificates.days_left(signed, NOW) == 2 * 365
    trusted = PolicyBuilder().store(Store([authority.certificate])).time(NOW)
    trusted.build_server_verifier(x509.DNSName("hub.local")).verify(signed, [])
    trusted.build_server_verifier(x509.IPAddress(ipaddress.ip_address("192.0.2.7"))).verify(signed, [])
    with pytest.raises(x509.verification.VerificationError):
        trusted.build_server_verifier(x509.DNSName("other.local")).verify(signed, [])


def test_a_meters_certificate_is_a_clients_and_no_servers(authority: Authority) -> None:
    signed = certificates.client_certificate(authority, "rural3/m001", certificates.new_key(), NOW)
    usage = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert signed.subject.rfc4514_string() == "CN=rural3/m001"
    assert certificates.days_left(signed, NOW) == 12 * 365
    assert signed.not_valid_before_utc == NOW - dt.timedelta(days=1)


def test_no_certificate_outlives_the_authority(authority: Authority) -> None:
    late = NOW + dt.timedelta(days=20 * 365)
    signed = certificates.client_certificate(authority, "rural3/m001", certificates.new_key(), late)
    assert signed.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_name_that_a_certificate_cannot_hold_is_refused(authority: Authority) -> None:
    certificates.client_certificate(authority, "c" * 32 + "/" + "m" * 31, certificates.new_key(), NOW)
    with pytest.raises(CertificateError, match="65 characters; a certificate's name holds 64"):
        certificates.client_certificate(authority, "c" * 32 + "/" + "m" * 32, certificates.new_key(), NOW)


def test_revocation_lists_follow_each_other_even_within_a_second(authority: Authority) -> None:
    first = certificates.revocation_list(authority, {}, None, NOW)
    second = certificates.revocation_list(authority, {7: 1_800_000_000}, first, NOW)
    third = certificates.revocation_list(authority, {7: 1_800_000_000, 9: 1_800_000_001}, second, NOW)
    lists = [first, second, third]
    assert [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in lists] == [1, 2, 3]
    assert first.last_update_utc < second.last_update_utc < third.last_update_utc < NOW
    assert certificates.revoked_serials(third) == {7: 1_800_000_000, 9: 1_800_000_001}
    public = authority.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert all(crl.is_signature_valid(public) for crl in lists)
    assert third.next_update_utc == authority.certificate.not_valid_after_utc


def test_what_is_no_key_or_certificate_is_told() -> None:
    for read in (certificates.read_key, certificates.read_certificate, certificates.read_revocation_list):
        with pytest.raises(CertificateError, match="not a"):
            read(b"nonsense")
