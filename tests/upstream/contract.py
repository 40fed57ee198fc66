"""
The words of `proxy/upstream/base.py` as tests, the same for every transport over HTTP.

A test class for one implementation inherits from TransportContract and has two fixtures:
`transports`, which opens transports of that implementation (see `asking.py`), and
`transport`, one of them to 127.0.0.1. Each topic has a file of its own.
"""

from tests.upstream.contract_cancel import CancelContract
from tests.upstream.contract_cap import CapContract
from tests.upstream.contract_dial import DialContract
from tests.upstream.contract_distrust import DistrustContract
from tests.upstream.contract_endings import EndingsContract
from tests.upstream.contract_exchange import ExchangeContract
from tests.upstream.contract_guard import GuardContract
from tests.upstream.contract_retire import RetireContract
from tests.upstream.contract_reuse import ReuseContract
from tests.upstream.contract_tls import TlsContract
from tests.upstream.contract_upload import UploadContract


class TransportContract(
    ExchangeContract,
    EndingsContract,
    ReuseContract,
    RetireContract,
    CapContract,
    DistrustContract,
    DialContract,
    TlsContract,
    GuardContract,
    CancelContract,
    UploadContract,
):
    """What every HTTP transport promises."""
