"""
Which of OpenAI's models takes what, as far as their names say it.

For requests that were translated: their clients cannot know it. What a client of OpenAI's own
dialect sends goes to the model as it is. A name that says nothing, such as that of a deployment
at Azure, changes nothing.

Source: wire-formats §4.1; docs/providers.md says what could not be verified.
"""

import re
from collections.abc import MutableMapping, MutableSequence
from typing import TypeVar

_THINKING = re.compile(r"(?:ft:)?(?:o[1-9]|gpt-(?:[5-9]|[1-9][0-9])(?![0-9])(?!.*-chat))")
_PLAIN = re.compile(r"(?:ft:)?(?:gpt-[34]|chatgpt-|gpt-5.*-chat)")
_WITHOUT_STOP = re.compile(r"(?:ft:)?(?:o3|o4-mini)")
_SAMPLING = ("frequency_penalty", "logprobs", "presence_penalty", "temperature", "top_p")
"""What models that think refuse, whatever its value."""
_BESIDE = {"logprobs": "top_logprobs"}
"""What goes with another field and is not named beside it."""
_T = TypeVar("_T")


def fit_to_model(
    fields: MutableMapping[str, _T], model: str, dropped: MutableSequence[str]
) -> None:
    """
    Take out what a model would refuse a whole request for.

    Args:
        fields: of a chat completion; changed in place.
        model: its name at the provider.
        dropped: gets the names of what was taken out.
    """
    unwanted: tuple[str, ...] = ()
    # gpt-35-turbo is Azure's spelling of an old one, and no 35th of its kind.
    if _PLAIN.match(model):
        unwanted = ("reasoning_effort",)
    elif _THINKING.match(model):
        unwanted = (*_SAMPLING, "stop") if _WITHOUT_STOP.match(model) else _SAMPLING
    for name in unwanted:
        if name in fields:
            del fields[name]
            fields.pop(_BESIDE.get(name, ""), None)
            dropped.append(name)
