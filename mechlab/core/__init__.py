"""The vocabulary that everything else shares: tasks, losses, models, analyses, recipes, plans, updates, randomness."""
