"""What an endpoint must be to get a request at all: each filter has the name under which a refusal tells of it."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from accounts.policy import NO_POLICY, Policy
from gateway.routing import parameters
from gateway.routing.bounds import Size
from gateway.routing.preferences import NONE
from providers.canonical import ProviderPreferences, Request
from providers.dollars import PICO
from providers.preferences import MaxPrice
from providers.snapshot import EMBEDDINGS, Endpoint, Model

MILLION = 10**6


class Filter(Struct, frozen=True):
    name: str
    """As `excluded_by` has it."""
    field: str
    """Of the request, or whose setting it is."""
    advice: str
    keeps: Callable[[Endpoint], bool]
    spares: Callable[[Model], bool] | None = None
    """Whether no endpoint of a model can fall out, so that nobody need look at each."""
    is_of_path: bool = False
    """Whether another path would ask such an endpoint."""


WRITES = Filter(
    "output_modalities",
    "model",
    "it makes embeddings only; POST /api/v1/embeddings asks for them",
    lambda endpoint: endpoint.outputs != EMBEDDINGS,
    lambda model: model.writes,
    is_of_path=True,
)


def filters(request: Request, preferences: ProviderPreferences, policy: Policy, size: Size) -> list[Filter]:
    """Those that this request needs, in the order in which they are applied."""
    return [
        *of_names(preferences, policy),
        *of_data(preferences, policy),
        *of_endpoint(request, preferences),
        *of_price(preferences.max_price),
        *of_content(request, size),
        # Of many texts each has the context for itself.
        *(() if request.embedding else of_length(size)),
    ]


def are_needless(request: Request, preferences: ProviderPreferences, policy: Policy, size: Size) -> bool:
    """Whether none but those of length apply, and that of the path."""
    return (
        preferences is NONE
        and policy is NO_POLICY
        and not size.inputs
        and not request.chat.modalities
        and request.embedding is None
    )


def suit(model: Model, size: Size) -> bool:
    """Whether no endpoint of it falls out by length or path."""
    prompt, answer = size.expected_prompt, size.output_limit or 0
    return (
        prompt + answer <= model.least_context
        and prompt <= model.least_prompt
        and answer <= model.least_completion
        and model.writes
    )


def folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def of_names(preferences: ProviderPreferences, policy: Policy) -> list[Filter]:
    """Allow-lists are intersected, deny-lists united."""
    found = []
    for allowed in policy.only:
        found.append(only("the allow-list of your organization or key", allowed))
    if preferences.only is not None:
        found.append(only("provider.only", folded(preferences.only)))
    if preferences.order and preferences.allow_fallbacks is False:
        found.append(only("provider.order", folded(preferences.order)))
    if policy.ignore:
        found.append(none_of("the deny-list of your organization or key", policy.ignore))
    if preferences.ignore:
        found.append(none_of("provider.ignore", folded(preferences.ignore)))
    return found


def only(field: str, names: frozenset[str]) -> Filter:
    advice = f"{field} names none of them; add one"
    return Filter("allowed_providers", field, advice, lambda endpoint: not names.isdisjoint(endpoint.names))


def none_of(field: str, names: frozenset[str]) -> Filter:
    advice = f"{field} names them all; take one out"
    return Filter("allowed_providers", field, advice, lambda endpoint: names.isdisjoint(endpoint.names))


def of_data(preferences: ProviderPreferences, policy: Policy) -> list[Filter]:
    found = []
    if policy.denies_collection or preferences.data_collection == "deny":
        field = "provider.data_collection" if preferences.data_collection == "deny" else "the privacy setting"
        advice = f"with {field} only providers may answer that neither keep data nor train on it"
        found.append(Filter("data_policy:training", field, advice, lambda one: not one.provider.collects_data))
    if policy.needs_zdr or preferences.zdr:
        field = "provider.zdr" if preferences.zdr else "the privacy setting"
        advice = f"with {field} only providers with zero data retention may answer"
        found.append(Filter("data_policy:zdr", field, advice, lambda endpoint: endpoint.provider.is_zdr))
    return found


def of_endpoint(request: Request, preferences: ProviderPreferences) -> list[Filter]:
    found = []
    if preferences.enforce_distillable_text:
        field = "provider.enforce_distillable_text"
        advice = f"its author does not let others train on its answers; drop {field}"
        found.append(Filter("distillable", field, advice, lambda endpoint: endpoint.allows_distillation))
    if preferences.quantizations:
        wanted = frozenset(preferences.quantizations)
        advice = "provider.quantizations allows none of theirs"
        keeps = lambda endpoint: endpoint.quantization in wanted  # noqa: E731
        found.append(Filter("quantization", "provider.quantizations", advice, keeps))
    if preferences.require_parameters:
        needed = parameters.sent(request)
        advice = f"none takes all of {', '.join(sorted(needed))}; send fewer or drop provider.require_parameters"
        takes_all = lambda endpoint: needed <= parameters.takes(endpoint)  # noqa: E731
        all_take = lambda model: needed <= model.shared_parameters  # noqa: E731
        found.append(Filter("require_parameters", "provider.require_parameters", advice, takes_all, all_take))
    return found


def of_price(limits: MaxPrice | None) -> list[Filter]:
    """A price that is not charged apart is within any limit."""
    if limits is None:
        return []
    given = (
        ("prompt", limits.prompt, MILLION),
        ("completion", limits.completion, MILLION),
        ("request", limits.request, 1),
        ("image", limits.image, 1),
        ("audio", limits.audio, 1),
    )
    return [ceiling(name, round(float(limit) * PICO / units)) for name, limit, units in given if limit is not None]


def ceiling(name: str, most: int) -> Filter:
    field = f"provider.max_price.{name}"
    keeps = lambda endpoint: (getattr(endpoint.price, name, None) or 0) <= most  # noqa: E731
    return Filter("max_price", field, f"{field} is below what each of them costs; raise it", keeps)


def of_content(request: Request, size: Size) -> list[Filter]:
    found = []
    if size.inputs:
        advice = f"none takes {', '.join(sorted(size.inputs))} in its messages; ask another model"
        found.append(Filter("input_modalities", "messages", advice, lambda endpoint: size.inputs <= endpoint.inputs))
    if request.embedding is not None:
        advice = "none of them makes embeddings; GET /api/v1/embeddings/models lists those that do"
        makes_them = lambda endpoint: "embeddings" in endpoint.outputs  # noqa: E731
        found.append(Filter("output_modalities", "model", advice, makes_them, is_of_path=True))
        return found
    found.append(WRITES)
    outputs = frozenset(request.chat.modalities or ()) - {"text"}
    if outputs:
        advice = f"none answers with {', '.join(sorted(outputs))}; ask another model or change modalities"
        found.append(Filter("output_modalities", "modalities", advice, lambda endpoint: outputs <= endpoint.outputs))
    return found


def of_length(size: Size) -> list[Filter]:
    """The prompt by its expected size: what might just fit is tried."""
    prompt, answer = size.expected_prompt, size.output_limit or 0
    total = prompt + answer
    asked = f"the prompt of about {prompt} tokens" + (f" and max_tokens of {answer} are" if answer else " is")
    found = [
        Filter(
            "context_length",
            "messages",
            f"{asked} too long for each of them; shorten it or ask a model with a longer context",
            lambda one: total <= one.context_length and prompt <= (one.max_prompt_tokens or prompt),
            lambda model: total <= model.least_context and prompt <= model.least_prompt,
        )
    ]
    if answer:
        advice = f"none answers with {answer} tokens; lower max_tokens"
        keeps = lambda endpoint: answer <= (endpoint.max_completion_tokens or answer)  # noqa: E731
        spares = lambda model: answer <= model.least_completion  # noqa: E731
        found.append(Filter("max_tokens", "max_tokens", advice, keeps, spares))
    return found
