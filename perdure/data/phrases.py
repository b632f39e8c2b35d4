"""Phrases: how what is known of a clip is put into words, as tables.

`[a|b|c]` is one of these, `{who}` is filled in. Each entry can be said in twenty ways at least. None of the words in
`probe.txt` is in here, nor any other form of one.
"""

import math
import re
from collections.abc import Mapping

import numpy as np

Table = Mapping[str, tuple[str, ...]]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def ways(phrases: tuple[str, ...]) -> int:
    """In how many ways an entry can be said."""
    return sum(math.prod(choice.count("|") + 1 for choice in _CHOICE.findall(phrase)) for phrase in phrases)


def said(phrases: tuple[str, ...], rng: np.random.Generator, **slots: str) -> str:
    """One of these, each way as likely as any other."""
    share = np.array([ways((phrase,)) for phrase in phrases], float)
    phrase = phrases[int(rng.choice(len(phrases), p=share / share.sum()))]
    chosen = _CHOICE.sub(lambda found: str(rng.choice(np.array(found[1].split("|")))), phrase)
    return " ".join(chosen.format(**slots).split())


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip().rstrip(".,;")
    return f"{text[:1].upper()}{text[1:]}."


def third(words: str) -> str:
    """A command as it is told of someone else: "slams the ground"."""
    verb, _, rest = words.partition(" ")
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        verb = f"{verb[:-1]}ies"
    else:
        verb += "es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"
    return f"{verb} {rest}".strip()


def listed(names: list[str]) -> str:
    """ "a, b and c"; what has commas of its own is parted by semicolons."""
    if len(names) < 2:
        return "".join(names)
    if any("," in name for name in names):
        return f"{'; '.join(names[:-1])}; and {names[-1]}"
    return f"{', '.join(names[:-1])} and {names[-1]}"


# Who does what

DEED = (
    "{who} {does}",
    "[now|then|next|here|at this|after that] {who} {does}",
    "{who} [now|then|next|promptly|duly|again] {does}",
    "[we|you|one can] [see|watch] {who} {do}",
    "{who} can be seen to {do}",
    "[it is|there it is] {who} that {does}",
    "{who} {does} [for a while|where it is|in plain sight|before us|in full view]",
)
"""A deed that a creature chose or was told to do: {do} "slam the ground", {does} "slams the ground"."""

PLAYED = (
    "{who} {does}",
    "[now|then|next|here|after that] {who} {does}",
    "{who} [now|then|next|again|promptly|duly] {does}",
    "[it is|this time it is] {who} that {does}",
    "{who} {does} [for a moment|in plain sight|before us|once more|at this point|as we look on]",
)
"""The same of players in a game."""

BEFALLS: Table = {
    "hit": (
        "{who} [reels|staggers|rocks back|flinches|loses its balance] [from the blow|under the blow|"
        "as it is struck|"
        "after being hit]",
        "a blow [lands on|reaches|catches|rocks] {who}",
    ),
    "die": (
        "{who} [goes down|collapses|drops|sinks down|gives out] [for good|and lies still|and does not get up|"
        "and stays down]",
        "[that is the end of|the life goes out of|it is over for|nothing is left in] {who}",
    ),
}
"""Deeds that nobody chooses."""

