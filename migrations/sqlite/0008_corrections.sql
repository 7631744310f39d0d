-- Costs that are counted anew, because the prices they were counted with were wrong.
--
-- The evidence has the outcomes and the corrections; a row's cost is that of its latest correction.

create table correction (
    decision     text    not null,
    at_ms        integer not null,
    boot         text    not null,
    seq          integer not null,
    cost_nano    integer not null,
    prices       text    not null,
    first_prices text,
    applied      integer not null default 0,
    primary key (decision, at_ms, boot, seq)
) strict;

create index correction_place on correction (boot, seq);
-- Those whose attempts are not there yet. Normally empty.
create index correction_waiting on correction (at_ms) where not applied;
