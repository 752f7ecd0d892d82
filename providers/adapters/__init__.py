"""The registry of wires. A vendor that speaks one of these is a row in the catalogue, not code."""

from providers.adapters.anthropic import Anthropic
from providers.adapters.base import Adapter
from providers.adapters.gemini import Gemini
from providers.adapters.openai import OpenAI

WIRES: dict[str, Adapter] = {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini()}
