"""What an organization's member sees first."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.models import Wallet
from gateway.pages.tenant import membership


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    wallet = Wallet.objects.filter(organization=member.organization).first() or Wallet()
    context = {"organization": member.organization, "wallet": wallet, "public_url": settings.PUBLIC_URL}
    return render(request, "pages/dashboard.html", context)
