insert into orphan_outcome (decision, derived)
select o.value->>'decision', o.value
from json_array_elements($1::json) o
where not exists (select 1 from decision d where d.id = o.value->>'decision')
on conflict do nothing
