"""What a caller may answer, as a JSGF grammar for a recogniser that hears nothing else. English only so far."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from schemas.variable import Expectation, Variable


@dataclass(frozen=True, slots=True)
class Grammar:
    """Lean on purpose: each further way to say something costs accuracy in all the others."""

    jsgf: str
    left_out: tuple[str, ...] = ()
    """Answers that hold a word which the recogniser doesn't know."""


def grammar(expectation: Expectation, knows: Callable[[str], bool]) -> Grammar:
    """`knows` tells whether a lower-case word is in the recogniser's dictionary."""
    left_out: list[str] = []
    rules: dict[str, str] = {}
    says: list[str] = []

    def known(variable: Variable) -> str:
        heard = []
        for phrase in dict.fromkeys(p for choice in variable.choices for p in (choice.value, *choice.says)):
            words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", phrase.lower().replace("’", "'"))
            if words and all(map(knows, words)):
                heard.append(" ".join(words))
            else:
                left_out.append(phrase)
        return " | ".join(dict.fromkeys(heard))

    for variables, weight in ((expectation.asked, 10), (expectation.welcome, 1)):
        for variable in variables:
            match variable.kind:
                case "choice":
                    body = known(variable)
                case "name":
                    names = known(variable)
                    body = names and f"[my name is] ({names})"
                case "digits":
                    body = _digits(*variable.digits)
                case _:
                    body = _BODIES.get(variable.kind, "")
            if body:
                rules[variable.name] = body
                says.append(f"/{weight}/ <{variable.name}>")

    asked = {v.kind for v in expectation.asked}
    kinds = asked | {v.kind for v in expectation.welcome}
    clock = "<clock>" if "time" in asked else "<clear_clock>"
    moments = []
    if "date" in kinds:
        then = " (/9/ <NULL> | /1/ <clear_clock>)" if "time" in kinds else ""
        moments.append(f"/{9 if 'date' in asked else 1}/ <day>{then}")
    if "time" in kinds:
        then = " (/9/ <NULL> | /1/ <day>)" if "date" in kinds else ""
        moments.append(f"/{9 if 'time' in asked else 1}/ {clock}{then}")
    if moments:
        lead = "(/1/ <NULL> | /2/ no)" if "yes_no" in asked else "(/20/ <NULL> | /1/ <need>)"
        weight = 10 if asked & {"date", "time"} else 2
        says.append(f"/{weight}/ {lead} ({' | '.join(moments)})")
    if "yes_no" not in asked:
        says.append("/1/ goodbye")  # too much like "yes", and too dear a mistake there
    definitions = [f"<{name}> = {body};" for name, body in rules.items()]
    jsgf = "\n".join(
        [
            "#JSGF V1.0;",
            "grammar answer;",
            f"public <answer> = {' | '.join([*says, '/1/ <always>'])};",
            *definitions,
            *_SHARED,
        ]
    )
    return Grammar(jsgf, tuple(left_out))


def _digits(fewest: int, most: int) -> str:
    return " ".join(["<digit>"] * fewest) + " [<digit>" * (most - fewest) + "]" * (most - fewest)


_BODIES = {
    "yes_no": "<yes> | <no>",
    "number": "<cardinal>",
    "phone": _digits(7, 11),
}

_SHARED = """\
<always> = [can i] (speak | talk) to a (human | person) [please] | operator | a human please
  | [please] (say that again | repeat that) [please];
<need> = i need an appointment | i'd like an appointment;
<yes> = /3/ (yes | yeah) [please | that's right] | /1/ that's right | /1/ correct | /1/ sure;
<no> = no | no thank you;
<digit> = zero | oh | one | two | three | four | five | six | seven | eight | nine;
<cardinal> = <below_hundred> | <unit> hundred [[and] <below_hundred>];
<below_hundred> = zero | one | two | three | four | five | six | seven | eight | nine | <teen> | <ten> [<unit>];
<unit> = one | two | three | four | five | six | seven | eight | nine;
<teen> = ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen;
<ten> = twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety;
<weekday> = monday | tuesday | wednesday | thursday | friday | saturday | sunday;
<month> = january | february | march | april | may | june | july | august | september | october | november | december;
<nth> = first | second | third | fourth | fifth | sixth | seventh | eighth | ninth;
<nth_of_month> = /9/ <nth> | tenth | eleventh | twelfth | thirteenth | fourteenth | fifteenth | sixteenth | seventeenth
  | eighteenth | nineteenth | twentieth | /9/ twenty <nth> | thirtieth | thirty first;
<day> = /2/ today | /4/ tomorrow | /1/ the day after tomorrow | /10/ [on | next | this] <weekday>
  | /6/ [on] the <nth_of_month> [of <month>]
  | /6/ [on] <month> [the] <nth_of_month>;
<hour> = one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve;
<minutes> = /8/ thirty | /4/ fifteen | /4/ forty five | oh five | ten | twenty | twenty five | thirty five
  | forty | fifty | fifty five;
<half_of_day> = /4/ a m | /4/ p m | /3/ in the morning | /3/ in the afternoon | /1/ in the evening;
<clear_clock> = /4/ at <hour> [<half_of_day>] | /4/ [at] <hour> o'clock [<half_of_day>] | /4/ <hour> <half_of_day>
  | /4/ [at] half past <hour> | /4/ [at] <hour> <minutes> [<half_of_day>]
  | /3/ [at] [a] quarter (past | to) <hour> | /1/ [at] (five | ten | twenty) (past | to) <hour> | /1/ at noon;
<clock> = /9/ <clear_clock> | /1/ <hour> | /1/ noon;
""".splitlines()
