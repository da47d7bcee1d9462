"""Formats of networks trained by other programs: the function NAME in the module NAME reads the format NAME."""
