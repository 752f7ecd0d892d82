"""Catalogue files in the admin: upload, export, and the review of what a file would change."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_safe

from accounts.admin import ReadOnly, demand
from providers import refreshes
from providers.catalogue.exporting import export_catalogue
from providers.catalogue.format import BadCatalogue
from providers.importer import import_catalogue
from providers.models import Refresh
from providers.refreshes import Moved

# Of a file with thousands of models.
MOST_BYTES = 10 * 2**20
# Each is a field of the form (DATA_UPLOAD_MAX_NUMBER_FIELDS); the next come when these are decided.
MOST_AT_ONCE = 2000
ROWS = ("provider", "model", "endpoint", "price")
EXPORTING = tuple(f"providers.view_{name}" for name in ROWS)
IMPORTING = tuple(f"providers.{verb}_{name}" for name in ROWS for verb in ("add", "change"))


class UploadForm(forms.Form):
    file = forms.FileField(label="Catalogue file (YAML)", help_text="As docs/catalogue.md describes it.")

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"It is larger than {MOST_BYTES // 2**20} MiB.")
        self.name: str = file.name[:200]
        try:
            return str(file.read().decode())
        except UnicodeDecodeError as error:
            line = file.file.getvalue()[: error.start].count(b"\n") + 1 if hasattr(file.file, "getvalue") else 1
            raise forms.ValidationError(f"{self.name}:{line}: file: is not UTF-8") from None


@admin.register(Refresh)
class RefreshAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    list_display = ("source", "state", "changes", "proposed_at", "proposed_by", "closed_at")
    list_filter = ("state", "proposed_at")
    list_select_related = ("proposed_by",)
    search_fields = ("source",)
    ordering = ("-proposed_at",)
    change_list_template = "admin/providers/refresh/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("upload/", view(upload), name="providers_refresh_upload"),
            path("export/", view(export), name="providers_refresh_export"),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request)
        is_one = bool(request.resolver_match and request.resolver_match.kwargs)
        return found if is_one else found.defer("text", "decided")

    @admin.display()
    def changes(self, refresh: Refresh) -> str:
        return ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in refresh.summary.items())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        refresh = self.get_object(request, object_id)
        if refresh is None or not self.has_view_permission(request, refresh):
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            return decide(request, refresh)
        return review(request, refresh)


def decide(request: HttpRequest, refresh: Refresh) -> HttpResponse:
    demand(request, *IMPORTING)
    marks = set(request.POST.getlist("change"))
    verb = refreshes.accept if "accept" in request.POST else refreshes.reject
    try:
        if marks:
            count = verb(refresh, marks, request)
            messages.success(request, f"{count} change{'' if count == 1 else 's'} {verb.__name__}ed.")
        else:
            messages.warning(request, "No change was chosen.")
    except Moved as error:
        messages.error(request, f"Nothing was done. {error}")
    except BadCatalogue as bad:
        messages.error(request, f"Nothing was done. {lines_of(refresh.source, bad)[0]}")
    return redirect("admin:providers_refresh_change", refresh.pk)


def review(request: HttpRequest, refresh: Refresh) -> HttpResponse:
    changes, problems, count = [], [], 0
    if refresh.state == Refresh.State.OPEN:
        try:
            found = refreshes.open_changes(refresh)
            count, changes = len(found), [refreshes.said(change) for change in found[:MOST_AT_ONCE]]
        except BadCatalogue as bad:
            problems = lines_of(refresh.source, bad)
    context = {
        **admin.site.each_context(request),
        "title": f"Review {refresh}",
        "opts": Refresh._meta,
        "refresh": refresh,
        "changes": changes,
        "count": count,
        "problems": problems,
        "decided": refresh.decided,
        "may_decide": request.user.has_perms(IMPORTING),
    }
    return render(request, "admin/providers/refresh/review.html", context)


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    demand(request, *IMPORTING)
    form = UploadForm(request.POST or None, request.FILES or None)
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        try:
            return imported(request, form) if "import" in request.POST else proposed(request, form)
        except BadCatalogue as bad:
            problems = lines_of(form.name, bad)
    context = {
        **admin.site.each_context(request),
        "title": "Upload a catalogue file",
        "opts": Refresh._meta,
        "form": form,
        "problems": problems,
    }
    return render(request, "admin/providers/refresh/upload.html", context)


def imported(request: HttpRequest, form: UploadForm) -> HttpResponse:
    counts = import_catalogue(form.cleaned_data["file"], source=form.name, request=request)
    told = ", ".join(f"{count} {kind} rows" for kind, count in sorted(counts.items()))
    messages.success(request, f"{form.name}: {told or 'nothing'} changed.")
    return redirect("admin:providers_refresh_changelist")


def proposed(request: HttpRequest, form: UploadForm) -> HttpResponse:
    refresh = refreshes.propose(form.cleaned_data["file"], source=form.name, request=request)
    if refresh is None:
        messages.success(request, f"{form.name}: it would change nothing.")
        return redirect("admin:providers_refresh_changelist")
    return redirect("admin:providers_refresh_change", refresh.pk)


@require_safe
def export(request: HttpRequest) -> HttpResponse:
    demand(request, *EXPORTING)
    try:
        text = export_catalogue()
    except BadCatalogue as bad:
        messages.error(request, f"A row cannot be said in a file: {bad.problems[0].path} {bad.problems[0].reason}")
        return redirect("admin:providers_refresh_changelist")
    response = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="catalogue-{datetime.now(UTC):%Y-%m-%d}.yaml"'
    return response


def lines_of(name: str, bad: BadCatalogue) -> list[str]:
    return [f"{name}:{problem.line}: {problem.path}: {problem.reason}" for problem in bad.problems]
