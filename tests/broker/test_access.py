import pytest

from broker import access, passwords

MARKET, METER = "rural3/_market", "rural3/m001"
RULES = access.parse(access.access_list("rural3"))


@pytest.mark.parametrize(
    ("user", "action", "topic", "allowed"),
    [
        (METER, "write", "pumasi/1/rural3/m001/reading", True),
        (METER, "write", "pumasi/1/rural3/m001/status", True),
        (METER, "write", "pumasi/1/rural3/m002/reading", False),
        (METER, "write", "pumasi/1/other/m001/reading", False),
        (METER, "write", "pumasi/1/rural3/m001/ack", False),
        (METER, "write", "pumasi/1/rural3/_price", False),
        (METER, "write", "pumasi/1/rural3/m001/reading/more", False),
        (METER, "read", "pumasi/1/rural3/m001/ack", True),
        (METER, "read", "pumasi/1/rural3/m001/config", True),
        (METER, "read", "pumasi/1/rural3/m001/result", True),
        (METER, "read", "pumasi/1/rural3/_price", True),
        (METER, "read", "pumasi/1/rural3/_chain", True),
        (METER, "read", "pumasi/1/rural3/_node/n5/price", True),
        (METER, "read", "pumasi/1/rural3/_node/#", True),
        (METER, "read", "pumasi/1/rural3/m001/reading", False),
        (METER, "read", "pumasi/1/rural3/m002/ack", False),
        (METER, "read", "pumasi/1/rural3/+/ack", False),
        (METER, "read", "pumasi/1/rural3/m001/+", False),
        (METER, "read", "pumasi/1/rural3/#", False),
        (METER, "read", "#", False),
        (MARKET, "read", "pumasi/1/rural3/+/reading", True),
        (MARKET, "read", "pumasi/1/rural3/m001/status", True),
        (MARKET, "read", "pumasi/1/other/+/reading", False),
        (MARKET, "read", "pumasi/1/+/+/reading", False),
        (MARKET, "write", "pumasi/1/rural3/m001/ack", True),
        (MARKET, "write", "pumasi/1/rural3/_node/n5/price", True),
        (MARKET, "write", "pumasi/1/other/m001/ack", False),
        ("rural3/+", "write", "pumasi/1/rural3/m001/reading", False),
        ("rural3/#", "read", "pumasi/1/rural3/m001/ack", False),
    ],
)
def test_who_may(user: str, action: access.Action, topic: str, allowed: bool) -> None:
    assert RULES.allows(user, action, topic) is allowed


@pytest.mark.parametrize(
    ("allowed", "wanted", "covered"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("a", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a/#", True),
        ("a/#", "a", True),  # MQTT 3.1.1, 4.7.1.2: the multi-level wildcard includes the parent level
        ("a/#", "+/b", False),
        ("#", "a", True),
        ("+/b", "a/b", True),
        ("+/b", "+/+", False),
    ],
)
def test_a_filter_covers_another(allowed: str, wanted: str, covered: bool) -> None:
    assert access.covers(allowed, wanted) is covered


@pytest.mark.parametrize(
    "user", ["other/m001", "rural3", "rural3/", "rural3/M1", "rural3/m001/x", "/m001", "rural3/_x"]
)
def test_only_users_of_the_community(user: str) -> None:
    access.check_users([METER, MARKET], "rural3")
    with pytest.raises(ValueError, match="not a user of the community"):
        access.check_users([user], "rural3")


@pytest.mark.parametrize("line", ["topic read a", "user", "pattern deny a", "topic readwrite a", "nonsense"])
def test_a_line_that_is_not_understood_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="access list, line 1"):
        access.parse(line)


def test_passwords() -> None:
    entry = passwords.hashed("secret")
    assert entry.startswith("$7$101$")
    assert passwords.matches("secret", entry)
    assert not passwords.matches("Secret", entry)
    assert not passwords.matches("", entry)
    assert passwords.hashed("secret") != entry  # salted
    with pytest.raises(ValueError, match="without a colon"):
        passwords.password_file({"a:b": "x"})
    with pytest.raises(ValueError, match="a password"):
        passwords.password_file({"a": ""})
    with pytest.raises(ValueError, match=r"\$7\$"):
        passwords.matches("x", "$6$1$a$b")
