"""Configuration: schema, building of objects, identity, provenance, and readable errors."""
