"""The operator's door: the command `sealgate`, one file for each command.

Exit codes: 0 done, 1 could not run, 2 the answer is no, 3 the input is invalid (bad usage too), 10 and up as a command
documents.
Start-up must be quick: a command file imports what it needs inside its function.
"""
