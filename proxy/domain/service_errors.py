"""
What administration, kept answers and the end of the service can fail with: the last branches of
the tree in `errors.py`.

    RequestError
    ├── ResponseNotFound         404  invalid_request_error / response_not_found
    ├── ConfigRejected           422  invalid_request_error / config_rejected
    └── ConfigGuarded            409  invalid_request_error / config_guarded
    ProxyError
    ├── ResponseStoreUnavailable 503  overloaded_error / response_store_unavailable
    ├── SupervisorRefused        409  invalid_request_error / supervisor_refused
    ├── SupervisorUnavailable    503  overloaded_error / supervisor_unavailable
    ├── HealthWorkerUnavailable  503  overloaded_error / health_worker_unavailable
    └── ServerShutdown           503  overloaded_error / server_shutdown
"""

from proxy.domain.errors import ProxyError, RequestError


class ResponseNotFound(RequestError):
    """Nothing is kept under an id of the Responses API, or nothing that is this caller's."""

    status = 404
    code = "response_not_found"
    default_message = "There is no such response: it was not kept, is too old, or was deleted."


class ResponseStoreUnavailable(ProxyError):
    """Whether something is kept under an id cannot be told: who shares it does not answer."""

    status = 503
    type = "overloaded_error"
    code = "response_store_unavailable"
    default_message = "What is kept of responses cannot be reached now; send the request again."


class ConfigRejected(RequestError):
    """A reload was asked for, and the configuration has mistakes."""

    status = 422
    code = "config_rejected"
    default_message = "The configuration has mistakes; what was served before stays."


class ConfigGuarded(RequestError):
    """A reload was asked for, and the guard took the configuration for a damaged one."""

    status = 409
    code = "config_guarded"
    default_message = "The configuration looks damaged; what was served before stays."


class SupervisorRefused(ProxyError):
    """The supervisor was asked for what cannot be done; its message says why."""

    status = 409
    type = "invalid_request_error"
    code = "supervisor_refused"
    default_message = "The supervisor of this server could not do that."


class SupervisorUnavailable(ProxyError):
    """Only the supervisor could do it, and it is gone or does not answer."""

    status = 503
    type = "overloaded_error"
    code = "supervisor_unavailable"
    default_message = "The supervisor of this server did not answer; its log says why."


class HealthWorkerUnavailable(ProxyError):
    """Only the health worker could do it, and there is none or it does not answer."""

    status = 503
    type = "overloaded_error"
    code = "health_worker_unavailable"
    default_message = (
        "No health worker has answered: with redis_url it is llm-health-worker, which has to run "
        "and to reach Redis (docs/health.md)."
    )


class ServerShutdown(ProxyError):
    """This server is stopping."""

    status = 503
    type = "overloaded_error"
    code = "server_shutdown"
    default_message = "This server is shutting down; send the request again."
