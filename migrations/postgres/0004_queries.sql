-- Months, sums and questions: what the log needs to be quick after years.
--
-- Only what is new is added, and what is there is not copied: a table that has rows becomes the first
-- partition. Rows of the old shape have no `hop`; the store gives them their columns before it is
-- used. A replica of the version before can go on writing meanwhile.

-- ---------------------------------------------------------------------------------------- decisions

alter table decision
    add column made_ms            bigint,
    add column parent             text collate "C",
    add column hop                bigint,
    add column tags               text,
    add column rule               text,
    add column policy             text,
    add column policy_version     text collate "C",
    add column from_target        text,
    add column provider           text,
    add column cache_write_tokens bigint;

-- A partitioned table has no key without the partition's column. A place in a chain is taken once
-- because a block is.
alter table decision drop constraint decision_boot_seq_key;
drop index decision_run;
drop index decision_principal;
alter table decision rename to decision_first;
alter index decision_pkey rename to decision_first_pkey;

create table decision (like decision_first including all) partition by range (id);

-- The texts of the records are most of a row: compressed, but not moved away, so that a page is read
-- in one go.
alter table decision alter column record set storage main, alter column outcome set storage main;
alter table decision_first alter column record set storage main, alter column outcome set storage main;

-- ------------------------------------------------------------------------------------------- blocks

drop trigger audit_block_no_change on audit_block;
alter table audit_block drop constraint audit_block_pkey;
alter table audit_block add constraint audit_block_first_pkey primary key (boot, first_seq, at_ms);
alter table audit_block rename to audit_block_first;

create table audit_block (like audit_block_first including all) partition by range (at_ms);

-- --------------------------------------------------------------------------- what leads to decisions

create table decision_tag (
    tag      text   not null,
    made_ms  bigint not null,
    decision text collate "C" not null,
    primary key (tag, made_ms, decision)
) partition by range (decision);

-- Every list of models that was ever asked for, under each of its names.
create table asked (
    model     text not null,
    requested text not null,
    primary key (model, requested)
);

create table feedback (
    boot           text collate "C" not null,
    seq            bigint not null,
    at_ms          bigint not null,
    decision       text collate "C" not null,
    principal      text   not null,
    correct        bigint,
    correct_target text,
    score          bigint,
    label          text,
    record         text   not null,
    counted        boolean not null default false,
    primary key (boot, seq)
);

create index feedback_decision on feedback (decision);
create index feedback_time on feedback (at_ms, boot, seq);
create index feedback_uncounted on feedback (decision) where not counted;

-- Signed statements of what retention drops. Nothing goes that is not in one.
create table dropped (
    boot      text collate "C" not null,
    seq       bigint not null,
    at_ms     bigint not null,
    before_ms bigint not null,
    record    text   not null,
    primary key (boot, seq)
);

-- --------------------------------------------------------------------------------------------- sums

-- What counts together. The number follows from the other columns, which are empty for none.
create table usage_series (
    series         bigint not null primary key,
    principal      text not null,
    provider       text not null,
    to_model       text not null,
    to_target      text not null,
    policy         text not null,
    policy_version text not null,
    rule           text not null,
    reason_code    text not null,
    kind           text not null,
    status         text not null
);

create table usage_bucket (
    width_s            bigint not null,
    start_ms           bigint not null,
    series             bigint not null,
    decisions          bigint not null,
    attempts           bigint not null,
    ok                 bigint not null,
    failed             bigint not null,
    cancelled          bigint not null,
    input_tokens       bigint not null,
    cached_tokens      bigint not null,
    cache_write_tokens bigint not null,
    output_tokens      bigint not null,
    reasoning_tokens   bigint not null,
    cost_nano          bigint not null,
    unpriced           bigint not null,
    total_us           bigint not null,
    first_content_us   bigint not null,
    with_content       bigint not null,
    right_count        bigint not null,
    wrong_count        bigint not null,
    primary key (width_s, start_ms, series)
) with (fillfactor = 70);

create table handoff_bucket (
    width_s          bigint not null,
    start_ms         bigint not null,
    from_target      text   not null,
    to_target        text   not null,
    reason_code      text   not null,
    decisions        bigint not null,
    succeeded        bigint not null,
    failed           bigint not null,
    cancelled        bigint not null,
    first_content_us bigint not null,
    with_content     bigint not null,
    cost_nano        bigint not null,
    cost_before_nano bigint not null,
    priced           bigint not null,
    right_count      bigint not null,
    wrong_count      bigint not null,
    primary key (width_s, start_ms, from_target, to_target, reason_code)
) with (fillfactor = 70);