MET: Table = {
    "hits": (
        "{who} [strikes|hits|lands a blow on|gets through to|deals a blow to] {whom}",
        "{whom} [takes a blow|catches a blow|suffers a hit|gets a blow] from {who}",
        "{whom} is [hit|struck] by {who}",
        "a [blow|strike|hit] by {who} [finds|reaches|lands on|meets] {whom}",
    ),
    "is hit": (
        "{whom} [is hit|is struck|takes a hit|takes a blow|suffers a hit]",
        "a [blow|hit] [lands on|reaches|finds|meets] {whom}",
        "[now|then|here|this time|suddenly] {whom} [is hit|takes a hit]",
    ),
    "blocks": (
        "{whom} [blocks|stops|wards off|turns aside|fends off] [the blow of {who}|what {who} aims at it|{who}]",
        "the blow of {who} [ends at|breaks on|meets|is stopped by] the guard of {whom}",
        "{who} [strikes|hits out], [but|and] {whom} [holds its guard|blocks]",
    ),
    "falls to": (
        "{whom} [falls to|is brought down by|is felled by|goes down before|is beaten by] {who}",
        "{who} [brings down|fells|beats|defeats|finishes] {whom}",
        "[with one last blow|in the end|at last|finally|and so] {who} [brings down|fells|beats] {whom}",
    ),
    "opens": (
        "{who} [opens|pushes open|swings open|moves open|sets open] {whom}",
        "{whom} [opens|swings open|gives way] [at the hand of|for|before] {who}",
        "[now|then|here|next|after that] {who} [opens|pushes open] {whom}",
    ),
    "closes": (
        "{who} [closes|shuts|pushes shut|swings shut] {whom}",
        "{whom} [closes|swings shut|falls shut] [at the hand of|behind|before] {who}",
        "[now|then|here|next|after that] {who} [closes|shuts] {whom}",
    ),
    "takes up": (
        "{who} [takes up|picks up|lifts|gets hold of|gathers up] {whom}",
        "{whom} is [taken up|picked up|lifted|collected] by {who}",
        "[now|then|here|next|after that|a moment later] {who} [takes up|picks up] {whom}",
    ),
    "puts down": (
        "{who} [puts down|sets down|lays down|lets go of|places] {whom}",
        "{whom} is [put down|set down|laid down|let go] by {who}",
        "[now|then|here|next|after that|a moment later] {who} [puts down|sets down] {whom}",
    ),
    "throws": (
        "{who} [throws|hurls|tosses|sends|lets fly] {whom}",
        "{whom} is [thrown|hurled|tossed|sent off] by {who}",
        "[now|then|here|next|after that|a moment later] {who} [throws|hurls] {whom}",
    ),
    "scores": (
        "{who} [wins|scores|takes|makes|gains] [a|the|one more|the next] point",
    ),
    "strikes home": (
        "a shot [of the marine|by the marine|from the marine's gun] [hits|lands|finds its mark|strikes home]",
        "the marine's [shot|bullet] [hits|lands|finds its mark|strikes home]",
    ),
    "kills": (
        "a monster [dies|drops dead|is killed|is shot dead|goes down]",
        "[one|another one] of the monsters [dies|drops dead|is killed|is shot dead|goes down]",
        "the marine [kills|shoots down|brings down|finishes|puts an end to] a monster",
    ),
    "is hurt": (
        "the marine [is hurt|is wounded|loses health|takes harm|suffers]",
        "[something|whatever it is|the ground|what lies there] [hurts|wounds|harms|burns] the marine",
    ),
    "dies": (
        "the marine [dies|is dead|falls dead|is killed|drops dead] [here|at last|in the end|on the spot]",
    ),
    "door opens": (
        "a door [opens|goes up|slides up|rises|lifts] [ahead|before us|in view|in sight|in the wall]",
    ),
    "door closes": (
        "a door [closes|comes down|slides down|shuts|sinks back] [ahead|before us|in view|in sight|in the wall]",
    ),
    "lift up": (
        "[a lift|a platform|part of the floor|a piece of the floor] [goes up|rises|comes up|is raised|climbs]",
    ),
    "lift down": (
        "[a lift|a platform|part of the floor|a piece of the floor] [goes down|sinks|comes down|is lowered|drops]",
    ),
}  # fmt: skip
"""What happened between two, or to one."""

MOMENTS = (
    (r"(?P<who>.+) strikes (?P<whom>.+)", "hits"),
    (r"(?P<whom>.+) is hit", "is hit"),
    (r"(?P<whom>.+) blocks (?P<who>.+)", "blocks"),
    (r"(?P<whom>.+) falls to (?P<who>.+)", "falls to"),
    (r"(?P<who>.+) takes up (?P<whom>.+)", "takes up"),
    (r"(?P<who>.+) takes (?P<whom>something) up", "takes up"),
    (r"(?P<who>.+) puts (?P<whom>.+) down", "puts down"),
    (r"(?P<who>.+) throws (?P<whom>.+)", "throws"),
    (r"(?P<who>.+) wins a point", "scores"),
    (r"the marine's shot hits", "strikes home"),
    (r"a monster dies", "kills"),
    (r"the marine is hurt", "is hurt"),
    (r"the marine dies", "dies"),
    (r"a door opens", "door opens"),
    (r"a door closes", "door closes"),
    (r"a lift goes up", "lift up"),
    (r"a lift goes down", "lift down"),
)
"""How moments are told by their sources, and the entry of `MET` that says the same. Doors are told as events too."""

