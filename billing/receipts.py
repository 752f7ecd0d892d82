"""Receipts of paid top-ups as PDF."""

from typing import TYPE_CHECKING

from django.conf import settings

from billing.payments.amounts import usd
from billing.payments.models import Dispute, Refund, TopUp

if TYPE_CHECKING:
    from fpdf import FPDF

MARGIN_MM = 20
GREY = 110


def pdf(top_up: TopUp) -> bytes:
    """The same bytes each time while nothing about the payment changes."""
    # A second and 30 MB that a process which never writes a receipt does without.
    from fpdf import FPDF

    document = FPDF(format="A4")
    document.set_margins(MARGIN_MM, MARGIN_MM)
    document.set_creation_date(top_up.paid_at or top_up.created_at)
    document.set_title(f"Receipt {top_up.receipt_number}")
    document.add_page()
    family = _font(document)
    _head(document, family, top_up)
    _lines(document, family, top_up)
    return bytes(document.output())


def _font(document: "FPDF") -> str:
    """PDF's own Helvetica knows Western European letters only; names in others need a font of the operator's."""
    if not settings.RECEIPT_FONT:
        return "helvetica"
    document.add_font("receipt", fname=settings.RECEIPT_FONT)
    return "receipt"


def _head(document: "FPDF", family: str, top_up: TopUp) -> None:
    document.set_font(family, size=20)
    document.cell(text="Receipt", new_x="LMARGIN", new_y="NEXT")
    document.ln(4)
    document.set_font(family, size=10)
    for line in settings.RECEIPT_ISSUER.splitlines():
        document.cell(text=_written(family, line), new_x="LMARGIN", new_y="NEXT", h=5)
    document.ln(6)
    facts = [
        ("Receipt number", top_up.receipt_number),
        ("Paid", f"{top_up.paid_at:%d %B %Y %H:%M} UTC"),
        ("For", top_up.organization.name),
        ("Organization", str(top_up.organization_id)),
        ("Payment", top_up.stripe_intent or top_up.stripe_session or ""),
    ]
    for name, value in facts:
        document.set_text_color(GREY)
        document.cell(w=40, text=name, h=6)
        document.set_text_color(0)
        document.multi_cell(w=0, text=_written(family, value), h=6, new_x="LMARGIN", new_y="NEXT")
    document.ln(6)


def _lines(document: "FPDF", family: str, top_up: TopUp) -> None:
    rows = [("Prepaid credit", top_up.credit_cents)]
    if top_up.fee_cents:
        rows.append(("Fee", top_up.fee_cents))
    rows.append(("Total paid (USD)", top_up.total_cents))
    for refund in top_up.refunds.filter(status=Refund.Status.PAID).order_by("created_at"):
        rows.append((f"Refunded {refund.created_at:%d %B %Y}", -refund.credit_cents - refund.fee_cents))
    for dispute in top_up.disputes.filter(status=Dispute.Status.LOST).order_by("created_at"):
        rows.append((f"Returned by dispute {dispute.created_at:%d %B %Y}", -dispute.credit_cents - dispute.fee_cents))
    width = document.epw
    document.set_draw_color(200)
    for name, cents in rows:
        document.cell(w=width - 40, text=_written(family, name), border="T", h=9)
        document.cell(w=40, text=usd(cents), border="T", h=9, align="R", new_x="LMARGIN", new_y="NEXT")


def _written(family: str, text: str) -> str:
    return text if family == "receipt" else text.encode("latin-1", "replace").decode("latin-1")
