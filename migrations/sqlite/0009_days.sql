-- The sums of days that are over, a second time, over few dimensions each: what is asked most is then in some hundred
-- rows a day. 1 has whose requests went where (`principal`, `provider`, `to_model`, `to_target`), 2 why (`policy`,
-- `policy_version`, `rule`, `reason_code`, `kind`); both have `status`. What a row does not keep apart is empty.

-- The days of which there are any. Whoever adds to one of them deletes it here.
create table usage_day_made (
    start_ms integer not null primary key
) strict;

create table usage_day (
    start_ms integer not null references usage_day_made (start_ms) on delete cascade,
    cube integer not null,
    principal text not null,
    provider text not null,
    to_model text not null,
    to_target text not null,
    policy text not null,
    policy_version text not null,
    rule text not null,
    reason_code text not null,
    kind text not null,
    status text not null,
    decisions integer not null,
    attempts integer not null,
    ok integer not null,
    failed integer not null,
    cancelled integer not null,
    input_tokens integer not null,
    cached_tokens integer not null,
    cache_write_tokens integer not null,
    output_tokens integer not null,
    reasoning_tokens integer not null,
    cost_nano integer not null,
    unpriced integer not null,
    total_us integer not null,
    first_content_us integer not null,
    with_content integer not null,
    right_count integer not null,
    wrong_count integer not null
) strict;

create index usage_day_start on usage_day (start_ms, cube);
