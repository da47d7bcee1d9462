"""Runs made of networks that were trained elsewhere; each format has a file in `formats`."""
