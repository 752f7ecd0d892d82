"""Admin pages without the scripts that fill in slugs as somebody types a title: a mixin in front of ModelAdmin."""

from django.forms import Media

UNUSED = ("urlify.js", "prepopulate.js", "xregexp.js", "xregexp.min.js")


class Light:
    """No form of ours has such a slug, and they are a third of what a page loads."""

    @property
    def media(self) -> Media:
        whole: Media = super().media  # type: ignore[misc]
        scripts = [one for one in whole._js if not str(one).endswith(UNUSED)]  # type: ignore[attr-defined]
        return Media(css=whole._css, js=scripts)  # type: ignore[attr-defined]
