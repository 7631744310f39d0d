-- The sums of days that are over, a second time, over few dimensions each: what is asked most is then in some hundred
-- rows a day. 1 has whose requests went where (`principal`, `provider`, `to_model`, `to_target`), 2 why (`policy`,
-- `policy_version`, `rule`, `reason_code`, `kind`); both have `status`. What a row does not keep apart is empty.

-- The days of which there are any. Whoever adds to one of them deletes it here.
create table usage_day_made (
    start_ms bigint not null primary key
);

create table usage_day (
    start_ms bigint not null references usage_day_made (start_ms) on delete cascade,
    cube bigint not null,
    principal text not null,
    provider text not null,
    to_model text not null,
    to_target text not null,
    policy text not null,
    policy_version text not null,
    rule text not null,
    reason_code text not null,
    kind text not null,
    status text not null,
    decisions bigint not null,
    attempts bigint not null,
    ok bigint not null,
    failed bigint not null,
    cancelled bigint not null,
    input_tokens bigint not null,
    cached_tokens bigint not null,
    cache_write_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    cost_nano bigint not null,
    unpriced bigint not null,
    total_us bigint not null,
    first_content_us bigint not null,
    with_content bigint not null,
    right_count bigint not null,
    wrong_count bigint not null
);

create index usage_day_start on usage_day (start_ms, cube);

-- Months that are over are not written any more: their indexes are made again, which halves them.
alter table month_partition add column compacted boolean not null default false;

-- Drops the months that end at this time or earlier, what of that time is in the default partitions, and
-- what was counted, corrected and said of it. A signed statement of that must be there.
create or replace function baton_drop_older(before_ms bigint) returns void
    language plpgsql security definer set search_path from current as $$
declare
    month record;
    first_id text collate "C" := baton_first_id(before_ms);
begin
    if not exists (select 1 from dropped d where d.before_ms = baton_drop_older.before_ms) then
        raise exception 'no committed statement says that this is dropped';
    end if;
    lock table only audit_block, only decision, only decision_tag in access exclusive mode;
    for month in select p.name from month_partition p where p.to_ms <= baton_drop_older.before_ms loop
        execute format('drop table %I', month.name);
    end loop;
    delete from month_partition p where p.to_ms <= baton_drop_older.before_ms;
    delete from audit_block_default b where b.at_ms < baton_drop_older.before_ms;
    delete from decision_default d where d.id < first_id;
    delete from decision_tag_default t where t.decision < first_id;
    delete from correction c where c.decision < first_id;
    delete from feedback f where f.decision < first_id;
    delete from usage_bucket b where b.start_ms < baton_drop_older.before_ms;
    delete from usage_day_made m where m.start_ms < baton_drop_older.before_ms;
    delete from handoff_bucket b where b.start_ms < baton_drop_older.before_ms;
end
$$;

do $$
begin
    grant select, insert, delete on usage_day, usage_day_made to baton_writer;
    grant update (compacted) on month_partition to baton_writer;
exception when insufficient_privilege or undefined_object then
    raise notice 'the rights of baton_writer are left to the operator';
end
$$;
