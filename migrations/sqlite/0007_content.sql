-- Captured content: where it stands in the evidence, and the keys to it.
--
-- The evidence has the sealed bytes. Each subject has a key of its own in each epoch, sealed under the master
-- key; deleting it is what erasing means.

create table content (
    decision text    not null,
    part     text    not null,
    boot     text    not null,
    seq      integer not null,
    at_ms    integer not null,
    subject  text    not null,
    epoch    text    not null,
    primary key (decision, part, boot, seq)
) strict;

create index content_subject on content (subject, epoch);
create index content_time on content (at_ms);

create table subject_key (
    subject  text    not null,
    epoch    text    not null,
    began_ms integer not null,
    sealed   blob    not null,
    primary key (subject, epoch)
) strict;

-- Who was erased, and when last: a key of an earlier epoch that comes late is not taken.
create table erasure (
    subject text    not null primary key,
    at_ms   integer not null
) strict;
