"""The table of what runs on what: its cells, their trials on tiny trained networks, and the page that shows it."""
