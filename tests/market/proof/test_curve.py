"""The curve's arithmetic against OpenSSL's, its two implementations together, and what commitments promise."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from market.proof import verify
from market.proof.curve import ORDER, ZERO, P, add, base, commit, decode, encode, generator, multiply, negative
from market.proof.verify import signature_holds

scalars = st.integers(0, ORDER - 1)
figures = st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**62), 2**62), scalars)


def test_the_base_point_and_its_multiples_are_those_of_the_standard() -> None:
    for seed in range(5):
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        digest = bytearray(hashlib.sha512(bytes([seed]) * 32).digest()[:32])
        digest[0] &= 248
        digest[31] = digest[31] & 63 | 64
        scalar = int.from_bytes(digest, "little")
        assert encode([multiply(scalar, base())]) == [key.public_key().public_bytes_raw()]
        assert encode([commit(0, 0, scalar)]) == [key.public_key().public_bytes_raw()]
    assert encode([multiply(ORDER, base())]) == encode([ZERO])


@settings(max_examples=30, deadline=None)
@given(figures)
def test_a_commitment_is_the_sum_of_its_parts(figure: tuple[int, int, int]) -> None:
    energy_wh, money, blinding = figure
    parts = (multiply(energy_wh % ORDER, generator("energy")), multiply(money % ORDER, generator("money")))
    expected = add(add(*parts), multiply(blinding, base()))
    assert encode([commit(*figure)]) == encode([expected])
    assert encode([commit(*figure)]) == [verify._encode(verify._commitment(*figure))]


@settings(max_examples=20, deadline=None)
@given(st.lists(figures, min_size=1, max_size=6))
def test_commitments_add_up(rows: list[tuple[int, int, int]]) -> None:
    total = ZERO
    for row in rows:
        total = add(total, commit(*row))
    energy_wh, money, blinding = (sum(column) for column in zip(*rows, strict=True))
    assert encode([total]) == encode([commit(energy_wh, money, blinding)])
    assert encode([add(total, negative(total))]) == encode([ZERO])


def test_the_generators_are_three_points_of_the_group_and_no_one_is_another() -> None:
    points = [base(), generator("energy"), generator("money")]
    assert len(set(encode(points))) == 3
    for point in points:
        assert encode([multiply(ORDER, point)]) == encode([ZERO])
    # docs/proofs.md: what another verifier must come to
    assert [data.hex() for data in encode(points[1:])] == [ENERGY, MONEY]


ENERGY = "864da44582a590cb07ecf545a0f7979341a4251d66249f72bd0825504fdf3ef9"
MONEY = "4b583b17fdea70349e994a27edf79fdef721572849707a713182a8f59ffbe6ae"

NO_POINTS = [
    P.to_bytes(32, "little"),
    (P + 1).to_bytes(32, "little"),
    (2**255 - 1).to_bytes(32, "little"),
    (1 | 1 << 255).to_bytes(32, "little"),
    (2).to_bytes(32, "little"),
    b"",
]


@pytest.mark.parametrize("data", NO_POINTS, ids=lambda data: data[:4].hex())
def test_what_is_no_point_is_none(data: bytes) -> None:
    assert decode(data) is None
    if data:
        assert verify._decode(data) is None


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_both_read_the_same_points(data: bytes) -> None:
    one, other = decode(data), verify._decode(data)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert encode([one]) == [verify._encode(other)] == [data]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 64 * 8 - 1), st.booleans())
def test_signatures_are_judged_as_openssl_judges_them(message: bytes, bit: int, whole: bool) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signature = bytearray(key.sign(message))
    if not whole:
        signature[bit // 8] ^= 1 << bit % 8
    public = key.public_key().public_bytes_raw()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(signature), message)
        good = True
    except InvalidSignature:
        good = False
    assert signature_holds(public, message, bytes(signature)) == good == whole
