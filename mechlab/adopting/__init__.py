"""Conversion of networks that were trained elsewhere to runs; each format has a file in `formats`."""
