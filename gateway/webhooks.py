"""Where Stripe sends its events."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.payments import client, events
from billing.payments.errors import BadSignature


@csrf_exempt
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """200 as soon as the event is stored: what cannot be followed now, a task follows later."""
    if not client.is_enabled():
        raise Http404
    try:
        event = events.receive(request.body, request.headers.get("Stripe-Signature", ""))
    except BadSignature:
        return HttpResponse("The signature is wrong.", status=400, content_type="text/plain")
    events.process(event)
    return HttpResponse("ok", content_type="text/plain")
