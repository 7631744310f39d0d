-- The audit log: blocks are the evidence, the other tables are derived from them.

create table audit_chain (
    boot          text    not null primary key,
    at_ms         integer not null,
    version       text    not null,
    previous_boot text,
    previous_seq  integer,
    previous_hash text,
    stopped_ms    integer,
    last_seq      integer not null,
    last_hash     text    not null
) strict;

create index audit_chain_previous on audit_chain (previous_boot) where previous_boot is not null;

create table audit_block (
    boot          text    not null,
    first_seq     integer not null,
    last_seq      integer not null,
    previous_hash text    not null,
    last_hash     text    not null,
    at_ms         integer not null,
    raw_bytes     integer not null,
    body          blob    not null,
    primary key (boot, first_seq)
) strict;

create trigger audit_block_no_update before update on audit_block
begin
    select raise(abort, 'audit_block is insert-only');
end;

create trigger audit_block_no_delete before delete on audit_block
begin
    select raise(abort, 'audit_block is insert-only');
end;

-- `insert or replace` deletes without asking the trigger above.
create trigger audit_block_no_replace before insert on audit_block
when exists (select 1 from audit_block b where b.boot = new.boot and b.first_seq = new.first_seq)
begin
    select raise(abort, 'audit_block is insert-only');
end;

create table decision (
    id               text    not null primary key,
    run              text    not null,
    boot             text    not null,
    seq              integer not null,
    at_ms            integer not null,
    kind             text    not null,
    principal        text    not null,
    session          text,
    end_user         text,
    reason_code      text    not null,
    requested        text    not null,
    to_model         text,
    to_target        text,
    attempt          integer not null,
    config           text    not null,
    record           text    not null,
    status           text,
    fault            text,
    input_tokens     integer,
    cached_tokens    integer,
    output_tokens    integer,
    reasoning_tokens integer,
    cost_nano        integer,
    first_content_us integer,
    total_us         integer,
    outcome_boot     text,
    outcome_seq      integer,
    ended_ms         integer,
    outcome          text,
    unique (boot, seq)
) strict;

create index decision_run on decision (run);
create index decision_principal on decision (principal, id);

-- Outcomes that came before their decisions. Normally empty.
create table orphan_outcome (
    decision text not null primary key,
    derived  text not null
) strict;

create table document (
    hash  text    not null primary key,
    kind  text    not null,
    at_ms integer not null,
    body  text    not null
) strict;
