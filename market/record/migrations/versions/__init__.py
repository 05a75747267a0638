"""One module for each format, named after it."""
