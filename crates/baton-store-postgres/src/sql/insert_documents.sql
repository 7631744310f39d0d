insert into document (hash, kind, at_ms, body)
select r.hash, r.kind, r.at_ms, r.body
from json_to_recordset($1::json) as r(hash text, kind text, at_ms bigint, body json)
on conflict do nothing
