"""Parts shared by the analyses of attribution."""
