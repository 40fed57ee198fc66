"""Each client of the matrix by its name, in the order of the table."""

from tests.providers.matrix_clients import Chat, Client, Completions, Generate, Messages
from tests.providers.matrix_ollama import OllamaChat, OllamaGenerate
from tests.providers.matrix_responses import Responses

CLIENTS: dict[str, Client] = {
    each.name: each
    for each in (
        *(Chat(), Messages(), Responses(), Completions(), Generate()),
        *(OllamaChat(), OllamaGenerate()),
    )
}
