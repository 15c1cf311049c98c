"""Generate corpus.txt, the fixed text of golden figures: python tests/goldens/make_corpus.py

About 100 kB: sentences of a small grammar over a varied vocabulary, lines that look like code, and
some text that is not ASCII. Predictable enough that a small model learns it in seconds (agreement,
brackets, a closing word that depends on an opening one), and not so small that it is learned by
heart. The generator draws from its own hash, not from ``random``, whose choices may change between
Python versions.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

SEED = 2017
SIZE = 100_000  # bytes, at least
PATH = Path(__file__).with_name("corpus.txt")

PEOPLE = """the archer|the baker|the captain|the carpenter|the clerk|the dancer|the doctor
the farmer|the fisherman|the gardener|the guard|the hunter|the judge|the keeper|the miller
the painter|the pilot|the poet|the sailor|the scholar|the shepherd|the singer|the smith
the soldier|the tailor|the teacher|the traveller|the weaver|Amelia|Bertrand|Chiara|Dmitri
Élodie|Farid|Grète|Hiroshi|Inès|José|Łucja|Nkechi|Oğuz|Søren|Zoë"""
PLACES = """the bridge|the castle|the cellar|the cliff|the desert|the field|the forest
the garden|the harbour|the hill|the island|the kitchen|the lake|the library|the market
the meadow|the mill|the mountain|the orchard|the palace|the river|the road|the shore
the square|the station|the tower|the valley|the village|the wall|the workshop|Köln|Málaga
Reykjavík|São Paulo|Zürich"""
THINGS = """apple|barrel|basket|blanket|book|bottle|bowl|box|broom|candle|chair|clock|coat
compass|copper|cup|door|drum|feather|flute|glove|hammer|helmet|horn|jar|kettle|key|knife
ladder|lamp|letter|map|mirror|needle|oar|pearl|pipe|plate|ribbon|ring|rope|sail|saddle|shield
spear|stone|table|thread|torch|wheel"""
QUALITIES = """amber|ancient|blue|brittle|broken|clean|cold|crooked|dark|dusty|empty|faded
golden|green|heavy|hollow|iron|light|little|long|narrow|new|old|painted|pale|plain|polished
quiet|red|rough|round|rusty|sharp|silver|smooth|strange|thin|white|wide|wooden"""
DEEDS = """borrowed|brought|buried|carried|cleaned|counted|described|dropped|examined|found
gave away|held|hid|kept|left|lifted|lost|mended|noticed|painted|praised|received|remembered
repaired|sold|stole|traded|wanted|washed|wrapped"""
MOVES = """arrived at|came back from|crossed|hurried to|left|looked towards|passed
returned to|rode to|rested near|sailed past|stood before|walked through|wandered around"""
TIMES = """after supper|at dawn|at midnight|at noon|before the storm|during the feast
every autumn|in the evening|in the morning|in winter|later|on the third day|once
some years ago|that night"""
NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
VARIABLES = (
    "batch|count|depth|head|index|key|length|mask|query|row|score|state|step|token|value|width"
)
CALLS = (
    "append|combine|decode|encode|gather|measure|multiply|normalize|rewind|scatter|select|update"
)
CHINESE_WHO = "诗人|农夫|船长|老师|画家|裁缝|牧羊人|医生|木匠|旅人"
CHINESE_WHERE = "河边|山上|城里|花园里|桥头|市场上|图书馆里|海岸"
CHINESE_DID = "看见了|找到了|丢失了|修好了|卖掉了|带来了"
CHINESE_WHAT = "一盏灯|一本书|一面镜子|一把钥匙|一封信|一只船|三块石头|两顶帽子"
SIGNS = """🌊 the tide is in|🔥 mind the fire|🏛️ no market today|🚀 departures|🎶 music at nine
🐑🐑 sheep ahead"""
MENUS = "crème brûlée|jalapeño soup|smörgåsbord|pão de queijo|żurek|tōfu|æbleskiver|piñata cake"


class Dice:
    """Choices from a hash of (seed, number of the choice): the same on every Python."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.drawn = 0

    def below(self, limit: int) -> int:
        self.drawn += 1
        data = hashlib.sha256(f"{self.seed}/{self.drawn}".encode()).digest()
        return int.from_bytes(data[:8], "big") % limit

    def of(self, words: str | Sequence[str]) -> str:
        listed = words.replace("\n", "|").split("|") if isinstance(words, str) else words
        return listed[self.below(len(listed))]


