"""The command line: one thin file per verb, each imported when it is called."""
