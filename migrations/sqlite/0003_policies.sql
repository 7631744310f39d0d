-- Policies that are not in the file: every version that was ever put, and which of them are in force.

create table policy_version (
    name       text    not null,
    version    text    not null,
    document   text    not null,
    created_ms integer not null,
    created_by text    not null,
    primary key (name, version)
) strict;

create trigger policy_version_no_update before update on policy_version
begin
    select raise(abort, 'policy_version is insert-only');
end;

create trigger policy_version_no_delete before delete on policy_version
begin
    select raise(abort, 'policy_version is insert-only');
end;

-- A name is there once a version of it was activated.
create table policy_state (
    name           text    not null primary key,
    active         text    not null,
    previous       text,
    canary         text,
    canary_percent integer check (canary_percent between 1 and 100),
    shadow         text,
    revision       integer not null,
    check ((canary is null) = (canary_percent is null)),
    foreign key (name, active) references policy_version (name, version),
    foreign key (name, previous) references policy_version (name, version),
    foreign key (name, canary) references policy_version (name, version),
    foreign key (name, shadow) references policy_version (name, version)
) strict;

-- One row: it grows with every change of a policy.
create table policy_revision (
    only_row integer not null primary key check (only_row = 1),
    revision integer not null
) strict;

insert into policy_revision (only_row, revision) values (1, 0);
