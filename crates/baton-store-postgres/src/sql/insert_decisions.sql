insert into decision (id, run, boot, seq, at_ms, kind, principal, session, end_user, reason_code,
    requested, to_model, to_target, attempt, config, record, status, fault, input_tokens, cached_tokens,
    output_tokens, reasoning_tokens, cost_nano, first_content_us, total_us, outcome_boot, outcome_seq,
    ended_ms, outcome)
select r.id, r.run, r.boot, r.seq, r.at_ms, r.kind, r.principal, r.session, r."user", r.reason_code,
    r.requested, r.to_model, r.to_target, r.attempt, r.config, r.record::json, o.status, o.fault,
    o.input_tokens, o.cached_tokens, o.output_tokens, o.reasoning_tokens, o.cost_nano,
    o.first_content_us, o.total_us, o.boot, o.seq, o.at_ms, o.record::json
from json_to_recordset($1::json) as r(id text, run text, boot text, seq bigint, at_ms bigint, kind text,
    principal text, session text, "user" text, reason_code text, requested text, to_model text,
    to_target text, attempt boolean, config text, record text, outcome json)
left join lateral json_to_record(r.outcome) as o(status text, fault text, input_tokens bigint,
    cached_tokens bigint, output_tokens bigint, reasoning_tokens bigint, cost_nano bigint,
    first_content_us bigint, total_us bigint, boot text, seq bigint, at_ms bigint, record text)
    on json_typeof(r.outcome) = 'object'
on conflict do nothing
