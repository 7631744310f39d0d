insert into decision (id, run, boot, seq, at_ms, kind, principal, session, end_user, reason_code,
    requested, to_model, to_target, attempt, config, record, status, fault, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, cost_nano, first_content_us, total_us, outcome_boot, outcome_seq,
    ended_ms, outcome)
select r.value->>'id', r.value->>'run', r.value->>'boot', r.value->>'seq', r.value->>'at_ms',
    r.value->>'kind', r.value->>'principal', r.value->>'session', r.value->>'user',
    r.value->>'reason_code', r.value->>'requested', r.value->>'to_model', r.value->>'to_target',
    r.value->>'attempt', r.value->>'config', r.value->>'record', r.value->>'$.outcome.status',
    r.value->>'$.outcome.fault', r.value->>'$.outcome.input_tokens', r.value->>'$.outcome.cached_tokens',
    r.value->>'$.outcome.output_tokens', r.value->>'$.outcome.reasoning_tokens',
    r.value->>'$.outcome.cost_nano', r.value->>'$.outcome.first_content_us',
    r.value->>'$.outcome.total_us', r.value->>'$.outcome.boot', r.value->>'$.outcome.seq',
    r.value->>'$.outcome.at_ms', r.value->>'$.outcome.record'
from json_each($1) r
where true
on conflict do nothing
