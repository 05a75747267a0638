"""Reads one entry of the configuration's `sensors`, and says which field is wrong and why."""

from configuration import ROLES, ConfigurationError


class Settings:
    """`where` goes before a field's name in messages, as in `sensors[0].`"""

    def __init__(self, fields: dict, where: str = "") -> None:
        self._fields = fields
        self._where = where
        self._used = {"role", "driver"}
        self.role = self.choice("role", ROLES)
        self.driver = str(fields.get("driver"))

    def refusal(self, name: str, why: str) -> ConfigurationError:
        return ConfigurationError("%s%s: %s" % (self._where, name, why))

    def located(self, error: ConfigurationError) -> ConfigurationError:
        """One that knows no place yet."""
        return ConfigurationError(self._where + str(error))

    def fill(self, more: dict) -> None:
        """Settings that hold where these say nothing; they need not be asked for."""
        self._used.update(more)
        self._fields = dict(more, **self._fields)

    def has(self, name: str) -> bool:
        return self._value(name) is not None

    def is_text(self, name: str) -> bool:
        return isinstance(self._value(name), str)

    def integer(self, name: str, least: int, most: int, default: "int | None" = None) -> int:
        """With `default` None the field is required."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        if type(value) is not int or not least <= value <= most:
            raise self.refusal(name, "not an integer from %d to %d" % (least, most))
        return value

    def integers(self, name: str, count: int, least: int, most: int, default: int) -> "tuple[int, ...]":
        """One integer for each of `count` phases."""
        value = self._value(name)
        if value is None:
            return (default,) * count
        if not isinstance(value, list) or len(value) != count:
            raise self.refusal(name, "not a list of %d integers" % count)
        for one in value:
            if type(one) is not int or not least <= one <= most:
                raise self.refusal(name, "not %d integers from %d to %d" % (count, least, most))
        return tuple(value)

    def choice(self, name: str, choices: tuple, default=None):
        value = self._value(name)
        if value is None and default is not None:
            return default
        # True == 1 in Python
        if value not in choices or type(value) is bool:
            raise self.refusal(name, "not one of " + ", ".join([str(choice) for choice in choices]))
        return value

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self._value(name)
        if value is None:
            return default
        if type(value) is not bool:
            raise self.refusal(name, "neither true nor false")
        return value

    def text(self, name: str) -> str:
        value = self._value(name)
        if not isinstance(value, str) or not value:
            raise self.refusal(name, "missing, or not a text")
        return value

    def unused(self) -> "tuple[str, ...]":
        """Names that no driver asked for."""
        return tuple(sorted(name for name in self._fields if name not in self._used))

    def _value(self, name: str):
        self._used.add(name)
        return self._fields.get(name)
