-- API keys. The record is the truth; the other columns are for its constraints and for reading by hand.

create table api_key (
    id         text collate "C" not null primary key,
    name       text   not null,
    mac        text collate "C" not null unique,
    role       text   not null,
    created_ms bigint not null,
    expires_ms bigint,
    revoked_ms bigint,
    revision   bigint not null,
    record     json   not null
);

-- One row: it grows with every change of a key.
create table key_revision (
    only_row integer not null primary key check (only_row = 1),
    revision bigint  not null
);

insert into key_revision (only_row, revision) values (1, 0);
