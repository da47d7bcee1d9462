"""Configuration: schema, building, identity, provenance, and what is said when it is wrong."""
