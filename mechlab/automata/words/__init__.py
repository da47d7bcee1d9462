"""Words: samples, suites of test words, prefixes and tries."""
