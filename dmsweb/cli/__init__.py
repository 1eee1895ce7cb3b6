"""The command line: `python -m dmsweb.cli`."""
