-- Costs that are counted anew, because the prices they were counted with were wrong.
--
-- The evidence has the outcomes and the corrections; a row's cost is that of its latest correction.

create table correction (
    decision     text collate "C" not null,
    at_ms        bigint  not null,
    boot         text collate "C" not null,
    seq          bigint  not null,
    cost_nano    bigint  not null,
    prices       text    not null,
    first_prices text,
    applied      boolean not null default false,
    primary key (decision, at_ms, boot, seq)
);

create index correction_place on correction (boot, seq);
-- Those whose attempts are not there yet. Normally empty.
create index correction_waiting on correction (at_ms) where not applied;

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
    delete from handoff_bucket b where b.start_ms < baton_drop_older.before_ms;
end
$$;

do $$
begin
    grant select, insert, update, delete on correction to baton_writer;
exception when insufficient_privilege or undefined_object then
    raise notice 'the rights of baton_writer are left to the operator';
end
$$;
