-- Sums and questions: what the log needs to be quick with many rows.
--
-- Rows of the old shape have no `hop`; the store gives them their columns before it is used.

alter table decision add column made_ms            integer;
alter table decision add column parent             text;
alter table decision add column hop                integer;
alter table decision add column tags               text;
alter table decision add column rule               text;
alter table decision add column policy             text;
alter table decision add column policy_version     text;
alter table decision add column from_target        text;
alter table decision add column provider           text;
alter table decision add column cache_write_tokens integer;

create table decision_tag (
    tag      text    not null,
    made_ms  integer not null,
    decision text    not null,
    primary key (tag, made_ms, decision)
) strict, without rowid;

-- Every list of models that was ever asked for, under each of its names.
create table asked (
    model     text not null,
    requested text not null,
    primary key (model, requested)
) strict, without rowid;

create table feedback (
    boot           text    not null,
    seq            integer not null,
    at_ms          integer not null,
    decision       text    not null,
    principal      text    not null,
    correct        integer,
    correct_target text,
    score          integer,
    label          text,
    record         text    not null,
    counted        integer not null default 0,
    primary key (boot, seq)
) strict;

create index feedback_decision on feedback (decision);
create index feedback_time on feedback (at_ms, boot, seq);
create index feedback_uncounted on feedback (decision) where not counted;

-- Signed statements of what retention drops. Nothing goes that is not in one.
create table dropped (
    boot      text    not null,
    seq       integer not null,
    at_ms     integer not null,
    before_ms integer not null,
    record    text    not null,
    primary key (boot, seq)
) strict;

create trigger dropped_no_update before update on dropped
begin
    select raise(abort, 'dropped is insert-only');
end;

create trigger dropped_no_delete before delete on dropped
begin
    select raise(abort, 'dropped is insert-only');
end;

-- Only what lies before a signed border can go.
drop trigger audit_block_no_delete;
create trigger audit_block_no_delete before delete on audit_block
when old.at_ms >= (select coalesce(max(d.before_ms), 0) from dropped d)
begin
    select raise(abort, 'audit_block is insert-only');
end;

-- What counts together. The number follows from the other columns, which are empty for none.
create table usage_series (
    series         integer not null primary key,
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
) strict;

create table usage_bucket (
    width_s            integer not null,
    start_ms           integer not null,
    series             integer not null,
    decisions          integer not null,
    attempts           integer not null,
    ok                 integer not null,
    failed             integer not null,
    cancelled          integer not null,
    input_tokens       integer not null,
    cached_tokens      integer not null,
    cache_write_tokens integer not null,
    output_tokens      integer not null,
    reasoning_tokens   integer not null,
    cost_nano          integer not null,
    unpriced           integer not null,
    total_us           integer not null,
    first_content_us   integer not null,
    with_content       integer not null,
    right_count        integer not null,
    wrong_count        integer not null,
    primary key (width_s, start_ms, series)
) strict, without rowid;

create table handoff_bucket (
    width_s          integer not null,
    start_ms         integer not null,
    from_target      text    not null,
    to_target        text    not null,
    reason_code      text    not null,
    decisions        integer not null,
    succeeded        integer not null,
    failed           integer not null,
    cancelled        integer not null,
    first_content_us integer not null,
    with_content     integer not null,
    cost_nano        integer not null,
    cost_before_nano integer not null,
    priced           integer not null,
    right_count      integer not null,
    wrong_count      integer not null,
    primary key (width_s, start_ms, from_target, to_target, reason_code)
) strict, without rowid;

-- A page is read along one of these: what it asks for, then the time. What most rows have in common
-- has no index; the time leads to it at once.
drop index decision_principal;
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

-- For dashboards. A column of these never changes its meaning; new ones may be added at the end.
create view baton_v1_decisions as
select d.id, d.run, d.parent, d.made_ms, d.hop, d.kind, d.principal, d.session, d.end_user, d.tags,
       d.reason_code, d.rule, d.policy, d.policy_version, d.requested, d.from_target, d.to_model,
       d.to_target, d.provider, d.attempt,
       coalesce(d.status, case when d.attempt then 'open' else 'none' end) as status, d.fault,
       d.input_tokens, d.cached_tokens, d.cache_write_tokens, d.output_tokens, d.reasoning_tokens,
       d.cost_nano, d.first_content_us, d.total_us, d.ended_ms
from decision d;

create view baton_v1_handoffs as
select d.id, d.run, d.made_ms, d.from_target, d.to_target, d.reason_code, d.principal,
       coalesce(d.status, case when d.attempt then 'open' else 'none' end) as status,
       d.status = 'ok' as succeeded, d.first_content_us, d.cost_nano,
       (select p.cost_nano from decision p where p.id = d.parent) as cost_before_nano
from decision d
where d.kind = 'handoff' and d.kind <> 'select';

create view baton_v1_usage as
select b.width_s, b.start_ms, s.principal, s.provider, s.to_model, s.to_target, s.policy,
       s.policy_version, s.rule, s.reason_code, s.kind, s.status, b.decisions, b.attempts, b.ok,
       b.failed, b.cancelled, b.input_tokens, b.cached_tokens, b.cache_write_tokens, b.output_tokens,
       b.reasoning_tokens, b.cost_nano, b.unpriced, b.total_us, b.first_content_us, b.with_content,
       b.right_count, b.wrong_count
from usage_bucket b join usage_series s on s.series = b.series;
