from django.contrib import admin
from django.urls import include, path

handler400 = "gateway.errors.bad_request"
handler404 = "gateway.errors.not_found"
handler500 = "gateway.errors.server_error"

admin.site.site_header = admin.site.site_title = "Turnpike"
admin.site.index_title = "Back office"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("gateway.api.urls")),
    path("", include("gateway.pages.urls")),
]
