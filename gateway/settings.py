"""Every setting of Turnpike. Values come from the environment; NAME_FILE names a file that holds the value of NAME."""

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from gateway.configured import amount, broker, database, identity, percent, watched

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

# Where it runs
DEBUG = env.bool("DEBUG", default=False)
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data")))
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
# The API is authenticated by key and pages check their origin, so any Host may reach it unless the operator narrows it.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# Secrets
SECRET_KEY = env.str("DJANGO_SECRET_KEY", default="")
KEY_PEPPER = env.str("TURNPIKE_KEY_PEPPER", default="")
KEY_RING = env.str("TURNPIKE_KEY_RING", default="")

# Servers
DATABASE_URL = watched(env.str("DATABASE_URL", default=""))
REDIS_URL = env.str("REDIS_URL", default="")
if DATABASE_URL and not conninfo_to_dict(DATABASE_URL).get("dbname"):
    raise ImproperlyConfigured("DATABASE_URL names no database.")
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Applications
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "gateway.apps.AddressesConfig",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "accounts",
    "billing",
    "providers",
    "gateway.apps.GatewayConfig",
]
AUTH_USER_MODEL = "accounts.User"
ROOT_URLCONF = "gateway.urls"
ASGI_APPLICATION = "gateway.asgi.application"
# The stock handler's list; the inference paths have none (gateway/lean.py).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "gateway.api.browsers.BrowserMiddleware",
    "csp.middleware.CSPMiddleware",
    "gateway.pages.assets.assets",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # The innermost, so that it has every page in its hands.
    "gateway.pages.looking.LookingMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "gateway.pages.tenant.menu",
            ],
            "builtins": ["gateway.pages.formats"],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# People: sign-up, log-in, verification of addresses (gateway/pages/adapter.py)
SIGNUP = env.str("SIGNUP", default="open")
if SIGNUP not in ("open", "invite", "closed"):
    raise ImproperlyConfigured("SIGNUP must be open, invite or closed.")
SIGNUP_CREDIT_NANO = amount("SIGNUP_CREDIT", env.str("SIGNUP_CREDIT", default="0"), decimals=9)
# Who pays for visitors of the playground; without it they are asked to sign up.
VISITORS_ORGANIZATION = identity("VISITORS_ORGANIZATION", env.str("VISITORS_ORGANIZATION", default=""))
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
ACCOUNT_ADAPTER = "gateway.pages.adapter.Adapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# Only in the browser that signed up; anywhere else the link confirms and no more.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_CHANGE_EMAIL = True
# Whoever changes how an account is logged in to is told so by mail, and asked for a proof first.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
MFA_ADAPTER = "gateway.pages.adapter.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Turnpike"
# Browsers allow passkeys without TLS on localhost only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
# Behind a proxy, name the header in which it says who calls, e.g. X-Real-IP: limits count by that address.
ALLAUTH_TRUSTED_CLIENT_IP_HEADER = env.str("PROXY_IP_HEADER", default="") or None

# Mail
mail = env.email_url("EMAIL_URL", default="consolemail://")
EMAIL_BACKEND = "accounts.mail.QueuedBackend"
# What the queue's task sends by.
MAIL_BACKEND = mail["EMAIL_BACKEND"]
EMAIL_HOST = mail["EMAIL_HOST"] or ""
EMAIL_PORT = mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER = mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
# Who is told when something needs an operator; without it, the superusers.
OPERATORS = env.list("OPERATORS", default=[])
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Turnpike <turnpike@localhost>")

# Payments by Stripe, when there is a key. The webhook secret is what tells Stripe's events from anybody's.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", default="")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="").rstrip("/")
if STRIPE_SECRET_KEY and not STRIPE_SECRET_KEY.startswith(("sk_", "rk_")):
    raise ImproperlyConfigured("STRIPE_SECRET_KEY must be a secret or restricted key (sk_… or rk_…).")
if STRIPE_SECRET_KEY and not STRIPE_WEBHOOK_SECRET:
    raise ImproperlyConfigured("STRIPE_SECRET_KEY needs STRIPE_WEBHOOK_SECRET: without it anybody could send events.")
TOPUP_MIN_CENTS = amount("TOPUP_MIN", env.str("TOPUP_MIN", default="5"), decimals=2)
TOPUP_MAX_CENTS = amount("TOPUP_MAX", env.str("TOPUP_MAX", default="10000"), decimals=2)
TOPUP_FEE_PERCENT = percent("TOPUP_FEE_PERCENT", env.str("TOPUP_FEE_PERCENT", default="0"))
TOPUP_FEE_FIXED_CENTS = amount("TOPUP_FEE_FIXED", env.str("TOPUP_FEE_FIXED", default="0"), decimals=2)
TOPUP_FEE_MIN_CENTS = amount("TOPUP_FEE_MIN", env.str("TOPUP_FEE_MIN", default="0"), decimals=2)
# Stripe takes no payment below 50 cents, and none of more than 999,999.99 USD.
if not 50 <= TOPUP_MIN_CENTS <= TOPUP_MAX_CENTS <= 50_000_000:
    raise ImproperlyConfigured("TOPUP_MIN must be 0.50 at least, and TOPUP_MAX no less than that and 500000 at most.")
