"""The words of a comparison, in English and Chinese: those that all reports share, and its own."""

import re
from functools import cache

from phalanx.pages.language import Catalogue, sections

# "> 0.5 serial", "0.05..0.5 partly", "<= 1e-12 exact", "otherwise no": a rule ends in a verdict.
_CLAUSE = re.compile(
    r"(?P<rule>(?:[^A-Za-z,;]|(?<=\d)e(?=[-+]?\d))*|else |otherwise )(?P<verdict>[a-z_]+)"
)
_ELSE = {"en": "otherwise ", "zh": "否则"}


class StudyWords(Catalogue):
    """The words of one language, rules and weights among them."""

    def threshold(self, rule: str) -> str:
        """Return a rule such as ``> 0.5 serial, < 0.05 parallel`` with its verdicts in words."""
        clauses = re.split(r"\s*([,;])\s*", rule.strip())
        words = []
        for clause in clauses:
            match = _CLAUSE.fullmatch(clause)
            if clause in (",", ";"):
                words.append(clause + " ")
            elif match and match["verdict"] in self.sections["verdict"]:
                lead = match["rule"]
                lead = _ELSE[self.language] if lead in ("else ", "otherwise ") else _signs(lead)
                words.append(lead + self.name("verdict", match["verdict"]))
            else:
                return self.sentence(rule)
        return "".join(words)

    def variant(self, key: str) -> str:
        """Return the words for the weights of a distance curve: ``fresh``, ``radius 0.5`` ..."""
        word, _, value = key.partition(" ")
        return (
            self.name("variant", word).format(value=value) if value else self.name("variant", key)
        )


@cache
def catalogue(language: str) -> StudyWords:
    """Return the catalogue of ``language``; raises UsageError for a language without one."""
    return StudyWords(language, sections(language, "phalanx.comparison.report"))


def _signs(rule: str) -> str:
    for plain, sign in ((">=", "≥"), ("<=", "≤"), ("..", "–")):
        rule = rule.replace(plain, sign)
    return rule
