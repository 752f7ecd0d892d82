"""What few generations have, and their rows only then: media, a service tier, a saving by caches."""

from msgspec import structs

from gateway.routing.bounds import Size
from providers.canonical import Details, Usage
from providers.pricing import Price
from providers.snapshot import Endpoint

NO_DETAILS = Details()


def particulars(size: Size, endpoint: Endpoint, usage: Usage, drawn: int) -> dict[str, object]:
    details = usage.details or NO_DETAILS
    found: dict[str, object] = {
        "media_prompt": size.media,
        "audio_prompt": size.audio,
        "media_completion": drawn or details.output_images,
        # A slip of the provider's must fit into its column, too.
        "image_tokens": min(details.output_image_tokens, usage.completion),
        "service_tier": endpoint.service_tier,
    }
    if endpoint.price is not None and (usage.cached or usage.cache_write):
        found["cache_discount"] = saved(endpoint.price, usage)
    return {name: value for name, value in found.items() if value}


def saved(price: Price, usage: Usage) -> int:
    """Nano-USD; less than nothing where what was written to the cache cost more than what was read."""
    details = usage.details and structs.replace(usage.details, cache_write_1h=0, cached_audio=0)
    without = structs.replace(usage, cached=0, cache_write=0, details=details)
    return price.amount(without) - price.amount(usage)
