update decision set status = o.value->>'status', fault = o.value->>'fault',
    input_tokens = o.value->>'input_tokens', cached_tokens = o.value->>'cached_tokens',
    output_tokens = o.value->>'output_tokens', reasoning_tokens = o.value->>'reasoning_tokens',
    cost_nano = o.value->>'cost_nano', first_content_us = o.value->>'first_content_us',
    total_us = o.value->>'total_us', outcome_boot = o.value->>'boot', outcome_seq = o.value->>'seq',
    ended_ms = o.value->>'at_ms', outcome = o.value->>'record'
from json_each($1) o
where decision.id = o.value->>'decision' and decision.outcome is null