HANDS = (
    (r"(?P<who>.+) opens (?P<whom>.+)", "opens"),
    (r"(?P<who>.+) closes (?P<whom>.+)", "closes"),
)
"""The same of moments whose kind is "open" or "close": what a hand did."""

EVENTS: Table = {
    "snow": ("[snow|soft snow|white snow|a light snow] [starts|begins] to [fall|come down|settle on everything]",),
    "rain": ("[rain|a steady rain|a grey rain|a shower] [starts|begins|sets in] [overhead|from above|"
        "over the place]",),
    "fog": ("[fog|mist|a pale fog|white mist] [comes up|rolls in|gathers|spreads|thickens] [all around|"
        "over the place]",),
    "storm": ("[a storm|a thunderstorm|foul weather|a wild storm] [breaks|comes up|sets in|begins|gathers] "
        "[overhead|above]",),
    "clear": ("[the weather|the sky|the air|everything above] [clears|clears up|brightens|is clear again|"
        "turns fair]",),
    "dawn": ("[the sun|the morning sun|the first sun|a low sun] [rises|comes up|appears|climbs up|shows itself]",),
    "dusk": ("[the sun|the evening sun|a low red sun|a red sun] [goes down|sinks|gets low|sets|goes to rest]",),
    "night": ("[night|darkness|a dark night|the dark of night] [falls|comes|sets in|arrives|takes over]",),
    "day": ("[the light|the sky|the whole place|the hour] [turns to|becomes that of|changes to] [day|full day|"
        "noon|midday]",),
    "spring": ("[the season|the year|everything|the whole place] [turns|changes|passes] [to spring|into spring|"
        "over to spring]",),
    "summer": ("[the season|the year|everything|the whole place] [turns|changes|passes] [to summer|into summer|"
        "over to summer]",),
    "autumn": ("[the season|the year|everything|the whole place] [turns|changes|passes] [to autumn|into autumn|"
        "over to autumn]",),
    "winter": ("[the season|the year|everything|the whole place] [turns|changes|passes] [to winter|into winter|"
        "over to winter]",),
    "pixel": ("[the picture|everything|the whole world|all one sees] [turns|changes|breaks up] into [pixels|"
        "big pixels|pixel art]",),
    "sketch": ("[the picture|everything|the whole world|all one sees] [turns|changes|goes over] into [a sketch|"
        "a pencil drawing|pencil lines]",),
    "sepia": ("[the picture|everything|the whole world|all one sees] [turns|fades|changes] to [sepia|"
        "brown tones|the brown of old photographs]",),
    "plain": ("[the picture|everything|the whole world|all one sees] [looks|is|becomes] [plain|ordinary|itself|"
        "normal] again",),
    "fireworks": ("[fireworks|rockets|coloured rockets|bright fireworks] [go up|burst|light up|begin|go off] "
        "[in the sky|overhead]",),
    "birds": ("[birds|a flock of birds|a group of birds|some birds] [fly|pass|come by|sail|circle] [overhead|"
        "above]",),
    "fish": ("[fish|a few fish|some fish|small fish] [leap|jump|spring|come up] [from the water|out of the water]",
             "the water is broken by [fish that leap|leaping fish]"),
    "fire": ("[a fire|a blaze|a bonfire|an open fire] [breaks out|starts|flares up|begins to burn|is lit] "
        "[close by|here]",),
    "fire_out": ("[the fire|the blaze|the bonfire|the last flame] [dies down|goes out|burns out|ends|"
        "sinks to nothing]",),
    "door_opens": ("[the door|a door|one of the doors|the nearest door] [opens|swings open|is opened|"
        "comes open|goes open]",),
    "door_closes": ("[the door|a door|one of the doors|the nearest door] [closes|swings shut|is closed|"
        "falls shut|shuts]",),
    "break": ("[an urn|a pot|a glazed pot|something of clay] [breaks|shatters|bursts|goes to pieces|is broken] "
        "[with a crash|all at once|into shards]",),
    "object": ("[something new|a new thing|one thing more|an object] [appears|turns up|comes to be] [here|"
        "close by|on the ground]",),
    "creature": ("[a newcomer|one creature more|another creature|somebody new] [appears|arrives|joins in|"
        "comes in|turns up]",),
}  # fmt: skip
"""What happens to the world, by kind of event."""

