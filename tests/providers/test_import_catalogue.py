"""`manage.py import_catalogue`: what it writes, what it leaves alone, and how it refuses."""

from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.db import IntegrityError

from providers.loading import load
from providers.models import Credential, Endpoint, Model, Price, Provider

pytestmark = pytest.mark.django_db

SHIPPED = Path(__file__).resolve().parents[2] / "providers" / "catalogue" / "catalogue.yaml"
GOOD = """\
providers:
  - {slug: acme, name: Acme, wire: openai, base_url: "http://127.0.0.1:9101/v1", api_key: secret-of-acme-0123, max_concurrency: 50}
  - {slug: cf, name: Cloudflare, wire: openai, base_url: "https://api.example/accounts/${CF_ACCOUNT}/ai/v1", api_key_env: CF_KEY}
models:
  - slug: acme/large
    name: "Acme: Large"
    context_length: 131072
    input_modalities: [text, image]
    output_modalities: [text]
    endpoints:
      - {provider: acme, tag: acme, upstream_model: large, max_completion_tokens: 16384, quantization: fp8,
         supported_parameters: [tools, tool_choice, temperature],
         prices: {prompt: "0.000001", completion: "0.000002", input_cache_read: "0.0000001"}}
      - {provider: cf, upstream_model: "@cf/large"}
"""  # noqa: E501


class Importer:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = folder / "catalogue.yaml"
        self.capsys = capsys

    def __call__(self, text: str) -> None:
        self.file.write_text(text)
        call_command("import_catalogue", str(self.file))

    def refused(self, text: str) -> list[str]:
        """The lines on stderr, without the file's name in front."""
        with pytest.raises(SystemExit) as stop:
            self(text)
        assert stop.value.code == 2
        lines = self.capsys.readouterr().err.splitlines()
        assert all(line.startswith(f"{self.file}:") for line in lines)
        return [line.removeprefix(f"{self.file}:") for line in lines]


@pytest.fixture
def importing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Importer:
    return Importer(tmp_path, capsys)


def test_good_file(importing: Importer) -> None:
    importing(GOOD)

    acme = Provider.objects.get(slug="acme")
    assert (acme.name, acme.wire, acme.max_concurrency, acme.is_enabled) == ("Acme", "openai", 50, True)
    assert acme.credential.secret() == "secret-of-acme-0123"
    assert Provider.objects.get(slug="cf").base_url == "https://api.example/accounts/${CF_ACCOUNT}/ai/v1"
    model = Model.objects.get(slug="acme/large")
    assert (model.context_length, model.input_modalities) == (131072, ["text", "image"])
    endpoint = model.endpoints.get(tag="acme")
    assert (endpoint.upstream_model, endpoint.quantization) == ("large", "fp8")
    price = endpoint.prices.get()
    assert (price.prompt, price.completion, price.input_cache_read) == (1_000_000, 2_000_000, 100_000)
    assert price.request is None
    assert price.source == "catalogue.yaml"
    assert not model.endpoints.get(tag="cf").prices.exists()


def test_providers_and_endpoints_have_limits_and_queues(importing: Importer) -> None:
    importing(
        GOOD.replace("max_concurrency: 50", "max_concurrency: 50, queue_length: 0, queue_wait_s: 2").replace(
            "quantization: fp8", "quantization: fp8, max_concurrency: 3, queue_wait_s: 0"
        )
    )
    acme, endpoint = Provider.objects.get(slug="acme"), Endpoint.objects.get(tag="acme")
    assert (acme.max_concurrency, acme.queue_length, acme.queue_wait_s) == (50, 0, 2)
    assert (endpoint.max_concurrency, endpoint.queue_length, endpoint.queue_wait_s) == (3, None, 0)
    importing(GOOD)
    endpoint.refresh_from_db()
    assert (endpoint.max_concurrency, endpoint.queue_wait_s) == (None, None)


def test_variables_are_resolved_where_it_is_read(importing: Importer) -> None:
    importing(GOOD)

    off = load({"CF_KEY": "key"}).providers["cf"]
    on = load({"CF_KEY": "key", "CF_ACCOUNT": "17"}).providers["cf"]

    assert not off.is_on
    assert on.is_on
    assert on.base_url == "https://api.example/accounts/17/ai/v1"
    assert load({}).providers["acme"].is_on, "a stored key is enough"


def test_a_provider_may_need_no_key(importing: Importer) -> None:
    importing('providers: [{slug: lan, name: LAN, wire: openai, base_url: "${LAN_URL}", passthrough: true}]')

    found = load({"LAN_URL": "http://10.0.0.7:8080/v1/"}).providers["lan"]

    assert (found.is_on, found.secret, found.base_url) == (True, None, "http://10.0.0.7:8080/v1")


