"""allauth's views that Turnpike has pages for, each behind its limits. Their names are allauth's."""

from allauth.account import views
from django.urls import path, re_path

from gateway.pages.limits import limited

login = limited("login", address="20/m", email="10/5m")(views.login)
signup = limited("signup", address="20/h")(views.signup)
reset = limited("reset", address="20/h", email="5/h")(views.password_reset)
new_password = limited("new-password", address="20/h")(views.password_reset_from_key)

urlpatterns = [
    path("login", login, name="account_login"),
    path("logout", views.logout, name="account_logout"),
    path("inactive", views.account_inactive, name="account_inactive"),
    path("signup", signup, name="account_signup"),
    path("confirm-email", views.email_verification_sent, name="account_email_verification_sent"),
    re_path(r"^confirm-email/(?P<key>[-:\w]+)$", views.confirm_email, name="account_confirm_email"),
    path("password/reset", reset, name="account_reset_password"),
    path("password/reset/done", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)$",
        new_password,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
]
