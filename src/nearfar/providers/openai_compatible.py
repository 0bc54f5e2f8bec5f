"""Any server that speaks OpenAI's chat completions: the owner gives its address. Nothing is assumed about it."""

from nearfar.providers.base import Evidence, Provider

PROVIDER = Provider(
    name="openai-compatible",
    title="any OpenAI-compatible server",
    wire="openai.chat",
    embeddings_wire="openai.embeddings",
    other_wires={"transcription": "openai.audio"},
    evidence=Evidence(
        label="live", what="llama.cpp's own server answers through it in the tests; every other server is its owner's."
    ),
)
