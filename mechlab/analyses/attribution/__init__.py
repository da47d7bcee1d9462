"""What the analyses of attribution share."""
