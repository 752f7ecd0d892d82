"""The registry of wires. A vendor that speaks one of these is a row in the catalogue, not code."""

from providers.adapters.anthropic import Anthropic
from providers.adapters.base import Adapter
from providers.adapters.bedrock import Bedrock
from providers.adapters.cloudflare import Cloudflare
from providers.adapters.cohere import Cohere
from providers.adapters.gemini import Gemini
from providers.adapters.openai import OpenAI
from providers.adapters.responses import Responses

WIRES: dict[str, Adapter] = {
    "openai": OpenAI(),
    "responses": Responses(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "bedrock": Bedrock(),
    "cohere": Cohere(),
    "cloudflare": Cloudflare(),
}
