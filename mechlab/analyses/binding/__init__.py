"""Analyses of variable binding: where a recurrent network keeps its variables, and what it does with them."""
