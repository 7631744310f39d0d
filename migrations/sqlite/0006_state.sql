-- What outlives a request: stored responses, and runs with what is needed to go on with them.
--
-- What a client or a model said is sealed in `input`, `body` and `result`; the other columns say nothing of it.

create table response (
    id          text    not null primary key,
    principal   text    not null,
    subject     text    not null,
    run         text,
    previous    text,
    status      text    not null,
    created_ms  integer not null,
    ended_ms    integer,
    expires_ms  integer not null,
    -- As they were before they were packed and sealed.
    input_bytes integer not null,
    body_bytes  integer not null,
    input       blob    not null,
    body        blob    not null
) strict;

create index response_expiry on response (expires_ms);
create index response_subject on response (subject);

-- A lease writes these rows often, so that what is large stands elsewhere.
create table run (
    id          text    not null primary key,
    kind        text    not null,
    principal   text    not null,
    subject     text    not null,
    status      text    not null,
    created_ms  integer not null,
    ended_ms    integer,
    expires_ms  integer not null,
    -- From when on somebody may take it: at once, at its wake-up, or when the lease is over.
    due_ms      integer,
    -- Who has the lease; the epoch counts the leases.
    owner       text,
    epoch       integer not null,
    -- Somebody asked that it stops.
    cancelled   integer not null check (cancelled in (0, 1)),
    events      integer not null,
    event_bytes integer not null,
    check (owner is null or due_ms is not null),
    check (ended_ms is null or (owner is null and due_ms is null))
) strict;

create index run_due on run (kind, due_ms) where due_ms is not null;
create index run_list on run (principal, kind, id);
create index run_expiry on run (expires_ms) where owner is null;
create index run_subject on run (subject);

-- Its request, its checkpoint and its result.
create table run_part (
    run  text not null references run (id) on delete cascade,
    part text not null,
    body blob not null,
    primary key (run, part)
) strict;

-- Events as they were written: many in a row. The first of a run has the number 0.
create table run_event (
    run       text    not null references run (id) on delete cascade,
    first_seq integer not null,
    last_seq  integer not null,
    bytes     integer not null,
    body      blob    not null,
    primary key (run, last_seq)
) strict;

-- Calls with effects: begun in an epoch, and ended once there is a result.
create table run_call (
    run    text    not null references run (id) on delete cascade,
    call   text    not null,
    epoch  integer not null,
    result blob,
    primary key (run, call)
) strict;
