# Seals and checks what the contract's vectors say. Argument: a JSON file of vectors.
import json
import sys
from binascii import unhexlify

from mac import Hmac, sign, verify

with open(sys.argv[1]) as file:
    vectors = json.load(file)["seal"]
sealed = []
for vector in vectors:
    key = unhexlify(vector["key"])
    topic = vector["topic"]
    whole = sign(key, topic, vector["body"].encode()[:-1])
    assert verify(key, topic, whole)
    assert not verify(key, topic + "x", whole)
    assert not verify(bytes(32), topic, whole)
    assert not verify(key, topic, b"")
    assert not verify(key, topic, whole + b" ")
    for index in range(len(whole)):
        changed = bytearray(whole)
        changed[index] ^= 1
        assert not verify(key, topic, bytes(changed)), index
        assert not verify(key, topic, whole[:index]), index
    sealed.append(whole.decode())
# RFC 4231, cases 2 (a short key) and 6 (one longer than a block)
short = Hmac(b"Jefe")
short.update(b"what do ya want ")
short.update(b"for nothing?")
long = Hmac(b"\xaa" * 131)
long.update(b"Test Using Larger Than Block-Size Key - Hash Key First")
print(json.dumps({"sealed": sealed, "rfc": [short.digest().hex(), long.digest().hex()]}))
