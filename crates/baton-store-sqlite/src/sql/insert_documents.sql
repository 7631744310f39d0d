insert into document (hash, kind, at_ms, body)
select r.value->>'hash', r.value->>'kind',
    r.value->>'at_ms', r.value->'body'
from json_each($1) r
where true
on conflict do nothing
