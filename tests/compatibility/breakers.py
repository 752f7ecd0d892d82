"""What breaks clients that work elsewhere, and the tests that show that it does not here."""

# Each test as file::name.
BREAKERS: dict[str, tuple[str, ...]] = {
    "a stream's end: the finish reason, usage with one choice, `[DONE]`": (
        "tests/gateway/test_stream.py::test_ends_as_the_reference_says",
    ),
    "keep-alives are comments, sent at once, until the first token": (
        "tests/gateway/test_stream.py::test_a_slow_first_token_is_bridged_with_comments",
        "tests/gateway/test_sdk_openrouter.py::test_keep_alives_are_no_events",
        "tests/gateway/test_sdk_anthropic.py::test_keep_alives_are_no_events",
    ),
    "errors behind status 200 are whole chunks with an integer code, even as the first event": (
        "tests/gateway/test_stream.py::test_failure_in_the_middle_is_an_error_chunk_and_free",
        "tests/gateway/test_stream.py::test_failure_after_a_comment_is_an_error_chunk",
    ),
    "errors before it are JSON in the envelope: 400, 404, 405, 413, 500, streamed or not": (
        "tests/gateway/test_stream.py::test_an_error_before_the_first_content_is_a_status",
        "tests/gateway/test_chat.py::test_another_method_is_405_in_the_envelope",
        "tests/gateway/test_chat.py::test_an_unknown_path_is_404_in_the_envelope",
        "tests/gateway/test_chat.py::test_a_body_beyond_32_mib_is_413",
        "tests/gateway/test_unwritable.py::test_an_error_of_ours_is_masked",
    ),
    "members that must be there, members that must not be null": (
        "tests/compatibility/test_nulls.py::test_no_member_is_null_that_may_not_be",
        "tests/gateway/test_models.py::test_a_row_has_all_that_strict_clients_require",
        "tests/gateway/test_generation.py::test_a_plain_answer_has_none_of_it",
        "tests/gateway/test_sdk_openrouter.py::test_key",
    ),
    "prices are plain decimal strings a token": (
        "tests/gateway/test_models.py::test_prices_are_the_cheapest_endpoints_as_plain_decimals",
    ),
    "five finish reasons, never empty": (
        "tests/gateway/test_chat.py::test_finish_reasons_are_normalised_and_never_empty",
    ),
    "tool calls: arguments are text, pieces by index, id and name once": (
        "tests/gateway/test_stream.py::test_parallel_tool_calls_keep_their_indexes",
        "tests/providers/test_contract.py::test_parallel_tools",
    ),
    "reasoning goes back as it came, in order, empty lists too": (
        "tests/providers/test_contract.py::test_reasoning_goes_back_as_it_came",
        "tests/gateway/test_chat_fields.py::test_reasoning_details_and_prefill_are_read_as_they_are",
    ),
    "one id: in the body, in the header, at `/generation`": (
        "tests/gateway/test_stream.py::test_is_settled_before_done_and_recorded",
        "tests/gateway/test_chat.py::test_the_generation_is_there_at_once",
    ),
    "usage is always there, with cost": (
        "tests/gateway/test_stream.py::test_missing_usage_is_estimated_and_said",
        "tests/compatibility/test_matrix.py::test_cells",
    ),
    "when to try again: `Retry-After`, `X-RateLimit-…` on our own 429 alone": (
        "tests/gateway/test_limits.py::test_requests_per_minute_of_a_key_are_429_with_headers",
        "tests/gateway/test_sdk_openai.py::test_a_rate_limit_comes_with_the_time_to_wait",
    ),
    "402, 403, 404, 400 say what they mean": (
        "tests/gateway/test_authentication.py::test_credit_that_is_only_held_is_a_matter_of_waiting",
        "tests/gateway/test_limits.py::test_a_budget_that_an_administrator_has_set_is_403",
        "tests/gateway/test_routing.py::test_nothing_left_is_404_and_says_why",
        "tests/gateway/test_chat.py::test_unknown_model_is_400",
    ),
    "unknown fields are ignored, parameters that are not supported left out, defaults not added": (
        "tests/compatibility/test_fields.py::test_what_a_vendor_is_sent_of_each_field",
        "tests/gateway/test_chat_fields.py::test_null_is_as_if_it_were_not_there",
    ),
    "`/messages` and `/responses` speak as Anthropic's and OpenAI's own": (
        "tests/gateway/test_messages.py::test_a_stream_has_anthropics_events_and_is_charged",
        "tests/gateway/test_responses.py::test_a_stream_tells_every_step",
        "tests/gateway/test_responses.py::test_a_bad_field_is_named",
    ),
    "`/models` is whole unless a page is asked for": (
        "tests/gateway/test_models.py::test_lists_all_that_can_be_called_newest_first",
    ),
    "CORS, HEAD, compression that leaves streams alone": (
        "tests/gateway/test_browsers.py::test_a_preflight_is_granted",
        "tests/gateway/test_browsers.py::test_head_is_get_without_its_body",
        "tests/gateway/test_browsers.py::test_a_stream_is_sent_as_it_comes_though_the_client_takes_gzip",
    ),
    "`bearer` in any case of letters, large bodies": (
        "tests/gateway/test_authentication.py::test_a_good_key_in_other_ways_of_writing",
        "tests/gateway/test_chat.py::test_a_large_body_with_an_image_goes_through",
    ),
    "halves of characters": (
        "tests/gateway/test_surrogates.py::test_halves_in_two_chunks_are_one_character",
        "tests/gateway/test_surrogates.py::test_halves_in_a_request_are_replaced",
    ),
    "vendors' streams gone wrong": (
        "tests/gateway/test_fuzz_streams.py::test_what_comes_is_well_formed_whatever_was_sent",
    ),
}


def table() -> str:
    lines = ["| what | shown by |", "|---|---|"]
    for what, tests in BREAKERS.items():
        shown = ", ".join(f"`{test.partition('::')[2]}` in `{test.partition('::')[0]}`" for test in tests)
        lines.append(f"| {what} | {shown} |")
    return "\n".join([*lines, ""])
