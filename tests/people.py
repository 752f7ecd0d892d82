"""A gateway with people in it, and every page that they see: for screenshots (bench/screenshots) and for axe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, Route

from tests.services import Product

PASSWORD = "corridor-lantern-42"
ALICE, BOB = "alice@example.com", "bob@example.com"

# Alice owns an organization that has been at work for six weeks; Bob looks at it.
SEED = """
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID
from allauth.account.models import EmailAddress
from django.db import connection
from django.test import RequestFactory
from accounts import audit, keys, organizations
from accounts.ids import uuid7
from accounts.models import Membership, User
from billing import budgets, ledger, usage
from billing.models import Generation, Wallet
from billing.generations import public_id
from providers.importer import import_catalogue
from providers.models import Endpoint, Incident, Provider, Uptime

LOCAL = '''
providers:
  - {slug: local, name: Local, wire: openai, base_url: "http://127.0.0.1:9/v1", api_key: secret}
models:
  - slug: acme/small
    name: "Acme: small"
    description: A small model that runs on this machine.
    context_length: 2048
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {provider: local, tag: local, upstream_model: small, prices: {prompt: "0.0000001", completion: "0.0000002"}}
'''
random.seed(7)
alice, bob = (User.objects.create_user(f"{name}@example.com", "corridor-lantern-42") for name in ("alice", "bob"))
for user in (alice, bob):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
acme = organizations.found("Acme Research", alice)
for user, role in ((bob, "viewer"), (User.objects.create_user("carol@example.com"), "developer")):
    Membership.objects.create(organization=acme, user=user, role=role)
organizations.invite(acme, email="dora@example.com", role="billing", invited_by=alice)
request = RequestFactory(REMOTE_ADDR="192.0.2.7").post("/")
request.user = alice
made = [keys.issue(acme, name=name, created_by=alice)[0] for name in ("production", "laptop", "evaluation")]
for key in made:
    audit.record(request, audit.Verb.CREATE, key, organization_id=acme.pk, details={"name": key.name})
keys.change(made[2], {"is_disabled": True})
keys.change(made[1], {"limit_nano": 25 * 10**9, "limit_reset": "monthly"})
audit.record(request, audit.Verb.UPDATE, acme, organization_id=acme.pk, details={"name": ["Acme", "Acme Research"]})
ledger.grant(acme, amount=250 * 10**9, reason="Pilot")
now, charged = datetime.now(UTC), 0
today = now.replace(hour=0, minute=0, second=0, microsecond=0)
for endpoint in Endpoint.objects.select_related("provider"):
    for day in range(75):
        faults = random.choices([0, 3, 40], [40, 8, 1])[0]
        Uptime.objects.create(
            endpoint=endpoint, span="day", begins_at=today - timedelta(days=day), successes=200, faults=faults
        )
Incident.objects.create(provider=Provider.objects.get(slug="tertiary"), cause="Probes fail")
Incident.objects.create(
    provider=Provider.objects.get(slug="primary"), cause="Half of the requests failed",
    opened_at=now - timedelta(days=3, minutes=51), closed_at=now - timedelta(days=3),
)
tries = [
    {"provider_name": "Primary", "model_permaslug": "acme/three", "status": 503, "latency": 412, "error": "overloaded"},
    {"provider_name": "Secondary", "model_permaslug": "acme/three", "status": 200, "latency": 1893, "error": None},
]
for number in range(420):
    at = now - timedelta(minutes=random.expovariate(1 / 14000))
    charge = random.randrange(10**5, 10**9)
    model = random.choice(["acme/one", "acme/three", "acme/three", "acme/other"])
    identity = UUID(int=int(at.timestamp() * 1000) << 80 | uuid7().int & (1 << 80) - 1)
    outcome = random.choices(["ok", "error", "cancelled"], [30, 1, 1])[0]
    Generation.objects.create(
        id=identity, organization_id=acme.pk, api_key_id=random.choice(made).pk, outcome=outcome, model=model,
        requested_model=model, provider="secondary", provider_name="Secondary", endpoint_id=acme.pk, charge=charge,
        prompt_tokens=random.randrange(5000), completion_tokens=random.randrange(2000), latency_ms=380, streamed=True,
        generation_ms=2310, finish_reason="stop", attempts=tries, app_title="Editor", created_at=at, closed_at=at,
    )
    charged += charge
wallet = Wallet.objects.get(organization=acme)
wallet.spent += charged
wallet.unposted_charge += charged
wallet.save()
with connection.cursor() as cursor:
    cursor.execute("SELECT till_post()")
usage.roll_up()
budgets.set_budget(acme, 400 * 10**9, "monthly")
import_catalogue(LOCAL, source="test")
hour = now.replace(minute=0, second=0, microsecond=0)
rows = []
for number, endpoint in enumerate(Endpoint.objects.filter(model__slug="acme/three").order_by("tag")):
    for ago in range(24 * 7):
        count = random.randrange(40, 400)
        latency = count * int(random.gauss(420 + 160 * number, 30))
        speed = count * int(random.gauss(90 - 20 * number, 4))
        rows.append(
            Uptime(
                endpoint=endpoint, span="hour", begins_at=hour - timedelta(hours=ago), successes=count, faults=ago % 3,
                latency_count=count, latency_ms_sum=latency, throughput_count=count, throughput_sum=speed,
            )
        )
