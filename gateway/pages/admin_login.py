"""The admin's own form asks for a password alone, so it is not for those who have a second factor."""

from allauth.mfa.utils import is_mfa_enabled
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError


class LoginForm(AdminAuthenticationForm):
    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        super().confirm_login_allowed(user)  # type: ignore[arg-type]
        if is_mfa_enabled(user):
            raise ValidationError("This account has a second factor. Log in at /login, then come back here.")
