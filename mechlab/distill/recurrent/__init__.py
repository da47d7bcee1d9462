"""Distilling recurrent networks to programs that read a sequence of integers with a few integer registers."""
