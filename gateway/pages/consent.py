"""/auth: a person lets an application have a key of theirs (OAuth PKCE; the exchange is gateway/api/oauth.py)."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import access, codes
from gateway.pages.key_forms import NewKeyForm
from gateway.pages.limits import limited
from gateway.pages.tenant import membership, user_of


class AskedForm(forms.Form):
    """What the application's link says."""

    callback_url = forms.CharField(required=False, max_length=codes.MOST_URL, validators=[codes.check_callback])
    code_challenge = forms.CharField(required=False, max_length=128)
    code_challenge_method = forms.ChoiceField(required=False, choices=codes.Method.choices)
    key_label = forms.CharField(required=False, max_length=100)

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if not found.get("callback_url") and not found.get("code_challenge") and not self.errors:
            raise ValidationError("Without callback_url a code_challenge is needed.")
        return found


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@limited("create-key", user="30/h")
def authorize(request: HttpRequest) -> HttpResponse:
    asked = AskedForm(request.GET)
    if not asked.is_valid():
        return render(request, "pages/authorize_bad.html", {"form": asked}, status=400)
    member = membership(request)
    access.demand_creation(member)
    callback_url = asked.cleaned_data["callback_url"]
    app = codes.origin(callback_url) if callback_url else "An application"
    form = NewKeyForm(request.POST or None, may_manage=False, initial={"name": asked.cleaned_data["key_label"] or app})
    if not form.is_valid():
        response = render(request, "pages/authorize.html", {"form": form, "app": app, "member": member})
        if callback_url:
            # The answer to this form leads there.
            response._csp_update = {"form-action": codes.origin(callback_url)}  # type: ignore[attr-defined]
        return response
    columns = form.columns()
    _, code = codes.issue(
        member.organization,
        user_of(request),
        key_name=columns["name"],
        callback_url=callback_url,
        challenge=asked.cleaned_data["code_challenge"],
        method=codes.method_of(asked.cleaned_data["code_challenge"], asked.cleaned_data["code_challenge_method"]),
        limit_nano=columns.get("limit_nano"),
        limit_reset=columns.get("limit_reset", ""),
        key_expires_at=columns.get("expires_at"),
    )
    if callback_url:
        return HttpResponseRedirect(codes.with_code(callback_url, code))
    return render(request, "pages/authorize_code.html", {"code": code})
