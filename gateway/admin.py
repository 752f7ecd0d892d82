"""Celery's schedules in the admin: django-celery-beat's pages, with audit events."""

from typing import Any

from django.contrib import admin
from django_celery_beat import admin as pages
from django_celery_beat import models

from accounts.audited import Audited

PAGES: dict[Any, Any] = {
    models.PeriodicTask: pages.PeriodicTaskAdmin,
    models.IntervalSchedule: pages.IntervalScheduleAdmin,
    models.CrontabSchedule: pages.CrontabScheduleAdmin,
    models.ClockedSchedule: pages.ClockedScheduleAdmin,
    models.SolarSchedule: admin.ModelAdmin,
}

for model, page in PAGES.items():
    admin.site.unregister(model)
    admin.site.register(model, type(page.__name__, (Audited, page), {}))
