-- API keys. The record is the truth; the other columns are for its constraints and for reading by hand.

create table api_key (
    id         text    not null primary key,
    name       text    not null,
    mac        text    not null unique,
    role       text    not null,
    created_ms integer not null,
    expires_ms integer,
    revoked_ms integer,
    revision   integer not null,
    record     text    not null
) strict;

-- One row: it grows with every change of a key.
create table key_revision (
    only_row integer not null primary key check (only_row = 1),
    revision integer not null
) strict;

insert into key_revision (only_row, revision) values (1, 0);
