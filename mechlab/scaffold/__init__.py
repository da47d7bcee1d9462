"""Working examples of a new task, model or analysis, which `mechlab new` writes for a person to edit."""
