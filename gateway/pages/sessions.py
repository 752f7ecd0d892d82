"""Where somebody is logged in, and ending it from afar."""

from allauth.usersessions.internal.flows.sessions import end_sessions
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from gateway.pages.tenant import user_of


@login_required
@require_http_methods(["GET", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """A POST ends the one that it names, or all others."""
    found = sorted(UserSession.objects.purge_and_list(user_of(request)), key=lambda session: -session.pk)
    if request.method == "POST":
        others = [session for session in found if not session.is_current()]
        named = request.POST.get("session")
        chosen = [session for session in others if named is None or str(session.pk) == named]
        if named is not None and not chosen:
            raise Http404
        end_sessions(request, chosen)
        messages.success(request, f"Sessions ended: {len(chosen)}.")
        return redirect("page-sessions")
    return render(request, "pages/sessions.html", {"sessions": found})
