-- Rows without a copy of their records, and without indexes on what outcomes fill in.
--
-- The record of a row that is written from now on stands in the evidence alone: `record` and `outcome`
-- are null. Rows that are there keep theirs, and are read as before; nothing is copied. A replica of the
-- version before can go on writing meanwhile; `baton audit reproject` gives what it wrote its marks.

alter table decision alter column record drop not null;

-- What is rare about a decision leads to it like a tag. Such a mark begins with chr(1), and a client's
-- tag that begins with chr(1) has one more.
update decision_tag set tag = chr(1) || tag where substr(tag, 1, 1) = chr(1);

insert into decision_tag (tag, made_ms, decision)
select chr(1) || 'open', d.made_ms, d.id from decision d
where d.attempt and d.status is null and d.made_ms is not null
union all
select chr(1) || 'none', d.made_ms, d.id from decision d where not d.attempt and d.made_ms is not null
union all
select chr(1) || 'far', d.made_ms, d.id from decision d where d.hop > 3 and d.made_ms is not null
union all
select chr(1) || 'dear', d.made_ms, d.id from decision d
where d.cost_nano >= 100000000 and d.made_ms is not null
union all
select chr(1) || 'slow', d.made_ms, d.id from decision d
where d.total_us >= 30000000 and d.made_ms is not null
union all
select chr(1) || 'ended ' || d.status, d.made_ms, d.id from decision d
where d.status <> 'ok' and d.made_ms is not null
union all
select chr(1) || 'fault ' || d.fault, d.made_ms, d.id from decision d
where d.fault is not null and d.made_ms is not null
on conflict do nothing;

drop index decision_open;
drop index decision_no_attempt;
drop index decision_far_hop;
drop index decision_dear;
drop index decision_slow;
drop index decision_status;
drop index decision_fault;

-- Attempts without an outcome are in no sum any more: a question about usage counts them where they are.
update usage_bucket set decisions = 0, attempts = 0
where series in (select s.series from usage_series s where s.status = 'open');

-- Texts stand in the indexes as numbers that follow from them: entries of one size, which take a third of
-- the room. Whoever asks compares the text, too.
drop index decision_place;
create index decision_place on decision (hashtextextended(boot, 0), seq);
drop index decision_run;
create index decision_run on decision (hashtextextended(run, 0));
drop index decision_principal;
create index decision_principal on decision (hashtextextended(principal, 0), made_ms);
drop index decision_model;
create index decision_model on decision (hashtextextended(to_model, 0), made_ms);
drop index decision_reason;
create index decision_reason on decision (hashtextextended(reason_code, 0), made_ms);
drop index decision_provider;
create index decision_provider on decision (hashtextextended(provider, 0), made_ms);
drop index decision_requested;
create index decision_requested on decision (hashtextextended(requested, 0), made_ms);
drop index decision_policy;
create index decision_policy on decision (hashtextextended(policy, 0), made_ms) where policy is not null;
drop index decision_session;
create index decision_session on decision (hashtextextended(session, 0), made_ms) where session is not null;

-- An outcome goes into its row in place: no index holds what it fills in, and a page keeps room for it.
-- The partitions that are there get that room for the rows to come.
do $$
declare
    month record;
begin
    for month in select p.name from month_partition p where p.of_table = 'decision' loop
        execute format('alter table %I set (fillfactor = 90)', month.name);
    end loop;
    alter table decision_default set (fillfactor = 90);
exception when insufficient_privilege then
    raise notice 'the tables belong to another user and keep their fill factor';
end
$$;

-- Makes this month and the three after it. A month of which the default partitions have rows is left
-- to them.
create or replace function baton_make_room(now_ms bigint) returns void
    language plpgsql security definer set search_path from current as $$
declare
    begins_ms bigint;
    ends_ms   bigint;
    suffix    text;
begin
    perform pg_advisory_xact_lock(hashtext('baton_make_room'));
    for months in 0..3 loop
        begins_ms := baton_month(now_ms, months);
        ends_ms := baton_month(now_ms, months + 1);
        suffix := to_char(timestamp 'epoch' + begins_ms * interval '1 millisecond', 'YYYYMM');
        continue when exists (select 1 from month_partition p
                              where p.of_table = 'decision' and p.from_ms < ends_ms
                                and p.to_ms > begins_ms);
        begin
            -- In the order in which whoever writes and reads takes hold of them: nobody waits in a ring.
            lock table only audit_block, only decision, only decision_tag in access exclusive mode;
            execute format('create table %I partition of decision for values from (%L) to (%L) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, fillfactor = 90)',
                           'decision_' || suffix, baton_first_id(begins_ms), baton_first_id(ends_ms));
            execute format('create table %I partition of audit_block for values from (%L) to (%L)',
                           'audit_block_' || suffix, begins_ms, ends_ms);
            execute format('create trigger audit_block_no_truncate before truncate on %I for each statement execute function audit_block_is_insert_only()',
                           'audit_block_' || suffix);
            execute format('create table %I partition of decision_tag for values from (%L) to (%L)',
                           'decision_tag_' || suffix, baton_first_id(begins_ms), baton_first_id(ends_ms));
            insert into month_partition values
                ('decision', 'decision_' || suffix, begins_ms, ends_ms),
                ('audit_block', 'audit_block_' || suffix, begins_ms, ends_ms),
                ('decision_tag', 'decision_tag_' || suffix, begins_ms, ends_ms);
        exception when check_violation then
            raise notice 'the month % stays in the default partitions', suffix;
        end;
    end loop;
end
$$;

-- ---------------------------------------------------------------------------------------- retention

-- What lies before a signed border may go: that is how the default partitions get empty, which no month
-- drops. As in the embedded store.
create function audit_block_goes_when_signed() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.at_ms < (select coalesce(max(d.before_ms), 0) from dropped d) then
        return old;
    end if;
    raise exception 'audit_block is insert-only';
end
$$;

drop trigger audit_block_no_change on audit_block;
create trigger audit_block_no_change before update or delete on audit_block
    for each row execute function audit_block_goes_when_signed();

-- Drops the months that end at this time or earlier, what of that time is in the default partitions, and
-- what was counted and said of it. A signed statement of that must be there.
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
    delete from feedback f where f.decision < first_id;
    delete from usage_bucket b where b.start_ms < baton_drop_older.before_ms;
    delete from handoff_bucket b where b.start_ms < baton_drop_older.before_ms;
end
$$;

do $$
begin
    grant delete on decision_tag to baton_writer;
exception when insufficient_privilege or undefined_object then
    raise notice 'the rights of baton_writer are left to the operator';
end
$$;
