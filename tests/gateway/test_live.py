"""Live knowledge of endpoints: numbers that all processes share, breakers, cool-downs, credentials that are refused."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.services import Product, Servers, running
from tests.upstream import Upstream, chunk, failure, text_reply, text_stream
from tests.waiting import until

pytestmark = pytest.mark.thorough

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": ["string", "null"]}},
    "required": ["city"],
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
# Each test has a model and two providers of its own.
NAMES = ("numbers", "failing", "alone", "late", "limited", "unhinted", "fault", "broken", "refused", "tools")


def catalogue(url: str, refused: str = "sk-refused-secret-key") -> str:
    lines = ["providers:"]
    for slug in (f"{name}{number}" for name in NAMES for number in (1, 2)):
        secret = refused if slug == "refused1" else f"sk-{slug}-secret-key"
        lines.append(f'  - {{slug: {slug}, name: {slug.title()}, wire: openai, base_url: "{url}", api_key: {secret}}}')
    lines.append("models:")
    for name in NAMES:
        lines.append(f"  - {{slug: acme/{name}, name: {name}, context_length: 8192, input_modalities: [text],")
        lines.append("     output_modalities: [text], endpoints: [")
        # Who is worse than others is told from three.
        for number in (1, 2, 3) if name == "tools" else (1, 2):
            tag = f"{name}2/more" if number == 3 else f"{name}{number}"
            lines.append(
                f"      {{provider: {name}{min(number, 2)}, tag: {tag}, upstream_model: {name}-{number},"
                " max_completion_tokens: 1024,"
                ' supported_parameters: [tools], prices: {prompt: "0.000001", completion: "0.000002"}},'
            )
        lines.append("    ]}")
    return "\n".join(lines) + "\n"


class Live:
    """Two web processes, and what they say of the endpoints of one model."""

    def __init__(self, product: Product, upstream: Upstream, key: str, name: str) -> None:
        self.product = product
        self.upstream = upstream
        self.key = key
        self.name = name
        self.first, self.second = f"{name}1", f"{name}2"
        self.model = f"{name}-1"
        # A connection for each request: the processes share the socket, and so the requests.
        self.http = httpx.Client(verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

    def ask(self, only: str | None = None, **fields: Any) -> httpx.Response:
        provider = {"only": [only]} if only else {"order": [self.first, self.second]}
        messages = [{"role": "user", "content": "Hi"}]
        return self.http.post(
            f"{self.product.url}/api/v1/chat/completions",
            json={"model": f"acme/{self.name}", "messages": messages, "provider": provider} | fields,
            headers={"Authorization": f"Bearer {self.key}"},
        )

    def provider(self, **fields: Any) -> str:
        return str(self.ask(**fields).json()["provider"]).lower()

    def endpoints(self) -> dict[str, dict[str, Any]]:
        url = f"{self.product.url}/api/v1/models/acme/{self.name}/endpoints"
        return {row["tag"]: row for row in self.http.get(url).json()["data"]["endpoints"]}

    def seen(self) -> dict[str, Any]:
        return self.endpoints()[self.first]

    def wait(self, holds: Callable[[dict[str, Any]], bool], within: float = 15) -> None:
        """Until several answers in a row say so of the first endpoint: they come from both processes. The first of them
        comes in time, whatever a busy machine makes of the others."""
        deadline = time.monotonic() + within
        in_a_row = 0
        while in_a_row < 12:
            found = self.endpoints().get(self.first, {})
            in_a_row = in_a_row + 1 if holds(found) else 0
            assert in_a_row or time.monotonic() < deadline, found
            time.sleep(0.01)


@pytest.fixture(scope="module")
def gateway(servers: Servers, provider: Upstream) -> Iterator[tuple[Product, str]]:
    with running(servers, catalogue=catalogue(provider.url), web=2) as product:
        yield product, product.issue_key("alice@example.com", "1000")


@pytest.fixture
def live(gateway: tuple[Product, str], script: Upstream, request: pytest.FixtureRequest) -> Live:
    return Live(gateway[0], script, gateway[1], request.param)


@pytest.mark.parametrize("live", ["numbers"], indirect=True)
def test_every_process_knows_what_all_saw_and_a_new_one_learns_it(live: Live) -> None:
    assert live.seen()["latency_last_30m"] is None
    live.upstream.script(live.model, [{"sleep": 0.1}, *text_stream()])
    with ThreadPoolExecutor(6) as pool:
        assert {r.status_code for r in pool.map(lambda _: live.ask(stream=True), range(12))} == {200}

    def is_known(found: dict[str, Any]) -> bool:
        return bool(found["uptime_last_5m"] == found["uptime_last_30m"] == 100 and found["latency_last_30m"])

    live.wait(is_known)
    row = live.seen()
    assert row["latency_last_30m"].keys() == {"p50", "p75", "p90", "p99"}
    assert 95 <= row["latency_last_30m"]["p50"] < 3000
    assert 0 < row["throughput_last_30m"]["p50"] <= 45
    assert live.endpoints()[live.second]["uptime_last_5m"] is None
    live.product.restart()
    live.wait(is_known)


@pytest.mark.parametrize("live", ["failing"], indirect=True)
def test_a_failing_endpoint_is_left_alone_by_all_processes_and_comes_back_by_itself(live: Live) -> None:
    live.upstream.script(live.model, failure(500))
    for _ in range(4):
        assert live.provider() == live.second
    live.wait(lambda found: found["status"] == -2)
    seen = len(live.upstream.seen(live.model))
    for _ in range(10):
        assert live.provider() == live.second
    assert len(live.upstream.seen(live.model)) <= seen + 1
    # Who asks for nobody else is not refused: it may be back.
    assert live.ask(live.first).status_code == 502
    live.upstream.reset()
    until(lambda: live.provider() == live.first, 25)
    live.wait(lambda found: found["status"] != -2)


@pytest.mark.parametrize("live", ["alone"], indirect=True)
def test_an_endpoint_that_is_left_alone_answers_who_asks_for_no_other_and_is_back(live: Live) -> None:
    live.upstream.script(live.model, failure(500))
    for _ in range(6):
        live.ask()
    live.wait(lambda found: found["status"] == -2)
    live.upstream.reset()
    assert live.ask(live.first).status_code == 200
    live.wait(lambda found: found["status"] != -2, within=30)


@pytest.mark.parametrize("live", ["late"], indirect=True)
def test_an_endpoint_that_came_back_is_not_left_alone_for_faults_told_late(live: Live) -> None:
    """Each process saw some. Nobody asks afterwards, so that it would be left alone until the end."""
    for _ in range(3):
        live.upstream.script(live.model, failure(500))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: live.ask(), range(12)))
        live.wait(lambda found: found["status"] == -2)
        live.upstream.reset()
        assert live.ask(live.first).status_code == 200
        time.sleep(2.5)
        live.wait(lambda found: found["status"] != -2)


@pytest.mark.parametrize("live", ["limited"], indirect=True)
def test_a_rate_limit_is_waited_for_as_long_as_the_provider_says(live: Live) -> None:
    live.upstream.script(live.model, failure(429, retry_after="6"))
    assert live.provider() == live.second
    limited = time.monotonic()
    live.wait(lambda found: found["status"] == -2)
    live.upstream.reset()
    refused = live.ask(live.first)
    if time.monotonic() - limited < 6:
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 6
        assert live.upstream.seen(live.model) == []
    live.wait(lambda found: found["status"] == 0)
    assert time.monotonic() - limited >= 6
    assert live.provider() == live.first
    # A rate limit is no fault.
    assert live.seen()["uptime_last_5m"] in (None, 100)


@pytest.mark.parametrize("live", ["fault"], indirect=True)
def test_a_request_at_fault_says_nothing_of_the_provider(live: Live) -> None:
    live.upstream.script(live.model, failure(400, "temperature is off"))
    for _ in range(8):
        assert live.ask().status_code == 400
    time.sleep(2.2)
    assert live.seen()["status"] == 0
    assert live.seen()["uptime_last_5m"] is None


@pytest.mark.parametrize("live", ["broken"], indirect=True)
def test_answers_that_break_off_count_against_the_endpoint(live: Live) -> None:
    live.upstream.script(live.model, [chunk({"content": "word "}), {"sleep": 0.05}, {"drop": True}])
    for _ in range(4):
        live.ask(stream=True)
    live.wait(lambda found: found["uptime_last_5m"] == 0)
    assert live.seen()["status"] == -2


@pytest.mark.parametrize("live", ["refused"], indirect=True)
def test_a_refused_key_is_switched_off_everywhere_for_good_until_it_is_another(live: Live) -> None:
    product = live.product
    live.upstream.script(live.model, failure(401))
    for _ in range(5):
        assert live.provider() == live.second
    query = "SELECT refused_at FROM providers_provider WHERE slug = 'refused1'"
    until(lambda: product.sql(query) != [(None,)], 15)
    live.wait(lambda found: not found)
    assert "Refused1 refuses its API key" in product.log
    assert "sk-refused-secret-key" not in product.log
    product.restart()
    live.wait(lambda found: not found)
    assert live.ask(live.first).status_code == 404
    live.upstream.reset()
    product.import_catalogue(catalogue(live.upstream.url, refused="sk-another-secret-key"))
    live.wait(bool)
    assert live.ask(live.first).status_code == 200


@pytest.mark.parametrize("live", ["tools"], indirect=True)
def test_who_calls_tools_badly_is_known_to_all_processes(live: Live) -> None:
    def calling(name: str, arguments: str) -> list[dict[str, Any]]:
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        step = text_reply(finish="tool_calls")
        step["reply"]["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
        return [step]

    def streaming(name: str, *arguments: str) -> list[dict[str, Any]]:
        first = {"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": ""}}
        parts = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in arguments]
        return [chunk({"tool_calls": [first]}), *parts, chunk({}, "tool_calls"), {"done": True}]

    answers = (
        (live.first, False, calling("nonsense", "{}")),
        (live.first, False, calling("weather", "{oh")),
        (live.first, True, streaming("weather", '{"city', '": 5}')),
        (live.first, True, streaming("weather", "{}")),
        *(
            (live.second, stream, steps)
            for stream, steps in (
                (False, calling("weather", '{"city": "Bern"}')),
                (True, streaming("weather", '{"city"', ': "Bern"}')),
                (True, streaming("weather", '{"city"', ': "Bern", "unit": null}')),
            )
            for _ in range(6)
        ),
    )
    for tag, stream, steps in answers:
        for model in ("tools-1", "tools-2", "tools-3"):
            live.upstream.script(model, steps)
        assert live.ask(tag, tools=TOOLS, stream=stream).status_code == 200
    live.upstream.reset()
    deadline = time.monotonic() + 30
    in_a_row = 0
    while in_a_row < 12:
        # Without a preference of who: the model's own way of sorting decides.
        asked = live.ask(provider={"sort": "exacto"}, model="acme/tools", tools=TOOLS).json()["provider"].lower()
        in_a_row = in_a_row + 1 if asked == live.second else 0
        assert in_a_row or time.monotonic() < deadline, asked
    # Odd calls are no fault of the connection.
    assert live.seen()["status"] == 0


@pytest.mark.parametrize("live", ["unhinted"], indirect=True)
def test_a_rate_limit_without_a_hint_is_waited_for_a_little_and_is_over_by_itself(live: Live) -> None:
    live.upstream.script(live.model, failure(429))
    assert live.provider() == live.second
    deadline = time.monotonic() + 10
    while live.seen()["status"] != -2:
        # It may have been over before anybody looked.
        assert live.provider() == live.second
        assert time.monotonic() < deadline
    live.upstream.reset()
    # Nobody asks it in the meantime, and it is back all the same.
    live.wait(lambda found: found["status"] == 0)
    assert live.provider() == live.first


def test_without_valkey_a_process_goes_by_what_it_sees_itself(servers: Servers, provider: Upstream) -> None:
    provider.reset()
    away = {"REDIS_URL": "unix:///nowhere.sock?db=0"}
    with running(servers, catalogue=catalogue(provider.url), env=away) as product:
        live = Live(product, provider, product.issue_key(), "failing")
        live.upstream.script(live.model, failure(500))
        assert {live.provider() for _ in range(6)} == {live.second}
        live.wait(lambda found: found["status"] == -2)
        seen = len(live.upstream.seen(live.model))
        assert {live.provider() for _ in range(6)} == {live.second}
        assert len(live.upstream.seen(live.model)) <= seen + 1
        live.upstream.reset()
        until(lambda: live.provider() == live.first, 25)
        live.wait(lambda found: found["status"] != -2)
        found = Live(product, provider, live.key, "limited")
        found.upstream.script(found.model, failure(429))
        assert found.provider() == found.second
        found.wait(lambda row: row["status"] == -2)
        found.upstream.reset()
        found.wait(lambda row: row["status"] == 0)
        assert found.provider() == found.first
    provider.reset()