def test_again_changes_nothing(importing: Importer) -> None:
    importing(GOOD)
    before = {row.pk: row.updated_at for row in Endpoint.objects.all()}
    sealed = Credential.objects.get().sealed

    importing(GOOD)

    assert {row.pk: row.updated_at for row in Endpoint.objects.all()} == before
    assert Credential.objects.get().sealed == sealed
    assert Price.objects.count() == 1


def test_update_by_slug_and_tag(importing: Importer) -> None:
    importing(GOOD)
    ids = set(Endpoint.objects.values_list("pk", flat=True))

    importing(GOOD.replace("name: Acme,", "name: Acme Corp,").replace("upstream_model: large,", "upstream_model: big,"))

    assert Provider.objects.get(slug="acme").name == "Acme Corp"
    assert Endpoint.objects.get(tag="acme").upstream_model == "big"
    assert set(Endpoint.objects.values_list("pk", flat=True)) == ids


def test_price_is_appended_on_change_only(importing: Importer) -> None:
    importing(GOOD)
    importing(GOOD.replace('prompt: "0.000001"', 'prompt: "0.0000010"'))  # the same amount
    assert Price.objects.count() == 1

    importing(GOOD.replace('prompt: "0.000001"', 'prompt: "0.000003", source: letter, as_of: 2026-11-01'))

    old, new = Price.objects.order_by("id")
    assert (old.prompt, new.prompt) == (1_000_000, 3_000_000)
    assert (new.source, str(new.as_of)) == ("letter", "2026-11-01")
    assert Price.objects.current().get().pk == new.pk


def test_dropped_sub_price_is_a_change(importing: Importer) -> None:
    importing(GOOD)
    importing(GOOD.replace(', input_cache_read: "0.0000001"', ""))
    assert Price.objects.current().get().input_cache_read is None


def test_price_rows_cannot_be_rewritten(importing: Importer) -> None:
    importing(GOOD)
    with pytest.raises(IntegrityError, match="only ever appended"):
        Price.objects.update(prompt=0)


def test_free_is_an_explicit_zero(importing: Importer) -> None:
    importing(GOOD.replace('"0.000001"', '"0"').replace('"0.000002"', '"0"'))
    assert Price.objects.current().get().prompt == 0


def test_credential_is_kept_and_replaced(importing: Importer) -> None:
    importing(GOOD)

    importing(GOOD.replace("api_key: secret-of-acme-0123, ", ""))
    assert Provider.objects.get(slug="acme").credential.secret() == "secret-of-acme-0123"

    importing(GOOD.replace("secret-of-acme-0123", "another-secret-4567"))
    assert Provider.objects.get(slug="acme").credential.secret() == "another-secret-4567"


def test_never_deletes(importing: Importer) -> None:
    importing(GOOD)
    importing("models: []")
    assert (Provider.objects.count(), Model.objects.count(), Endpoint.objects.count()) == (2, 1, 2)


def test_enabled_false_disables_and_its_absence_enables(importing: Importer) -> None:
    importing(GOOD)
    importing(
        GOOD.replace("tag: acme,", "tag: acme, enabled: false,").replace("slug: cf,", "slug: cf, enabled: false,")
    )
    assert not Endpoint.objects.get(tag="acme").is_enabled
    assert not Provider.objects.get(slug="cf").is_enabled

    importing(GOOD)
    assert Endpoint.objects.get(tag="acme").is_enabled


