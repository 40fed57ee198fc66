"""A body waits until it is wanted, then flows, and ends once, whatever its sink does meanwhile."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import UpstreamDisconnected
from proxy.domain.exchange import ResponseHead
from proxy.upstream.http_answer import Answer
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import take_turns

HEAD = ResponseHead(200, {})


class FakeSource:
    """Writes down what the answer asks of its connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def listen(self) -> None:
        """Take note."""
        self.asked.append("listen")

    def stop_listening(self) -> None:
        """Take note."""
        self.asked.append("stop")

    def abort(self) -> None:
        """Take note."""
        self.asked.append("abort")


class Ground:
    """An answer whose head has come, between a source and a sink."""

    def __init__(self) -> None:
        self.source = FakeSource()
        self.sink = RecordingSink()
        self.answer = Answer(self.source, self.sink, asyncio.get_running_loop())
        self.answer.take_head(HEAD)

    @property
    def seen(self) -> tuple[list[bytes], list[object]]:
        """What the sink has got."""
        return self.sink.chunks, [type(ending) for ending in self.sink.endings]


async def test_little_is_held_for_nothing_and_more_stops_the_peer() -> None:
    """The first read before `resume` costs nothing; at the second the peer is held up."""
    ground = Ground()
    ground.answer.take([b"a"])
    assert ground.source.asked == []
    ground.answer.take([b"b"])
    assert ground.source.asked == ["stop"]
    assert ground.seen == ([], [])
    ground.answer.resume()
    assert ground.source.asked == ["stop", "listen"]
    assert ground.seen == ([b"ab"], [])


async def test_pieces_of_one_read_are_pushed_as_one() -> None:
    """A sink is called once for each read, however many chunks were in it."""
    ground = Ground()
    ground.answer.resume()
    ground.answer.take([b"a", b"b"])
    ground.answer.take([b"c"])
    assert ground.seen == ([b"ab", b"c"], [])


async def test_a_pause_holds_what_comes_and_resume_gives_it_later() -> None:
    """What came while paused follows in a later turn: a sink resumes amid its own business."""
    ground = Ground()
    ground.answer.resume()
    ground.answer.pause()
    ground.answer.take([b"a"])
    ground.answer.resume()
    assert ground.seen == ([], [])
    await take_turns(2)
    assert ground.seen == ([b"a"], [])
    assert ground.source.asked[-2:] == ["stop", "listen"]


async def test_the_end_is_told_also_to_a_sink_that_is_paused() -> None:
    """The rest and the end come at once, and a pause amid them changes nothing."""
    ground = Ground()
    ground.answer.resume()
    ground.answer.pause()
    ground.answer.take([b"a"])
    ground.answer.end([b"b"])
    assert ground.seen == ([b"ab"], [type(None)])


async def test_a_body_that_has_ended_waits_for_resume() -> None:
    """Nobody is called before; then body and end come together, and the connection is left be."""
    ground = Ground()
    ground.answer.end([b"a"], UpstreamDisconnected())
    assert ground.seen == ([], [])
    ground.answer.resume()
    assert ground.seen == ([b"a"], [UpstreamDisconnected])
    ground.answer.close()
    assert ground.source.asked == []


async def test_a_connection_that_has_left_is_not_cut_off() -> None:
    """Closing an answer that is complete and was not read leaves its connection to the next."""
    ground = Ground()
    ground.answer.end([b"a"])
    ground.answer.close()
    ground.answer.resume()
    assert (ground.source.asked, ground.seen) == ([], ([], []))


async def test_without_a_head_there_is_an_error_instead() -> None:
    """Whoever waits for a head gets what went wrong, and the sink hears nothing."""
    sink = RecordingSink()
    answer = Answer(FakeSource(), sink, asyncio.get_running_loop())
    answer.end([], UpstreamDisconnected())
    assert isinstance(await answer.arrived, UpstreamDisconnected)
    answer.resume()
    assert (sink.chunks, sink.endings) == ([], [])


ACTS = st.lists(
    st.sampled_from(["take", "resume", "pause", "turn", "end", "fail", "close"]), max_size=20
)


@given(acts=ACTS)
def test_whatever_happens_bytes_come_in_order_and_the_end_once(acts: list[str]) -> None:
    """No order of calls loses, repeats or swaps a byte before the end, or ends twice."""

    async def play() -> None:
        ground = Ground()
        given_bytes, has_ended, is_closed = b"", False, False
        for number, act in enumerate(acts):
            piece = b"%d " % number
            if act == "turn":
                await take_turns(2)
            elif act == "take" and not has_ended and not is_closed:
                given_bytes += piece
                ground.answer.take([piece])
            elif act in ("end", "fail") and not has_ended:
                has_ended = True
                given_bytes += b"" if is_closed else piece
                ground.answer.end([piece], UpstreamDisconnected() if act == "fail" else None)
            elif act == "close":
                is_closed = True
                ground.answer.close()
            elif act in ("resume", "pause"):
                getattr(ground.answer, act)()
            assert given_bytes.startswith(ground.sink.body)
        ground.answer.resume()
        await take_turns(2)
        assert len(ground.sink.endings) <= 1
        if not is_closed:
            assert ground.sink.body == given_bytes
            assert len(ground.sink.endings) == has_ended

    asyncio.run(play())
