"""Django settings: one file, typed readers, everything of a site under DMS_HOME.

Environment: DMS_HOME, DATABASE_URL (postgresql://...; default SQLite in the home), REDIS_URL (default: the
embedded Redis' private socket), DMS_ALLOWED_HOSTS, DMS_PUBLIC_URL (https://... behind a proxy), DMS_DEBUG.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from capabilities.numbers import NUMBERS
from dmsweb.env import env_bool, env_int, env_list, env_text
from dmsweb.home import Home
from dmsweb.launch.environment import place

BASE_DIR = Path(__file__).resolve().parent.parent
DMS_HOME = Home.from_environment()
DMS_HOME.create()

DEBUG = env_bool("DMS_DEBUG", False)
SECRET_KEY = env_text("DMS_SECRET_KEY") or DMS_HOME.secret("django")
DMS_PUBLIC_URL = env_text("DMS_PUBLIC_URL").rstrip("/")
DMS_PORT = env_int("DMS_PORT", 8765)

_public = urlsplit(DMS_PUBLIC_URL)
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    *([_public.hostname] if _public.hostname else []),
    *env_list("DMS_ALLOWED_HOSTS"),
]
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"] if _public.netloc else []
HTTPS = _public.scheme == "https"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_NAME = f"dms_session_{DMS_PORT}"
CSRF_COOKIE_NAME = f"dms_csrf_{DMS_PORT}"
SESSION_COOKIE_SAMESITE = "Lax"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "dmsweb.accounts",
    "capabilities",
    "node",
    "deployments",
    "workers",
    "dmsweb.pages",
]
MIDDLEWARE = [
    "dmsweb.api.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dmsweb.pages.security.SecurityPolicyMiddleware",
]
ROOT_URLCONF = "dmsweb.urls"
ASGI_APPLICATION = "dmsweb.asgi.application"
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
                "dmsweb.pages.context.site",
            ]
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
ACCOUNT_ADAPTER = "dmsweb.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_LOGOUT_REDIRECT_URL = "/login/"
ACCOUNT_RATE_LIMITS = {"login": f"{NUMBERS.logins_per_minute_of_address}/m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = _public.hostname or "dmsweb"
# Browsers allow passkeys without TLS on localhost alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
SOCIALACCOUNT_ADAPTER = "dmsweb.accounts.adapters.SocialAdapter"
# An identity provider (OpenID Connect): DMS_OIDC_ISSUER, DMS_OIDC_CLIENT_ID, DMS_OIDC_CLIENT_SECRET, DMS_OIDC_NAME.
_issuer = env_text("DMS_OIDC_ISSUER")
OIDC_NAME = env_text("DMS_OIDC_NAME", "single sign-on") if _issuer else ""
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": env_text("DMS_OIDC_CLIENT_ID"),
                "secret": env_text("DMS_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": _issuer},
            }
        ]
        if _issuer
        else [],
    }
}
# Mail goes to the log of the web process until DMS_EMAIL_HOST says where to.
EMAIL_HOST = env_text("DMS_EMAIL_HOST")
EMAIL_PORT = env_int("DMS_EMAIL_PORT", 587)
EMAIL_HOST_USER = env_text("DMS_EMAIL_USER")
EMAIL_HOST_PASSWORD = env_text("DMS_EMAIL_PASSWORD")
EMAIL_USE_TLS = env_bool("DMS_EMAIL_TLS", True)
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = env_text("DMS_EMAIL_FROM", f"dms@{_public.hostname or 'localhost'}")
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"


def _databases() -> dict[str, dict[str, Any]]:
    url = env_text("DATABASE_URL")
    if not url:
        return {
            "default": _sqlite("dms.sqlite3"),
            # Nonces are written on every envelope; in a file of their own they never wait for the rest.
            "nonces": _sqlite("nonces.sqlite3"),
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError(
            f"DATABASE_URL: {parts.scheme!r} is not supported; give postgresql://user:pw@host/name"
        )
    return {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    }


def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "dmsweb.database.sqlite",
        "NAME": DMS_HOME.path("db", name),
        "TEST": {"NAME": str(DMS_HOME.path("db", f"test-{name}"))},
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
        },
    }


DATABASES = _databases()
DATABASE_ROUTERS = ["dmsweb.database.router.NonceRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env_text("REDIS_URL") or f"unix://{DMS_HOME.socket('redis.sock')}"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "dms"},
    }
}
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
# Where the checkout cannot be written, what the launcher builds is in the home.
BUILT = place(BASE_DIR)
STATICFILES_DIRS = [BASE_DIR / "static", *([BUILT / "static"] if BUILT != BASE_DIR else [])]
STATIC_ROOT = BUILT / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "dmsweb.api.auth.BearerToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["dmsweb.api.permissions.Holds"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["dmsweb.api.parsing.BoundedJSON"],
    "DEFAULT_PAGINATION_CLASS": "dmsweb.api.pagination.Page",
    "DEFAULT_FILTER_BACKENDS": [
        "dmsweb.api.filtering.SpeakingFilters",
        "dmsweb.api.filtering.SpeakingOrder",
        "dmsweb.api.searching.BoundedSearch",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "dmsweb.api.problems.handle",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "dmsweb",
    "DESCRIPTION": "Device Management Service: every behavior of the node, and the rows behind the pages.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["dmsweb.api.schema.add_behaviors"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
}
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - a model, no password
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Bearer"}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "node.logger.lines.JsonLines"},
        "text": {"()": "node.logger.lines.TextLines"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            # The supervisor's processes write JSON into their files; a terminal gets text.
            "formatter": "json" if env_text("DMS_LOG_FORMAT", "text") == "json" else "text",
        }
    },
    "root": {"handlers": ["stderr"], "level": env_text("DMS_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "docker": {"level": "WARNING"},
        # A line for each task that comes and goes would drown the rest: sweeps come every few seconds.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
