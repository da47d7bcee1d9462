"""The vocabulary that everything else shares: tasks, models, analyses, runs, plans, updates, streams of randomness."""
