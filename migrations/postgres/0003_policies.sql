-- Policies that are not in the file: every version that was ever put, and which of them are in force.

create table policy_version (
    name       text collate "C" not null,
    version    text collate "C" not null,
    document   json   not null,
    created_ms bigint not null,
    created_by text   not null,
    primary key (name, version)
);

create function policy_version_is_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'policy_version is insert-only';
end
$$;

create trigger policy_version_no_change before update or delete on policy_version
    for each row execute function policy_version_is_insert_only();
create trigger policy_version_no_truncate before truncate on policy_version
    for each statement execute function policy_version_is_insert_only();

-- A name is there once a version of it was activated.
create table policy_state (
    name           text collate "C" not null primary key,
    active         text collate "C" not null,
    previous       text collate "C",
    canary         text collate "C",
    canary_percent bigint check (canary_percent between 1 and 100),
    shadow         text collate "C",
    revision       bigint not null,
    check ((canary is null) = (canary_percent is null)),
    foreign key (name, active) references policy_version (name, version),
    foreign key (name, previous) references policy_version (name, version),
    foreign key (name, canary) references policy_version (name, version),
    foreign key (name, shadow) references policy_version (name, version)
);

-- One row: it grows with every change of a policy.
create table policy_revision (
    only_row integer not null primary key check (only_row = 1),
    revision bigint  not null
);

insert into policy_revision (only_row, revision) values (1, 0);
