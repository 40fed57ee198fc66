"""The examples of docs/clients.md, as programs that ask one proxy for one model."""

from msgspec import Struct

from tests.promises.markdown import read_blocks, read_sections

ADDRESS = "http://127.0.0.1:8000"
KEY = "your-api-key-here"
MODEL = "sim-echo"
LANGUAGES = ("python", "js")


class Example(Struct, frozen=True):
    """A block of a page, in Python or for Node."""

    language: str
    text: str

    def fill(self, address: str, key: str, model: str) -> str:
        """Return it as a program for another address, key and model."""
        return self.text.replace(ADDRESS, address).replace(KEY, key).replace(MODEL, model)


def read_examples(page: str) -> dict[str, Example]:
    """Return the first block of each section that has one, by the section's heading."""
    return {
        heading: Example(language, blocks[0].text)
        for heading, text in read_sections(page).items()
        for language in LANGUAGES
        if (blocks := read_blocks(text, language))
    }
