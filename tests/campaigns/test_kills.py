"""What the page of the campaign of kills tells."""

from campaigns.ground.client import Answer
from campaigns.ground.load import Fault, Load
from campaigns.ground.paced import SLOW_STREAMS
from campaigns.kills import Kill, Record, build_result, judge_short

KILL = Kill(100.0, frozenset({4001, 4002}))


def build_load(*faults: Fault) -> Load:
    """Return a load that is over."""
    load = Load(8000, SLOW_STREAMS, 1, SLOW_STREAMS, 1.0)
    load.faults += faults
    return load


def build_record() -> Record:
    """Return what was seen where all went well."""
    return Record(
        kills=[KILL],
        replaced_s=[0.5],
        rolled_s=[2.0],
        drained_s=[6.0],
        supervisor=[(2**26, 20), (2**26, 20)],
    )


def test_only_connections_of_the_killed_worker_are_excused() -> None:
    """Another port, another time and a refused connection are held against the service."""
    assert KILL.excuses(Fault(100.1, "reset", 4001))
    assert not KILL.excuses(Fault(100.1, "reset", 4003))
    assert not KILL.excuses(Fault(99.9, "reset", 4001))
    assert not KILL.excuses(Fault(200.0, "reset", 4001))


def test_a_good_run_passes() -> None:
    """Requests that broke with a killed worker are told, and fail nothing."""
    result = build_result(build_record(), build_load(Fault(100.1, "reset", 4001)))
    assert result.failures == []
    assert any("1 requests broke on them" in note for note in result.notes)


def test_everything_else_fails_the_campaign() -> None:
    """A refusal, a strange break, a late successor and a growing supervisor each fail their row."""
    record = build_record()
    record.replaced_s.append(1.5)
    record.supervisor[1] = (2**26, 21)
    load = build_load(
        Fault(100.1, "no connection: ConnectionRefusedError", 0), Fault(100.1, "reset", 4003)
    )
    failures = build_result(record, load).failures
    assert len(failures) == 4
    assert "no connection is refused" in failures
    assert "the supervisor does not grow" in failures


def test_a_short_answer_is_that_of_the_one_version() -> None:
    """Another status and another text are complained about."""
    assert judge_short(Answer(200, b'{"content":"version-1"}', 1)) is None
    assert judge_short(Answer(200, b'{"content":"version-2"}', 1))
    assert judge_short(Answer(503, b'{"content":"version-1"}', 1))
