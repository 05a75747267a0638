"""What a person typed, or a file they gave, cannot be used."""


class CommandError(Exception):
    """One line that says where, what and why; the command ends with status 2."""
