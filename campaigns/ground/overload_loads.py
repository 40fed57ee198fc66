"""What the campaign `overload` asks for, and under which limits."""

from collections.abc import Sequence

from msgspec import Struct

TIMES = (5, 10)
STREAMS = ("-s", "-n", "50", "-d", "20")


class Load(Struct, frozen=True):
    """What is asked for, and how many at once are answered best."""

    name: str
    what: str
    options: Sequence[str]
    at_once: Sequence[int]
    limits: dict[str, object]
    times: Sequence[int] = TIMES
    is_judged: bool = True
    """False: what is measured is told, and holds no promise; `notes` say why."""
    notes: Sequence[str] = ()


LOADS = (
    Load(
        "places",
        "answers after 200 ms, and 100 places",
        ("-f", "200"),
        (100,),
        {"max_in_flight": 100},
    ),
    Load(
        "streams",
        "streams of 50 chunks, one each 20 ms, and 300 places, which keep the processor busy",
        STREAMS,
        (300,),
        {"max_in_flight": 300},
    ),
    Load(
        "streams by lag",
        "such streams, places for all, and a `max_loop_lag_s` of 0.02",
        STREAMS,
        (300, 400, 500, 600),
        {"max_in_flight": 10_000, "max_loop_lag_s": 0.02},
        is_judged=False,
        notes=(
            "`streams by lag` is for who does not know how many places there should be. The "
            "ceiling is found while requests come, goes up and down around what is right, and the "
            "loop is "
            "busy all the time: so a fifth of the best goodput is lost at times, and refusals take "
            "longer than by places that leave it some room.",
        ),
    ),
    Load(
        "small",
        "small answers at once, which are nothing but work, and 100 places",
        (),
        (100,),
        {"max_in_flight": 100},
        (5,),
        False,
        (
            "Of `small` an answer costs some six times what reading and refusing a request does, "
            "kernel and all, so that four refusals for each answer take half of the time: no "
            "server that reads them can keep nine tenths of what it answers. So a worker refuses "
            "6000 a second and does not read from who was refused before it is their turn, who "
            "then waits for the next refusal. To have both, requests must be kept from the "
            "worker: by more workers, or by a limit of rates in front of them.",
        ),
    ),
)
