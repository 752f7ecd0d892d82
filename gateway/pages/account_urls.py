"""allauth's views that Turnpike has pages for, each behind its limits. Their names are allauth's."""

from allauth.account import views
from allauth.mfa.base import views as factors
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from django.urls import path, re_path

from gateway.pages.limits import limited

login = limited("login", address="20/m", email="10/5m")(views.login)
signup = limited("signup", address="20/h")(views.signup)
reset = limited("reset", address="20/h", email="5/h")(views.password_reset)
new_password = limited("new-password", address="20/h")(views.password_reset_from_key)
email = limited("change-email", user="20/h")(views.email)
change = limited("change-password", user="20/h")(views.password_change)
again = limited("reauthenticate", user="20/5m")(views.reauthenticate)

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
    path("reauthenticate", again, name="account_reauthenticate"),
    path("settings/email", email, name="account_email"),
    path("settings/password", change, name="account_change_password"),
    path("settings/password/new", views.password_set, name="account_set_password"),
    path("login/factor", factors.authenticate, name="mfa_authenticate"),
    path("login/passkey", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("reauthenticate/code", factors.reauthenticate, name="mfa_reauthenticate"),
    path("reauthenticate/passkey", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("settings/factors", factors.index, name="mfa_index"),
    path("settings/factors/app", totp.activate_totp, name="mfa_activate_totp"),
    path("settings/factors/app/off", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("settings/factors/codes", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("settings/factors/codes/new", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("settings/factors/codes/file", codes.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("settings/factors/passkeys", passkeys.list_webauthn, name="mfa_list_webauthn"),
    path("settings/factors/passkeys/new", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("settings/factors/passkeys/<int:pk>", passkeys.edit_webauthn, name="mfa_edit_webauthn"),
    path("settings/factors/passkeys/<int:pk>/remove", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
]
