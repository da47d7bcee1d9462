"""One job from its configuration to its result, and pools of jobs."""
