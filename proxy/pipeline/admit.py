"""Whether an attempt may go to a deployment now; where a breaker's time is over, it is asked."""

from proxy.domain.breaker import Permit
from proxy.domain.catalog import Deployment
from proxy.pipeline.board import Board, Place, Ticket
from proxy.pipeline.context import Exchange
from proxy.policy.admission import FREE, NO_PERMIT, Admission, describe_refusal
from proxy.policy.admission import admit as decide

LEASE_SLACK_S = 5.0
"""What an attempt with a permit may take beyond its own clocks until it has told of it."""
ASK_AGAIN_S = 0.1
"""So long nobody asks again for a permit after there was none: each would wait for a store."""


async def admit(
    exchange: Exchange, deployment: Deployment, *, may_wait: bool = False
) -> Ticket | Admission:
    """
    Return the ticket of an attempt at a deployment, or why it may not go.

    While everything is closed nothing is waited for. With `may_wait` the attempt may wait for
    a connection where all are in use.
    """
    board = exchange.runtime.board
    look, place = board.breakers.look, board.find_place(deployment)
    views = look(place.id), look(place.host_id), look(place.key_id)
    has_room = may_wait or exchange.transports[place.provider].has_room
    admission = decide(*views, has_room, board.read_clock_s())
    if admission.kind == "go":
        return Ticket(admission.reason, views[0].epoch)
    if admission.kind == "refuse":
        return admission
    now_s = board.read_clock_s()
    if now_s < place.ask_at_s:
        # Another request has just been told that all permits are out.
        return NO_PERMIT
    answer = await _ask(board, place, _lease_s(exchange, deployment))
    if isinstance(answer, Admission) and answer.reason == "half_open":
        place.ask_at_s = board.read_clock_s() + ASK_AGAIN_S
    return answer


async def _ask(board: Board, place: Place, lease_s: float) -> Ticket | Admission:
    """Take a permit of each breaker that wants one: the key's, the host's, the deployment's."""
    breakers = board.breakers
    epoch = 0
    permits: list[tuple[str, Permit]] = []
    try:
        for breaker_id in (place.key_id, place.host_id, place.id):
            view = breakers.look(breaker_id)
            if view.state not in FREE:
                answer = await breakers.acquire(breaker_id, lease_s)
                if isinstance(answer, Permit):
                    permits.append((breaker_id, answer))
                    continue
                view = answer
            if view.state not in FREE:
                board.give_back(Ticket(permits=tuple(permits)))
                return describe_refusal(view, breaker_id == place.host_id, board.read_clock_s())
            epoch = view.epoch
    except BaseException:  # a client that leaves meanwhile gives back what it has
        board.give_back(Ticket(permits=tuple(permits)))
        raise
    return Ticket("probe" if permits else "closed", epoch, tuple(permits))


def _lease_s(exchange: Exchange, deployment: Deployment) -> float:
    """Return how long the attempt can take until it has proven something, at most."""
    ask = exchange.ask
    lease_s = exchange.snapshot.settings.request_timeout_s
    if ask is not None and not exchange.is_buffered:
        lease_s = min(lease_s, deployment.provider.clocks.to_content_s(ask.streams))
    return lease_s + LEASE_SLACK_S