# Who issues receipts, one line each.
RECEIPT_ISSUER = env.str("RECEIPT_ISSUER", default="Turnpike").replace("\\n", "\n")
RECEIPT_FONT = env.str("RECEIPT_FONT", default="")

# What limits on forms count in
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "turnpike",
    }
}

# The API: authentication is the key's, done by gateway/api; errors leave in the reference's envelope.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["gateway.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "gateway.api.negotiation.Negotiation",
    "EXCEPTION_HANDLER": "gateway.errors.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Turnpike",
    "DESCRIPTION": "One API in front of many providers of language models.",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/"}],
    "TAGS": [{"name": name} for name in ("Inference", "Models", "Account", "Keys")],
    "POSTPROCESSING_HOOKS": ["gateway.api.openapi.components"],
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    # From our own pages: the browser fetches nothing from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
MAX_BODY_BYTES = 32 * 1024 * 1024
# Of what is not inference: forms (the largest is the review of a catalogue file) and settings.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 3000

# Static files
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
SERVESTATIC_USE_FINDERS = True

# Browsers
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
# Other hosts of the domain are not ours to decide about: opt in by the environment.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# No inline script or style anywhere; daisyUI draws its marks from data: images.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Behind a proxy that ends TLS, name the header that it sets, e.g. X-Forwarded-Proto.
if proto_header := env.str("PROXY_PROTO_HEADER", default=""):
    SECURE_PROXY_SSL_HEADER = ("HTTP_" + proto_header.upper().replace("-", "_"), "https")

# Who waits for a provider or endpoint at its limit: how many in each process, and for how long at most. A catalogue
# may say otherwise for each.
QUEUE_LENGTH = env.int("QUEUE_LENGTH", default=2000)
QUEUE_WAIT_S = env.float("QUEUE_WAIT_S", default=15)
if QUEUE_LENGTH < 0 or not 0 <= QUEUE_WAIT_S <= 600:
    raise ImproperlyConfigured("QUEUE_LENGTH must not be negative, and QUEUE_WAIT_S must be from 0 to 600.")

# On top of list prices, unless the admin says otherwise for an organization or a model.
MARKUP_MILLIONTHS = int(percent("MARKUP_PERCENT", env.str("MARKUP_PERCENT", default="0")) * 10_000)

# How long requests are kept, in whole months as they are partitioned; /activity needs 30 days of them at any time.
GENERATION_RETENTION_DAYS = env.int("GENERATION_RETENTION_DAYS", default=90)
if GENERATION_RETENTION_DAYS < 60:
    raise ImproperlyConfigured("GENERATION_RETENTION_DAYS must be 60 at least.")

# Background work
CELERY_BROKER_URL = broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A task whose worker died without a word is given to another after this long; no task takes longer than its time limit.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 360}
CELERY_BEAT_SCHEDULER = "gateway.beat:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
# What is not in the database yet. There it may be changed (admin, "Periodic tasks"), and stays so.
CELERY_BEAT_SCHEDULE = {
    # In whole seconds, as the database keeps them; over the 5 s below which the till does not count a tick.
    "tick": {"task": "billing.tasks.tick", "schedule": 6.0, "options": {"queue": "urgent", "expire_seconds": 5}},
    "post": {"task": "billing.tasks.post", "schedule": 10.0, "options": {"queue": "urgent", "expire_seconds": 10}},
    "expire": {"task": "billing.tasks.expire", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "payments": {"task": "billing.tasks.payments", "schedule": 20.0, "options": {"expire_seconds": 20}},
    "open-top-ups": {"task": "billing.tasks.open_top_ups", "schedule": 600.0, "options": {"expire_seconds": 600}},
    "alerts": {"task": "billing.tasks.alerts", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "prices": {"task": "providers.tasks.prices", "schedule": 5.0, "options": {"queue": "urgent", "expire_seconds": 5}},
    "probe": {"task": "providers.tasks.probe", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "uptime": {"task": "gateway.tasks.uptime", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "prune-generations": {"task": "billing.tasks.prune", "schedule": 3600.0, "options": {"queue": "slow"}},
    "prune-sessions": {"task": "accounts.tasks.sessions", "schedule": 86400.0, "options": {"queue": "slow"}},
    "prune-probes": {"task": "providers.tasks.prune", "schedule": 3600.0, "options": {"queue": "slow"}},
    "usage": {"task": "billing.tasks.usage", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "partitions": {"task": "billing.tasks.partitions", "schedule": 3600.0, "options": {"queue": "slow"}},
}

# Time and language
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# Logs
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # A line per request of httpx would repeat ours.
    "loggers": {"httpx": {"level": "WARNING"}, "stripe": {"level": "WARNING"}, "uvicorn.access": {"level": "WARNING"}},
}