# The camera

CAMERA: Table = {
    "stand": ("{eye} [stands still|stays where it is|does not move|rests|keeps its place] [for a while|here|"
        "for now|at this point]",),
    "forward": ("{eye} [goes|moves|walks|travels|heads] [forward|straight on|ahead|on] [at a steady pace|"
        "for a stretch|over the ground]",),
    "back": ("{eye} [goes|moves|walks|backs] [backward|away|back] [at a steady pace|for a stretch|step by step]",),
    "left": ("{eye} [moves|goes|steps|slides] [sideways to the left|to the left|left] [for a stretch|"
        "without turning|step by step]",),
    "right": ("{eye} [moves|goes|steps|slides] [sideways to the right|to the right|right] [for a stretch|"
        "without turning|step by step]",),
    "turn left": ("{eye} [turns|swings|looks round|pans] [to the left|left|toward the left] [where it stands|"
        "on the spot|in place]",),
    "turn right": ("{eye} [turns|swings|looks round|pans] [to the right|right|toward the right] "
        "[where it stands|on the spot|in place]",),
    "bend left": ("{eye} [goes|moves|walks|travels] [on|forward|ahead] and [bends|turns|curves] [to the left|"
        "left]",),
    "bend right": ("{eye} [goes|moves|walks|travels] [on|forward|ahead] and [bends|turns|curves] [to the right|"
        "right]",),
}  # fmt: skip
"""A stretch of the camera's way."""

CARRIED = ("the view", "the vehicle", "the cart one rides")
"""Eyes that cannot be said to walk."""

EYES = {
    "first": ("the camera", "the eye", "the viewer", "whoever looks"),
    "third": ("the camera", "the view", "whoever follows"),
    "animal": ("the animal", "the creature one rides", "the view"),
    "vehicle": ("the vehicle", "the cart one rides", "the view"),
    "": ("the camera", "the view"),
}

_BY = "{eye} [goes|walks|makes its way|wanders|moves]"
WAYS: Table = {
    "free": (f"{_BY} [freely about|about as it likes|here and there|from one spot to another]",),
    "loop": (f"{_BY} [round in a loop|round and round|in a closed loop|"
        f"round the same few spots, again and again]",),
    "rectangle": (f"{_BY} [along the sides of a rectangle|in a rectangle, corner by corner|round four corners|"
        f"in a square round]",),
    "there and back": (f"{_BY} [out and back again|to a far spot and back|there and then back|"
        f"away, and returns the same way]",),
    "rooms": (f"{_BY} [from room to room|through one place after another|from one named place to the next|"
        f"between the places]",),
    "waypoints": (f"{_BY} [from mark to mark, with looks back|by several spots and looks back at each|"
        f"from place to place, looking back|on, and looks back on the way]",),
    "orbit": ("{eye} [goes|walks|moves|travels|wanders] [round a landmark|in a circle round one thing|"
        "round one spot, eyes on it|about a landmark and keeps it in view]",),
    "orbit a creature": ("{eye} [goes|walks|moves|travels|wanders] [round a creature|"
        "in a circle round one of the creatures|round somebody, eyes on them|"
        "about a creature and keeps it in view]",),
    "close look": ("{eye} [goes|walks|moves|steps|comes] [up to things for a close look|close to what is there|"
        "near, to look closely|from thing to thing, close up]",),
    "stand": ("{eye} [stands still|stays in place|hardly moves|keeps to one spot|remains where it is] "
        "[and looks|and watches|all along|the whole time]",),
    "turns": ("{eye} [turns|spins|swings|goes] [all the way round|full circle|round on the spot|about itself] "
        "[and round again|more than once]",),
    "backward": (f"{_BY} [backward|with its back to the way|back first|in reverse]",),
    "carry": (f"{_BY} [about and carries things|with something in hand|from thing to thing, to carry them|"
        f"about, picking things up and putting them down]",),
    "throw": (f"{_BY} [about and throws things|up to things and throws them|from thing to thing, to throw them|"
        f"about with things to throw]",),
    "break": (f"{_BY} [about and breaks what is of clay|up to a pot and breaks it|from thing to thing, to break them|"
        f"about, to throw pots at walls]",),
    "door": (f"{_BY} [up to doors and opens them|from door to door|through doors|"
        f"to a door, opens it, and passes]",),
    "follow": ("{eye} [goes|walks|moves|keeps|stays] [after one of the creatures|behind a creature|"
        "on the heels of somebody|close behind one of them]",),
    "watch": ("{eye} [watches|looks on at|keeps its eyes on|observes|attends to] [the creatures|"
        "what the creatures do|whoever is there|all that goes on]",),
    "dense": (f"{_BY} [by the same views more than once|over the same ground again and again|"
        f"back and forth over known ground|so as to see much again]",),
    "carried": ("{eye} [is carried|is borne|is taken|travels|sways] [by hand|as if in a hand|"
        "the way a hand carries it|with every step of whoever holds it]",),
    "along walls": (f"{_BY} [along the walls|close to the walls|from wall to wall|with a wall at its side]",),
    "there-and-back": (f"{_BY} [out and back again|to a far spot and back|there and then back|"
        f"away, and returns the same way]",),
    "drive": (
        "{eye} [drives|rolls|goes|runs|travels] [on|along|about|from place to place] [on its wheels|over the ground]",
    ),
    "fight": ("{eye} [goes|walks|moves|runs|heads] [into a fight|after its foes, one by one|"
        "to where its foes are|about, looking for a fight]",),
}  # fmt: skip
"""The whole of the camera's way, by kind of trajectory."""

