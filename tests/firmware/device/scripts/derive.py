# Keys that follow from keys. Argument: a JSON file of vectors.
import json
import sys
from binascii import unhexlify

from mac import hkdf, rotated_key

with open(sys.argv[1]) as file:
    vectors = json.load(file)
derived = []
for vector in vectors["derive"]:
    info = "%s/%s/%d" % (vector["community"], vector["meter"], vector["kid"])
    derived.append(hkdf(unhexlify(vector["master"]), b"pumasi/1", info.encode()).hex())
rotated = []
for vector in vectors["rotate"]:
    key = unhexlify(vector["key"])
    nonce = unhexlify(vector["nonce"])
    rotated.append(rotated_key(key, vector["community"], vector["meter"], vector["kid"], nonce).hex())
print(json.dumps({"derived": derived, "rotated": rotated}))
