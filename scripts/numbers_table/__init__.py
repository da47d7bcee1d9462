"""The table of published and measured numbers: its rows, what runs measured, and the page that shows it."""
