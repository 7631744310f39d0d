-- Captured content: where it stands in the evidence, and the keys to it.
--
-- The evidence has the sealed bytes. Each subject has a key of its own in each epoch, sealed under the master
-- key; deleting it is what erasing means.

create table content (
    decision text collate "C" not null,
    part     text   not null,
    boot     text collate "C" not null,
    seq      bigint not null,
    at_ms    bigint not null,
    subject  text collate "C" not null,
    epoch    text collate "C" not null,
    primary key (decision, part, boot, seq)
);

create index content_subject on content (subject, epoch);
create index content_time on content (at_ms);

-- It is rewritten after a key was deleted, so that no page of it holds the key; it is small.
create table subject_key (
    subject  text collate "C" not null,
    epoch    text collate "C" not null,
    began_ms bigint not null,
    sealed   bytea  not null,
    primary key (subject, epoch)
);

-- Who was erased, and when last: a key of an earlier epoch that comes late is not taken.
create table erasure (
    subject text collate "C" not null primary key,
    at_ms   bigint not null
);

do $$
begin
    grant select, insert, update, delete on content, subject_key, erasure to baton_writer;
exception when insufficient_privilege or undefined_object then
    raise notice 'the rights of baton_writer are left to the operator';
end
$$;
