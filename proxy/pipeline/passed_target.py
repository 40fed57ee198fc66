"""Stage: where to? What passes as it came goes to one provider: by its model, or by its account."""

from proxy.domain.catalog import Deployment, Provider, Snapshot
from proxy.domain.errors import InvalidRequest
from proxy.domain.identity import Caller
from proxy.pipeline.base import PassingRequest
from proxy.pipeline.context import Exchange
from proxy.pipeline.route import route
from proxy.policy.file_access import check_batch_access, check_file_access
from proxy.providers.registry import find_kind
from proxy.wire.base import Ask

PROVIDER_HEADER = "x-llm-proxy-provider"
PROVIDER_QUERY = "provider"
OF_ACCOUNTS = frozenset(("files", "batches"))
"""Operations that belong to a provider's account, and to none of its models."""


def find_targets(
    exchange: Exchange, request: PassingRequest, model: str, caller: Caller
) -> tuple[Deployment, ...]:
    """
    Return the deployments that a request may go to, best first; of an account there is one.

    Raises:
        ModelNotFound, NoHealthyProvider, InvalidRequest: as `route` does; no provider is named
            where several could be meant, or one that offers no such thing.
        PermissionDenied: the account is not the caller's to use.
    """
    snapshot = exchange.snapshot
    if request.passed in OF_ACCOUNTS:
        provider = _find_account(request, snapshot)
        check_file_access(provider, caller, snapshot)
        if request.passed == "batches" and request.method == "POST" and not request.rest:
            check_batch_access(caller)
        return (Deployment(provider, request.passed, is_listed=False),)
    # Routes go by names: whatever is asked, a name means the same. There are no fallbacks.
    exchange.ask = ask = Ask("chat", model, {}, fallbacks=())
    chosen = route(ask, request.headers, snapshot, caller, exchange.runtime.board)
    exchange.route, exchange.alias, exchange.route_reason = chosen, chosen.alias, chosen.reason
    return chosen.legs.first.candidates


def _find_account(request: PassingRequest, snapshot: Snapshot) -> Provider:
    able = [provider for provider in snapshot.providers.values() if _offers(provider, request)]
    name = request.headers.get(PROVIDER_HEADER) or request.query.get(PROVIDER_QUERY)
    if name is not None:
        able = [provider for provider in able if provider.name == name]
    if len(able) == 1:
        return able[0]
    if not able:
        there_is = "No provider" if name is None else "No provider of this name"
        raise InvalidRequest(
            f"{there_is} offers {request.passed} here.",
            param=None if name is None else PROVIDER_QUERY,
            code="unsupported_operation",
        )
    raise InvalidRequest(
        f"Several providers offer {request.passed} here: name one in the header "
        f"'{PROVIDER_HEADER}', or as '?{PROVIDER_QUERY}='.",
        param=PROVIDER_QUERY,
    )


def _offers(provider: Provider, request: PassingRequest) -> bool:
    kind = find_kind(provider.type)
    return provider.enabled and kind is not None and request.passed in kind.passes