# The whole

OPENS = (
    "[The clip|The story|It all|What we see|The scene] [opens|begins|starts|is set] in {place}, {time}",
    "{Time}, in {place}, [the clip|the story|the scene] [opens|begins|starts]",
    "[This is|Here is|We are in|Before us lies] {place}, {time}",
    "[The place|Where we are] is {place}, {time}",
)

CAST_ONE = (
    "[There is|Here is|One meets|We meet|One sees] {cast}",
    "{Cast} [is there|is about|has the place to itself|is in view at times|keeps it company]",
    "[Somebody else is|One other is|Somebody is] [there|here|about]: {cast}",
    "{Cast} [is to be met|can be met|can be seen] [here|there|on the way]",
)
CAST_MANY = (
    "[There are|Here are|One meets|We meet|One sees] {cast}",
    "{Cast} [are there|are about|share the place|are in view at times|keep it company]",
    "[Others are|Several others are|Some others are] [there|here|about]: {cast}",
    "{Cast} [are to be met|can be met|can be seen] [here|there|on the way]",
)

LINKS = ("Then {it}", "After that {it}", "Next {it}", "Soon {it}", "A little later {it}", "Before long {it}", "{It}",
         "{It}", "{It}", "At that {it}", "Now {it}", "In the meantime {it}", "Presently {it}",
         "Shortly after, {it}", "By and by {it}", "From there on {it}", "At this point {it}",
         "Right after that {it}", "Later {it}", "And now {it}")  # fmt: skip

ENDS = (
    "[So|There|With that|And so|Thus] [it|the clip|the story|the scene] [ends|closes|comes to an end|stops]",
    "[After|In all,] {seconds} seconds [it is over|the clip ends|that is all]",
)

# The place

