"""Formats in which other people's trained networks come: the function NAME in the module NAME reads the format NAME."""
