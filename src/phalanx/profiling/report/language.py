"""The words of a profile, in English and Chinese: those that all reports share, and its own."""

from functools import cache

from phalanx.pages.language import Catalogue, sections


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of ``language``; raises UsageError for a language without one."""
    return Catalogue(language, sections(language, "phalanx.profiling.report"))
