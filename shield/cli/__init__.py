"""Command line: one file per group of commands, loaded only when the command is called.

``app`` holds the table of commands, ``group`` loads them and turns errors into one line,
``options`` the options they share, ``render`` tables, JSON and plain text.
"""
