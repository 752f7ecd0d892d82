"""Forms of the admin's pages about people."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm

from accounts.models import Membership, User


class LowerCase:
    """E-mail addresses are kept in lower case."""

    cleaned_data: dict[str, Any]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        return email.lower()


class NewUserForm(LowerCase, AdminUserCreationForm):  # type: ignore[type-arg]  # generic to the type checker only
    class Meta:
        model = User
        fields = ("email", "name")


class UserForm(LowerCase, UserChangeForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name", "is_active", "is_staff", "is_superuser", "groups", "user_permissions")


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]
    """A member stays who they are; the role may change."""

    class Meta:
        model = Membership
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            user = self.instance.user
            self.fields["user"].disabled = True
            # A widget that looks up what it shows would ask the database for each member.
            self.fields["user"].widget = forms.Select(choices=[(user.pk, str(user))])


class MembershipFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of an organization: somebody has to own it."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if not form.cleaned_data.get("DELETE")]
        if not any(member.get("role") == Membership.Role.OWNER for member in kept):
            raise forms.ValidationError("An organization needs an owner.")
