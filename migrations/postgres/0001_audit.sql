-- The audit log: blocks are the evidence, the other tables are derived from them.
-- Ids and hashes are compared byte by byte ("C"), so that their order is the order of time.

create table audit_chain (
    boot          text collate "C" not null primary key,
    at_ms         bigint not null,
    version       text   not null,
    previous_boot text collate "C",
    previous_seq  bigint,
    previous_hash text collate "C",
    stopped_ms    bigint,
    last_seq      bigint not null,
    last_hash     text collate "C" not null
);

create index audit_chain_previous on audit_chain (previous_boot) where previous_boot is not null;

create table audit_block (
    boot          text collate "C" not null,
    first_seq     bigint not null,
    last_seq      bigint not null,
    previous_hash text collate "C" not null,
    last_hash     text collate "C" not null,
    at_ms         bigint not null,
    raw_bytes     bigint not null,
    body          bytea  not null,
    primary key (boot, first_seq)
);

-- The body is compressed already.
alter table audit_block alter column body set storage external;

create function audit_block_is_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_block is insert-only';
end
$$;

create trigger audit_block_no_change before update or delete on audit_block
    for each row execute function audit_block_is_insert_only();
create trigger audit_block_no_truncate before truncate on audit_block
    for each statement execute function audit_block_is_insert_only();

create table decision (
    id               text collate "C" not null primary key,
    run              text collate "C" not null,
    boot             text collate "C" not null,
    seq              bigint  not null,
    at_ms            bigint  not null,
    kind             text    not null,
    principal        text    not null,
    session          text,
    end_user         text,
    reason_code      text    not null,
    requested        text    not null,
    to_model         text,
    to_target        text,
    attempt          boolean not null,
    config           text    not null,
    record           json    not null,
    status           text,
    fault            text,
    input_tokens     bigint,
    cached_tokens    bigint,
    output_tokens    bigint,
    reasoning_tokens bigint,
    cost_nano        bigint,
    first_content_us bigint,
    total_us         bigint,
    outcome_boot     text collate "C",
    outcome_seq      bigint,
    ended_ms         bigint,
    outcome          json,
    unique (boot, seq)
);

create index decision_run on decision (run);
create index decision_principal on decision (principal, id);

-- Outcomes that came before their decisions. Normally empty.
create table orphan_outcome (
    decision text collate "C" not null primary key,
    derived  json not null
);

create table document (
    hash  text collate "C" not null primary key,
    kind  text   not null,
    at_ms bigint not null,
    body  json   not null
);
