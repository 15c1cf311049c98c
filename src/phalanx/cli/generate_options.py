"""The options of ``phalanx generate``: how each is written, and what ``--help`` says of it."""

from typing import Annotated, Literal

from cyclopts import Group, Parameter

_TEXT = Parameter(group=Group("What to continue, and how far", sort_key=1))
_CHOICE = Parameter(group=Group("Which token comes next, applied in this order", sort_key=2))
_FORM = Parameter(group=Group("How many, in what form, and where", sort_key=3))
_ANY_TEXT = Parameter(allow_leading_hyphen=True)
_FLAG = Parameter(negative=(), show_default=False)

Prompt = Annotated[
    str,
    _TEXT,
    _ANY_TEXT,
    Parameter(
        help='The text to continue; "-" reads it from stdin. Without one, a new document is begun.',
        show_default=False,
    ),
]
Prompts = Annotated[
    str | None,
    _TEXT,
    _ANY_TEXT,
    Parameter(
        help='A file of prompts, "-" for stdin; the results are JSON lines. A .jsonl file holds an '
        'object {"prompt": "..."} a line, whose other keys are kept in the results; so does a pipe '
        "that begins with one. Any other holds a prompt a line. Empty lines are skipped."
    ),
]
MaxNewTokens = Annotated[
    int | None,
    _TEXT,
    Parameter(
        help="New tokens at most. Default: 256, or what the model's context leaves; 8 with --trace."
    ),
]
Stop = Annotated[
    tuple[str, ...],
    _TEXT,
    _ANY_TEXT,
    _FLAG,
    Parameter(
        help="End a text before this string. May be given several times. Most shells write a line "
        "break $'\\n'."
    ),
]
WhenFull = Annotated[
    Literal["error", "stop", "slide"],
    _TEXT,
    Parameter(
        help="Where the model's context ends. error: refuse the request before anything is "
        "written. stop: end the text there. slide: drop the oldest half of the context, read the "
        "rest again in one parallel pass, and go on."
    ),
]
RepetitionPenalty = Annotated[
    float,
    _CHOICE,
    Parameter(
        help="Above 1 avoids tokens that the prompt or the text already has: their scores are "
        "divided by this where positive, multiplied where negative."
    ),
]
Temperature = Annotated[
    float,
    _CHOICE,
    Parameter(help="Below 1 prefers likely tokens, above 1 evens out; 0 is the same as --greedy."),
]
TopK = Annotated[
    int | None, _CHOICE, Parameter(help="Draw from this many of the most likely tokens.")
]
TopP = Annotated[
    float | None,
    _CHOICE,
    Parameter(help="Draw from the most likely tokens that together reach this probability."),
]
MinP = Annotated[
    float | None,
    _CHOICE,
    Parameter(
        help="Draw from the tokens that are at least this many times as likely as the likeliest; "
        "0.05 is usual."
    ),
]
Greedy = Annotated[bool, _CHOICE, _FLAG, Parameter(help="Take the most likely token each time.")]
Seed = Annotated[
    int,
    _CHOICE,
    Parameter(help="Fixes what is drawn. The other prompts and samples do not matter to a text."),
]
N = Annotated[
    int,
    _FORM,
    Parameter(name=("--n", "--samples"), help="How many texts to draw for each prompt."),
]
BatchSize = Annotated[
    int,
    _FORM,
    Parameter(
        help="How many texts are written at once. They do not depend on it, except where rounding "
        "decides between two tokens that are nearly equal."
    ),
]
Output = Annotated[
    str | None,
    _FORM,
    _ANY_TEXT,
    Parameter(
        name=("--output", "-o"),
        help="Write the results to this new file as JSON lines: prompt, sample, seed, text, "
        'tokens, ended (end, stop, length or interrupted). "-" is stdout.',
    ),
]
Json = Annotated[
    bool,
    _FORM,
    _FLAG,
    Parameter(help="Print data as JSON on stdout; all else goes to stderr."),
]
Trace = Annotated[
    bool,
    _FORM,
    _FLAG,
    Parameter(help="Show call by call what depends on what, traced while it runs."),
]
Device = Annotated[str, _FORM, Parameter(help="Where to compute: auto, cpu or cuda.")]
