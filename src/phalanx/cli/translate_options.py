"""The options of ``phalanx translate``: how each is written, and what ``--help`` says of it."""

from typing import Annotated

from cyclopts import Group, Parameter

_TEXT = Parameter(group=Group("What to translate, and where to", sort_key=1))
_SEARCH = Parameter(group=Group("How to search", sort_key=2))
_FORM = Parameter(group=Group("In what form", sort_key=3))
_ANY_TEXT = Parameter(allow_leading_hyphen=True)
_FLAG = Parameter(negative=(), show_default=False)

Input = Annotated[
    str | None,
    _TEXT,
    _ANY_TEXT,
    Parameter(
        name=("--input", "-i"), help='A file of lines to translate. Default, and "-": stdin.'
    ),
]
Output = Annotated[
    str | None,
    _TEXT,
    _ANY_TEXT,
    Parameter(name=("--output", "-o"), help='A new file to write. Default, and "-": stdout.'),
]
Beam = Annotated[
    int,
    _SEARCH,
    Parameter(
        help="Hypotheses that are kept for each line; 1 takes the likeliest token each time. More "
        "take longer."
    ),
]
LengthPenalty = Annotated[
    float,
    _SEARCH,
    Parameter(
        help="Scores are divided by ((5 + length) / 6) to this power (Wu et al. 2016): above 0 "
        "favours longer translations, 0 takes the most likely one."
    ),
]
MaxNewTokens = Annotated[
    int | None,
    _SEARCH,
    Parameter(
        help="Tokens of a translation at most. Default: 30 and five for each token of the line, "
        "within the model's context."
    ),
]
BatchSize = Annotated[
    int,
    _SEARCH,
    Parameter(
        help="Lines translated at once. Translations do not depend on it, except where rounding "
        "decides between scores that are nearly equal."
    ),
]
N = Annotated[
    int,
    _FORM,
    Parameter(
        name="--n",
        help="The best so many translations of each line, at most as many as the beam is wide. "
        "Above 1, a line of output is the line's number, the score and the text, separated by "
        "tabs.",
    ),
]
Json = Annotated[
    bool,
    _FORM,
    _FLAG,
    Parameter(
        help="JSON lines: source, text, score, log_probability, tokens, ended (or cut at the "
        "length), cut (tokens of the line that were not read); with --n the candidates."
    ),
]
Attention = Annotated[
    str | None,
    _FORM,
    Parameter(
        help="Write which source tokens each token looked at, by layer and head, to this new file: "
        "FILE.json of the first 20 lines, or FILE.svg, a picture of the first line."
    ),
]
Device = Annotated[str, _FORM, Parameter(help="Where to compute: auto, cpu or cuda.")]