-- ------------------------------------------------------------------------------------------- months

-- The partitions there are, with the times of what they hold.
create table month_partition (
    of_table text   not null,
    name     text   not null primary key,
    from_ms  bigint not null,
    to_ms    bigint not null
);

-- No decision of this time or later has a smaller id.
create function baton_first_id(at_ms bigint) returns text language sql immutable strict as $$
    select 'dec_' || lpad(to_hex(at_ms), 12, '0') || '70008000000000000000'
$$;

create function baton_month(at_ms bigint, months integer) returns bigint language sql immutable strict as $$
    select (extract(epoch from
        date_trunc('month', timestamp 'epoch' + at_ms * interval '1 millisecond')
        + make_interval(months => months)) * 1000)::bigint
$$;

-- What is there becomes the first partition; it ends with a month.
do $$
declare
    latest bigint := (select greatest(
        (select coalesce(max(at_ms), 0) from decision_first),
        (select coalesce(('x' || substr(max(id), 5, 12))::bit(48)::bigint, 0) from decision_first),
        (select coalesce(max(at_ms), 0) from audit_block_first)));
    now_ms bigint := (extract(epoch from now()) * 1000)::bigint;
    border bigint := case when latest = 0 then baton_month(now_ms, 0)
                          else baton_month(greatest(latest, now_ms), 1) end;
begin
    execute format('alter table decision attach partition decision_first for values from (minvalue) to (%L)',
                   baton_first_id(border));
    execute format('alter table audit_block attach partition audit_block_first for values from (minvalue) to (%L)',
                   border);
    execute format('create table decision_tag_first partition of decision_tag for values from (minvalue) to (%L)',
                   baton_first_id(border));
    insert into month_partition values
        ('decision', 'decision_first', 0, border),
        ('audit_block', 'audit_block_first', 0, border),
        ('decision_tag', 'decision_tag_first', 0, border);
end
$$;

-- What falls in no month that was made is not lost.
create table decision_default partition of decision default;
create table audit_block_default partition of audit_block default;
create table decision_tag_default partition of decision_tag default;

