-- What outlives a request: stored responses, and runs with what is needed to go on with them.
--
-- What a client or a model said is sealed in `input`, `body` and `result`; the other columns say nothing of it.

create table response (
    id          text collate "C" not null primary key,
    principal   text   not null,
    subject     text   not null,
    run         text collate "C",
    previous    text collate "C",
    status      text   not null,
    created_ms  bigint not null,
    ended_ms    bigint,
    expires_ms  bigint not null,
    -- As they were before they were packed and sealed.
    input_bytes bigint not null,
    body_bytes  bigint not null,
    input       bytea  not null,
    body        bytea  not null
);

create index response_expiry on response (expires_ms);
create index response_subject on response (subject);
-- What is sealed cannot be made smaller.
alter table response alter column input set storage external, alter column body set storage external;

-- A lease writes these rows often, so that what is large stands elsewhere.
create table run (
    id          text collate "C" not null primary key,
    kind        text   not null,
    principal   text   not null,
    subject     text   not null,
    status      text   not null,
    created_ms  bigint not null,
    ended_ms    bigint,
    expires_ms  bigint not null,
    -- From when on somebody may take it: at once, at its wake-up, or when the lease is over.
    due_ms      bigint,
    -- Who has the lease; the epoch counts the leases.
    owner       text,
    epoch       bigint not null,
    -- Somebody asked that it stops.
    cancelled   boolean not null,
    events      bigint not null,
    event_bytes bigint not null,
    check (owner is null or due_ms is not null),
    check (ended_ms is null or (owner is null and due_ms is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

create index run_due on run (kind, due_ms) where due_ms is not null;
create index run_list on run (principal, kind, id);
create index run_expiry on run (expires_ms) where owner is null;
create index run_subject on run (subject);

-- Its request, its checkpoint and its result.
create table run_part (
    run  text collate "C" not null references run (id) on delete cascade,
    part text   not null,
    body bytea  not null,
    primary key (run, part)
) with (autovacuum_vacuum_scale_factor = 0.05);
alter table run_part alter column body set storage external;

-- Events as they were written: many in a row. The first of a run has the number 0.
create table run_event (
    run       text collate "C" not null references run (id) on delete cascade,
    first_seq bigint not null,
    last_seq  bigint not null,
    bytes     bigint not null,
    body      bytea  not null,
    primary key (run, last_seq)
);
alter table run_event alter column body set storage external;

-- Calls with effects: begun in an epoch, and ended once there is a result.
create table run_call (
    run    text collate "C" not null references run (id) on delete cascade,
    call   text   not null,
    epoch  bigint not null,
    result bytea,
    primary key (run, call)
);
alter table run_call alter column result set storage external;

do $$
begin
    grant select, insert, update, delete on response, run, run_part, run_event, run_call to baton_writer;
exception when insufficient_privilege or undefined_object then
    raise notice 'the rights of baton_writer are left to the operator';
end
$$;
