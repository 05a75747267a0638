"""Street data and the script that makes it."""