-- Makes this month and the three after it. A month of which the default partitions have rows is left
-- to them.
create function baton_make_room(now_ms bigint) returns void
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
            execute format('create table %I partition of decision for values from (%L) to (%L) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, toast_tuple_target = 512)',
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

-- Drops the months that end at this time or earlier, and what was counted and said of them. A signed
-- statement of that must be there.
create function baton_drop_older(before_ms bigint) returns void
    language plpgsql security definer set search_path from current as $$
declare
    month record;
begin
    if not exists (select 1 from dropped d where d.before_ms = baton_drop_older.before_ms) then
        raise exception 'no committed statement says that this is dropped';
    end if;
    for month in select p.name from month_partition p where p.to_ms <= baton_drop_older.before_ms loop
        execute format('drop table %I', month.name);
    end loop;
    delete from month_partition p where p.to_ms <= baton_drop_older.before_ms;
    delete from feedback f where f.decision < baton_first_id(baton_drop_older.before_ms);
    delete from usage_bucket b where b.start_ms < baton_drop_older.before_ms;
    delete from handoff_bucket b where b.start_ms < baton_drop_older.before_ms;
end
$$;

create trigger audit_block_no_change before update or delete on audit_block
    for each row execute function audit_block_is_insert_only();
create trigger audit_block_no_truncate before truncate on audit_block
    for each statement execute function audit_block_is_insert_only();
create trigger audit_block_no_truncate before truncate on audit_block_default
    for each statement execute function audit_block_is_insert_only();
create trigger dropped_no_change before update or delete on dropped
    for each row execute function audit_block_is_insert_only();

-- ------------------------------------------------------------------------------------------ indexes

-- Places in chains, and runs.
create index decision_place on decision (boot, seq);
create index decision_run on decision (run);
-- A page is read along one of these: what it asks for, then the time. What most rows have in common
-- has no index; the time leads to it at once.
create index decision_principal on decision (principal, made_ms);
create index decision_model on decision (to_model, made_ms);
create index decision_reason on decision (reason_code, made_ms);
create index decision_provider on decision (provider, made_ms);
create index decision_requested on decision (requested, made_ms);
create index decision_policy on decision (policy, made_ms) where policy is not null;
create index decision_session on decision (session, made_ms) where session is not null;
create index decision_kind on decision (kind, made_ms) where kind <> 'select';
create index decision_target on decision (to_target, made_ms) where to_target is distinct from to_model;
create index decision_from on decision (from_target, made_ms) where from_target is not null;
create index decision_status on decision (status, made_ms) where status <> 'ok';
create index decision_fault on decision (fault, made_ms) where fault is not null;
create index decision_open on decision (made_ms) where attempt and status is null;
create index decision_no_attempt on decision (made_ms) where not attempt;
create index decision_hop on decision (made_ms) where hop > 1;
create index decision_far_hop on decision (made_ms) where hop > 3;
create index decision_dear on decision (made_ms) where cost_nano >= 100000000;
create index decision_slow on decision (made_ms) where total_us >= 30000000;
-- Rows of the old shape. Empty but right after an upgrade.
create index decision_old_shape on decision (id) where hop is null;

-- -------------------------------------------------------------------------------------------- views

-- For dashboards. A column of these never changes its meaning; new ones may be added at the end.
create schema if not exists baton_v1;

create or replace view baton_v1.decisions as
select d.id, d.run, d.parent, to_timestamp(d.made_ms / 1000.0) as made_at, d.hop, d.kind, d.principal,
       d.session, d.end_user, d.tags, d.reason_code, d.rule, d.policy, d.policy_version, d.requested,
       d.from_target, d.to_model, d.to_target, d.provider, d.attempt,
       coalesce(d.status, case when d.attempt then 'open' else 'none' end) as status, d.fault,
       d.input_tokens, d.cached_tokens, d.cache_write_tokens, d.output_tokens, d.reasoning_tokens,
       d.cost_nano, d.first_content_us, d.total_us, to_timestamp(d.ended_ms / 1000.0) as ended_at
from decision d;

create or replace view baton_v1.handoffs as
select d.id, d.run, to_timestamp(d.made_ms / 1000.0) as made_at, d.from_target, d.to_target, d.reason_code,
       d.principal, coalesce(d.status, case when d.attempt then 'open' else 'none' end) as status,
       d.status = 'ok' as succeeded, d.first_content_us, d.cost_nano,
       (select p.cost_nano from decision p where p.id = d.parent) as cost_before_nano
from decision d
where d.kind = 'handoff' and d.kind <> 'select';

create or replace view baton_v1.usage as
select b.width_s, to_timestamp(b.start_ms / 1000.0) as start_at, s.principal, s.provider, s.to_model,
       s.to_target, s.policy, s.policy_version, s.rule, s.reason_code, s.kind, s.status, b.decisions,
       b.attempts, b.ok, b.failed, b.cancelled, b.input_tokens, b.cached_tokens, b.cache_write_tokens,
       b.output_tokens, b.reasoning_tokens, b.cost_nano, b.unpriced, b.total_us, b.first_content_us,
       b.with_content, b.right_count, b.wrong_count
from usage_bucket b join usage_series s on s.series = b.series;

-- ------------------------------------------------------------------------------------------- rights

-- `baton_writer` may add evidence and read it, and nothing else; `baton_reader` sees the views. A gateway
-- may log in as a member of the first where another user owns the tables. Whoever may not make roles
-- does without.
do $$
begin
    begin
        create role baton_writer nologin;
    exception when duplicate_object or unique_violation then null;
    end;
    begin
        create role baton_reader nologin;
    exception when duplicate_object or unique_violation then null;
    end;
    execute format('grant usage on schema %I to baton_writer', current_schema());
    grant select, insert on audit_block, document, dropped, usage_series, asked, decision_tag,
        policy_version to baton_writer;
    grant select, insert, update, delete on decision, orphan_outcome, feedback, usage_bucket,
        handoff_bucket to baton_writer;
    grant select, insert, update on audit_chain, api_key, key_revision, policy_state, policy_revision
        to baton_writer;
    grant select on month_partition, _sqlx_migrations to baton_writer;
    grant execute on function baton_make_room(bigint), baton_drop_older(bigint) to baton_writer;
    grant usage on schema baton_v1 to baton_reader;
    grant select on all tables in schema baton_v1 to baton_reader;
exception when insufficient_privilege then
    raise notice 'the roles baton_writer and baton_reader are left to the operator';
end
$$;

revoke execute on function baton_make_room(bigint), baton_drop_older(bigint) from public;