Uptime.objects.bulk_create(rows)
print(made[0].hash, public_id(Generation.objects.filter(organization_id=acme.pk).latest("id").id), acme.pk)
"""

VISITOR = {
    "home": "/",
    "models": "/models",
    "compare": "/models/compare?models=acme/one&models=acme/three",
    "model": "/models/acme/three",
    "rankings": "/rankings?span=month",
    "providers": "/providers",
    "provider": "/providers/primary",
    "status": "/status",
    "chat-visitor": "/chat?prompt=Why%20is%20the%20sky%20blue%3F",
    "login": "/login",
    "signup": "/signup",
    "password-reset": "/password/reset",
    "password-reset-done": "/password/reset/done",
    "password-reset-wrong-link": "/password/reset/key/1-wrong",
    "inactive": "/inactive",
    "look-into-your-mail": "/confirm-email",
    "confirm-wrong-link": "/confirm-email/wrong",
    "invitation-over": "/invitations/wrong",
    "404": "/nowhere",
}
MEMBER = {
    "dashboard": "/dashboard",
    "activity": "/activity",
    "activity-by-key": "/activity?span=1w&by=key&show=requests",
    "logs": "/logs",
    "generation": "/logs/{generation}",
    "chat": "/chat",
    "keys": "/keys",
    "key": "/keys/{key}",
    "key-new": "/keys/new",
    "key-routing": "/keys/{key}/routing",
    "credits": "/credits",
    "organization": "/settings/organization",
    "organization-new": "/settings/organization/new",
    "members": "/settings/members",
    "budgets": "/settings/budgets",
    "routing": "/settings/routing",
    "notifications": "/settings/notifications",
    "audit": "/settings/audit",
    "email": "/settings/email",
    "password": "/settings/password",
    "factors": "/settings/factors",
    "factors-app": "/settings/factors/app",
    "passkeys": "/settings/factors/passkeys",
    "passkey-new": "/settings/factors/passkeys/new",
    "logout": "/logout",
    "sessions": "/settings/sessions",
    "reauthenticate": "/reauthenticate?next=/settings/factors/app",
    "model-member": "/models/acme/three",
    "authorize": "/auth?callback_url=https://editor.example/done",
    "authorize-wrong": "/auth?callback_url=nowhere",
}
# Credit is sold; nothing is asked of Stripe before somebody buys.
SELLS = {"STRIPE_SECRET_KEY": "sk_test_of_nobody", "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody"}
# What a request cannot be made to fail into, and what nobody pays for.
BROKEN = ("400.html", "413.html", "429.html", "500.html", "503.html", "pages/playground_closed.html")


class People:
    def __init__(self, product: Product) -> None:
        self.product = product
        words = product.manage("shell", "--verbosity", "0", "-c", SEED).stdout.split()
        self.known = dict(zip(("key", "generation", "organization"), words, strict=True))
        product.environment["VISITORS_ORGANIZATION"] = self.known["organization"]
        product.restart()

    def log_in(self, context: BrowserContext, email: str) -> Page:
        page = context.new_page()
        page.goto(f"{self.product.url}/login")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url("**/dashboard")
        return page

    def look_at_acme(self, page: Page) -> None:
        page.locator("header summary").click()
        page.get_by_role("button", name="Acme Research").click()
        page.get_by_role("heading", name="Acme Research").wait_for()

    def pages(self, context: BrowserContext) -> Iterator[tuple[str, Page]]:
        """Each page of the product, open, by name."""
        visitor = context.new_page()
        for name, path in VISITOR.items():
            visitor.goto(self.product.url + path)
            yield name, visitor
        page = self.log_in(context, ALICE)
        yield "first-steps", page
        self.look_at_acme(page)
        for name, path in MEMBER.items():
            page.goto(self.product.url + path.format(**self.known))
            if name == "factors-app":
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Confirm").click()
                page.wait_for_url("**/factors/app")
            yield name, page
        self.chat(page)
        yield "chat-answered", page
        page.goto(f"{self.product.url}/models/acme/one")
        page.get_by_role("button", name="Make a key and fill it in").click()
        page.locator("#quick-token").wait_for()
        yield "model-with-key", page
        context.clear_cookies()
        page = self.log_in(context, BOB)
        self.look_at_acme(page)
        page.goto(f"{self.product.url}/settings/audit")
        yield "403", page
        yield from self.broken(page)

    def chat(self, page: Page) -> None:
        """Two models, and a chat before this one."""
        page.goto(f"{self.product.url}/chat?model=acme/one")
        page.get_by_label("Model to add").fill("acme/three")
        page.get_by_role("button", name="Add").click()
        for question in ("Which harbours does the ferry call at?", "What does a lighthouse keeper do all day?"):
            page.get_by_role("button", name="New chat").click()
            page.get_by_label("Message").fill(question)
            page.get_by_role("button", name="Send").click()
            page.get_by_text("The answer is complete.").wait_for(state="attached")
        page.get_by_role("button", name="Show as code").click()

    def broken(self, page: Page) -> Iterator[tuple[str, Page]]:
        for template in BROKEN:
            code = f"from django.template.loader import render_to_string as r; print(r({template!r}))"
            body = self.product.manage("shell", "--verbosity", "0", "-c", code).stdout
            url = f"{self.product.url}/broken"
            page.route(url, answer(body))
            page.goto(url)
            yield template.removesuffix(".html").split("/")[-1], page
            page.unroute(url)


def answer(body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=body, content_type="text/html")


@contextmanager
def context(browser: Browser, *, width: int, scheme: str) -> Iterator[BrowserContext]:
    found = browser.new_context(
        viewport={"width": width, "height": 844 if width < 700 else 800},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    yield found
    found.close()
