update decision set status = o.status, fault = o.fault, input_tokens = o.input_tokens,
    cached_tokens = o.cached_tokens, output_tokens = o.output_tokens, reasoning_tokens = o.reasoning_tokens,
    cost_nano = o.cost_nano, first_content_us = o.first_content_us, total_us = o.total_us,
    outcome_boot = o.boot, outcome_seq = o.seq, ended_ms = o.at_ms, outcome = o.record::json
from json_to_recordset($1::json) as o(decision text, status text, fault text, input_tokens bigint,
    cached_tokens bigint, output_tokens bigint, reasoning_tokens bigint, cost_nano bigint,
    first_content_us bigint, total_us bigint, boot text, seq bigint, at_ms bigint, record text)
where decision.id = o.decision and decision.outcome is null
