"""OpenAI's Responses, stateless, in front of any model (§2B.1)."""

from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins.responses import answer, request
from gateway.skins.responses.stream import ResponseWriter
from providers.canonical import Completion, Request
from providers.snapshot import Endpoint


class Responses:
    def parse(self, body: bytes) -> Request:
        return request.parse(body)

    def completion(self, generation: Generation, endpoint: Endpoint, found: Completion, charge: int) -> bytes:
        return answer.response(generation, endpoint, found, charge)

    def writer(self, generation: Generation, model: str, provider_name: str) -> ResponseWriter:
        return ResponseWriter(generation, model)

    def envelope(self, error: ApiError) -> dict[str, object]:
        return {"error": error.body(), "error_type": error.error_type, **told.beside_error(error)}
