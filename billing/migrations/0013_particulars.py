from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_margin")]

    operations = [
        migrations.AddField(
            "generation",
            "media_prompt",
            models.IntegerField(null=True, help_text="Images, files, audio and videos of the prompt."),
        ),
        migrations.AddField("generation", "audio_prompt", models.IntegerField(null=True, help_text="Of these, audio.")),
        migrations.AddField(
            "generation", "media_completion", models.IntegerField(null=True, help_text="Images of the answer.")
        ),
        migrations.AddField("generation", "image_tokens", models.IntegerField(null=True, help_text="Of the answer.")),
        migrations.AddField(
            "generation",
            "cache_discount",
            models.BigIntegerField(null=True, help_text="Saved by the provider's cache, nano-USD."),
        ),
        migrations.AddField("generation", "service_tier", models.CharField(max_length=16, null=True)),
    ]