def thing(dice: Dice) -> str:
    """A noun phrase whose article, and number, agree with what follows."""
    noun = dice.of(THINGS)
    quality = f"{dice.of(QUALITIES)} " if dice.below(3) else ""
    if dice.below(4) == 0:
        hissing = noun.endswith(("x", "s", "ch"))
        plural = "knives" if noun == "knife" else noun + ("es" if hissing else "s")
        return f"{dice.of(NUMBERS)} {quality}{plural}"
    vowel = (quality or noun)[0] in "aeiou"
    return f"{'an' if vowel else 'a'} {quality}{noun}"


def clause(dice: Dice) -> str:
    who = dice.of(PEOPLE)
    if dice.below(2):
        return f"{who} {dice.of(DEEDS)} {thing(dice)}"
    return f"{who} {dice.of(MOVES)} {dice.of(PLACES)}"


def sentence(dice: Dice) -> str:
    form = dice.below(6)
    if form == 0:
        text = f"{dice.of(TIMES)}, {clause(dice)}"
    elif form == 1:
        text = f"{clause(dice)}, and {clause(dice)}"
    elif form == 2:  # a far dependency: the opening word decides the closing one
        opening, closing = (("either", "or"), ("both", "and"), ("neither", "nor"))[dice.below(3)]
        text = f"{dice.of(PEOPLE)} wanted {opening} {thing(dice)} {closing} {thing(dice)}"
    elif form == 3:
        text = f"when {clause(dice)}, {clause(dice)}"
    elif form == 4:
        text = f'"{thing(dice).capitalize()}?" asked {dice.of(PEOPLE)} near {dice.of(PLACES)}'
    else:
        text = clause(dice)
    return text[0].upper() + text[1:] + ".......!"[dice.below(8)]


def paragraph(dice: Dice) -> str:
    return " ".join(sentence(dice) for _ in range(3 + dice.below(4)))


def code(dice: Dice) -> str:
    name, call = dice.of(VARIABLES), dice.of(CALLS)
    other = dice.of([word for word in VARIABLES.split("|") if word != name])
    lines = [
        f"def {call}_{name}({name}, {other}=0x{dice.below(256):02x}):",
        f"    for {other}_{dice.below(8)} in range({dice.below(64)}):",
        f"        {name}[{dice.below(16)}] += {call}({other}, ({name} - {dice.below(100)}) * 2)",
        f"    return {{\"{name}\": {name}, '{other}': [{dice.below(10)}, {dice.below(10)}]}}",
    ]
    return "\n".join(lines)


def chinese(dice: Dice) -> str:
    return "".join(
        f"{dice.of(CHINESE_WHO)}在{dice.of(CHINESE_WHERE)}{dice.of(CHINESE_DID)}"
        f"{dice.of(CHINESE_WHAT)}。"
        for _ in range(1 + dice.below(3))
    )


def notice(dice: Dice) -> str:
    price = f"{1 + dice.below(20)},{dice.below(10)}0 €"
    return f"{dice.of(SIGNS)}\t{dice.of(MENUS)} — {price}"


def make_corpus(seed: int = SEED, size: int = SIZE) -> str:
    dice = Dice(seed)
    parts: list[str] = []
    length = 0
    while length < size:
        kind = dice.below(20)
        if kind < 14:
            part = paragraph(dice)
        elif kind < 17:
            part = code(dice)
        elif kind < 19:
            part = chinese(dice)
        else:
            part = notice(dice)
        parts.append(part + "\n\n")
        length += len(parts[-1].encode())
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(make_corpus(), encoding="utf-8", newline="\n")
    print(f"{PATH}: {PATH.stat().st_size} bytes")
