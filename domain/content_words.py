"""What a spoken question is about: its words without those that any question might have."""

import re

_STOP_WORDS = """
    a about actually after again ain't all alright also am an and any anyway are aren't as ask asking at
    be because been before being but by bye
    call called calling can can't cannot certainly come could couldn't
    did didn't do does doesn't doing don't
    eh er erm exactly excuse
    find for from
    get gets getting give go goes going gonna good goodbye got gotta great guess guys
    had has hasn't have haven't having he he'd he'll he's hello help her here here's hers hey hi him his hm hmm how
    how's i i'd i'll i'm i've if in into is isn't it it'd it'll it's its
    just
    kind kindly know
    let let's like look looking lot
    may maybe me mean might mind mine mm much must my myself
    need needed no nope not now
    of off oh ok okay on one or other our ours out over
    perhaps please possible possibly put
    question quick quite
    really right
    said say see shall she she'd she'll she's should shouldn't so some something sorry speak sort sure
    take tell than thank thanks that that'd that'll that's the their theirs them then there there's these they they'd
    they'll they're they've thing things think this those though to told too try trying
    uh uhm um umm under until up us use
    very
    wait wanna want wanted wants was wasn't we we'd we'll we're we've well were weren't what what's
    whether which while why why's will with won't wonder wondering would wouldn't
    yeah yep yes yet you you'd you'll you're you've your yours
    """
"""English; in other languages a search tells by their frequency which words say little."""
_STOP = frozenset(_STOP_WORDS.split())


def content_words(text: str) -> tuple[str, ...]:
    """In order, each once, in lower case: `"Um, what are your opening hours, please?"` → `("opening", "hours")`."""
    words = re.findall(r"\w+(?:['’]\w+)*", text.casefold())
    plain = (word.replace("’", "'") for word in words)
    return tuple(dict.fromkeys(word for word in plain if word not in _STOP and (len(word) > 1 or word.isdecimal())))