def test_endpoint_may_name_a_provider_of_the_database(importing: Importer) -> None:
    importing(GOOD)
    importing(GOOD[GOOD.index("models:") :].replace("upstream_model: large", "upstream_model: larger"))
    assert Endpoint.objects.get(tag="acme").upstream_model == "larger"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("name: Acme,", "nam: Acme,", "2: providers[0].nam: is not a known field"),
        ("name: Acme,", "", "2: providers[0].name: is missing"),
        ("name: Acme,", "name: 17,", "2: providers[0].name: must be a text (quote it), not a number"),
        (
            'wire: openai, base_url: "http:',
            'wire: opnai, base_url: "http:',
            "2: providers[0].wire: is 'opnai'; it must be one of",
        ),
        ("http://127.0.0.1:9101/v1", "ftp://x/v1", "2: providers[0].base_url: must be an http:// or https:// URL"),
        ("http://127.0.0.1:9101/v1", "http://127.0.0.1:port/v1", "2: providers[0].base_url: is not a URL"),
        ("http://127.0.0.1:9101/v1", "http://me:pw@host/v1", "2: providers[0].base_url: must not hold a user name"),
        ("${CF_ACCOUNT}", "$CF_ACCOUNT", "3: providers[1].base_url: has a $ that begins no ${VARIABLE}"),
        ("api_key_env: CF_KEY", "api_key_env: $CF_KEY", "3: providers[1].api_key_env: must be the name of"),
        ("slug: cf,", "slug: acme,", "3: providers[1].slug: 'acme' stands here twice; first on line 2"),
        ("slug: acme,", "slug: Acme Inc,", "2: providers[0].slug: 'Acme Inc' does not fit"),
        ("max_concurrency: 50", "max_concurrency: 0", "2: providers[0].max_concurrency: must be a whole number from 1"),
        (
            "max_concurrency: 50",
            'max_concurrency: "50"',
            "2: providers[0].max_concurrency: must be a whole number, not a text",
        ),
        (
            "max_concurrency: 50",
            "quirks: {strem_usage: true}",
            "2: providers[0].quirks.strem_usage: is not a known field",
        ),
        (
            "context_length: 131072",
            "context_length: long",
            "7: models[0].context_length: must be a whole number, not a text",
        ),
        (
            "[text, image]",
            "[text, smell]",
            "8: models[0].input_modalities[1]: is 'smell'; it must be one of text, image",
        ),
        ("[text, image]", "text", "8: models[0].input_modalities: must be a list, not a text"),
        ("slug: acme/large", "slug: large", "5: models[0].slug: 'large' does not fit: author/slug"),
        (
            "quantization: fp8",
            "quantization: fp7",
            "11: models[0].endpoints[0].quantization: is 'fp7'; it must be one of int4",
        ),
        ("provider: cf,", "provider: nobody,", "14: models[0].endpoints[1].provider: 'nobody' is not a provider of"),
        (
            "provider: cf,",
            "provider: acme,",
            "14: models[0].endpoints[1].provider: 'acme' stands here twice; first on line 11",
        ),
        (
            'prompt: "0.000001"',
            "prompt: 0.000001",
            "13: models[0].endpoints[0].prices.prompt: must be a quoted decimal of USD",
        ),
        (
            'prompt: "0.000001"',
            'prompt: "1e-6"',
            "13: models[0].endpoints[0].prices.prompt: must be a decimal of USD without",
        ),
        (
            'prompt: "0.000001"',
            'prompt: "-0.1"',
            "13: models[0].endpoints[0].prices.prompt: must be a decimal of USD without",
        ),
        (
            'prompt: "0.000001"',
            'prompt: "0.0000000000001"',
            "13: models[0].endpoints[0].prices.prompt: has 13 decimals",
        ),
        (
            'prompt: "0.000001"',
            'prompt: "1000000"',
            "13: models[0].endpoints[0].prices.prompt: must be below 1000000 USD",
        ),
        ('prompt: "0.000001", ', "", "13: models[0].endpoints[0].prices.prompt: is missing"),
        ("tag: acme,", "tag: acme, tag: two,", "11: models[0].endpoints[0].tag: stands here twice; first on line 11"),
        ("models:", "modles: []\nmodels:", "4: modles: is not a known field"),
        (GOOD, "[1, 2]", "1: file: must be a mapping, not a list"),
        (GOOD, "", "1: file: is empty"),
        ("models:", "models: {", "5: yaml: "),
        ("models:", "models:\n  - *nobody", "5: yaml: found undefined alias"),
        ("models:", "models:\0", "4: yaml: character 0 is not allowed"),
    ],
)
def test_refusals(importing: Importer, old: str, new: str, line: str) -> None:
    assert old in GOOD
    assert any(found.startswith(line) for found in importing.refused(GOOD.replace(old, new, 1)))


def test_bad_file_writes_nothing_and_tells_everything(importing: Importer) -> None:
    bad = GOOD.replace("name: Acme,", "").replace("fp8", "fp7").replace('"0.000002"', "0.000002")

    lines = importing.refused(bad)

    assert [line.partition(":")[0] for line in lines] == ["2", "11", "13"]
    assert not Provider.objects.exists()
    assert not Model.objects.exists()


def test_file_that_cannot_be_read(importing: Importer, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        call_command("import_catalogue", str(tmp_path / "none.yaml"))
    assert stop.value.code == 2
    assert "none.yaml:1: file: " in importing.capsys.readouterr().err


def test_shipped_file(importing: Importer) -> None:
    importing(SHIPPED.read_text())

    snapshot = load({"TURNPIKE_LOCAL_MODEL_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "sk"})

    priced = {slug: model for slug, model in snapshot.models.items() if any(e.price for e in model.endpoints)}
    assert len(priced) >= 60
    assert len({e.provider.slug for model in priced.values() for e in model.endpoints if e.price}) >= 15
    assert len([model for model in priced.values() if len(model.endpoints) > 1]) >= 10
    assert {slug for slug, provider in snapshot.providers.items() if provider.is_on} == {"local", "openai"}
    [local] = snapshot.models["huggingfacetb/smollm2-135m-instruct"].routable
    assert (local.upstream_model, local.context_length, local.quantization) == ("smollm2", 2048, "int4")
    assert local.provider.secret is None
    assert not Price.objects.filter(source="").exists()


def test_shipped_prices_name_source_and_date() -> None:
    models = yaml.safe_load(SHIPPED.read_text())["models"]
    prices = [endpoint["prices"] for model in models for endpoint in model["endpoints"] if "prices" in endpoint]
    assert len(prices) > 200
    assert all(price["source"] and price["as_of"] for price in prices)