KINDS: Table = {
    "court": ("[a|an open|a wide|a walled] [court|courtyard|yard] [of stone|laid with stone|under the sky]",),
    "hall": ("[a|a great|a high|a long] [hall|columned hall|stone hall] [with a roof high above|with lamps|"
        "of many columns]",),
    "rooms": ("[a set|a suite|a group|a row] of [rooms|furnished rooms|walled rooms] [with doorways|"
        "joined by doorways|side by side]",),
    "garden": ("[a|a formal|a green|a well kept] [garden|park] [of hedges and beds|with paths and hedges|"
        "of paths and flowers]",),
    "terraces": ("[terraces|three terraces|stone terraces|a hillside of terraces] [with stairs|"
        "with stairs and ramps] [by the sea|above the sea|over the water]",),
    "maze": ("[a|a tall|a green|a winding] [maze|labyrinth|hedge maze] [of hedges|with dead ends|of narrow ways]",),
    "corridors": ("[a building|a house|an interior|the inside of a building] of [corridors|passages|"
        "long corridors] and [rooms|many rooms]",),
    "table": ("[a room|a studio|an interior|a workroom] with [a crowded|a laden|a cluttered] "
        "table [in its middle|at its centre]",),
    "island": ("[an|a small|a sandy|a lonely] [island|isle|island of ruins] [in the sea|"
        "in the middle of the sea|with a ruined temple]",),
    "doom": ("[a level|one of the levels|a map|one of the maps] of [Freedoom|the game Freedoom] "
        "[in the style of the nineties|with painted walls|of pixelated stone and metal]",),
    "boxing": ("[a boxing ring|the ring|a square ring|a roped ring] [seen|viewed|drawn] [from above|"
        "from straight above]",
               "[the screen|the picture|the plain screen|the flat screen] of [the boxing game|"
                   "an old boxing game|boxing on a console]"),
    "pong": ("[a court|the court|a plain court|a flat court] for [a game of pong|pong|two paddles] "
        "[seen from above|on a screen]",),
    "tennis": ("[a tennis court|the tennis court|a plain court|a court with a net] [seen from one end|"
        "drawn in perspective|on a screen] [with its lines|with white lines]",),
}  # fmt: skip
"""Places; nothing in here moves."""

SCREENS: Mapping[str, tuple[str, ...]] = {
    "boxing": ("ropes on four sides",),
    "pong": ("a bar above and a bar below",),
    "tennis": ("a net across the middle",),
}
"""What is on the screens of games."""

SCENE = (
    "{Place}, {time}",
    "[The place is|This is|The picture shows|One sees|The setting is|We look at] {place}, {time}",
    "{Time}: {place}",
    "[What lies before us|What one sees|What is shown|The whole of it|The view] is {place}, {time}",
    "{Place} [lies|stands] [here|before us], {time}",
    "[A view of|A look at|Here is] {place}, {time}",
)
DETAILS = (
    "[There are|One sees|It has|The place has|It is marked by] {things}",
    "[What stands out|What one notices|What is there] is this: {things}",
    "[Its marks are|Among its marks are|To be told by] {things}",
    "[In it are|About the place are|Here and there are|All about are|Within it are] {things}",
    "{Things} [make up the place|mark the place|are its features|give it its look]",
)

TIMES: Mapping[str, tuple[str, ...]] = {
    "dawn": ("at dawn", "in early light", "at first light", "by the low light of morning"),
    "morning": ("in the morning", "by morning light", "on a bright morning", "before noon"),
    "noon": ("at noon", "by day", "in full daylight", "around midday"),
    "afternoon": ("in the afternoon", "by afternoon light", "in the later day", "after noon"),
    "dusk": ("at dusk", "by evening light", "at sunset", "in the evening"),
    "night": ("at night", "in the dark", "by night", "under a night sky"),
    "": ("on a screen", "in the flat colours of a game", "in a game's own light", "as an old game draws it"),
}
WEATHERS: Mapping[str, tuple[str, ...]] = {
    "clear": ("under a clear sky", "in fair weather", "under an open sky", "in clear air"),
    "rain": ("under a rainy sky", "in wet weather", "in the rain", "under grey and rainy clouds"),
    "snow": ("under a snowy sky", "in snow", "in snowy weather", "with snow in the air"),
    "fog": ("in fog", "in thick mist", "in foggy air", "wrapped in fog"),
    "storm": ("under a stormy sky", "in stormy weather", "in a storm", "under black clouds"),
}
SEASONS: Mapping[str, tuple[str, ...]] = {
    "spring": ("in spring", "in the greens of spring", "at springtime"),
    "summer": ("in summer", "in high summer", "in the fullness of summer"),
    "autumn": ("in autumn", "in autumn colours", "among autumn reds and golds"),
    "winter": ("in winter", "in wintry white", "in the cold of winter"),
}
STYLES: Mapping[str, tuple[str, ...]] = {
    "pixel": ("drawn in big pixels", "as pixel art", "in the look of old games"),
    "sketch": ("as a pencil sketch", "drawn in pencil", "in pencil lines"),
    "sepia": ("in sepia", "in the brown of old photographs", "toned like an old photograph"),
}
