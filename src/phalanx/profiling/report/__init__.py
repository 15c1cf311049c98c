"""What a profile looks like: tables for a terminal, and one page of HTML."""
