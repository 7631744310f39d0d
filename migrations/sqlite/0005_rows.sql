-- Rows without a copy of their records, and without indexes on what outcomes fill in.
--
-- The record of a row that is written from now on stands in the evidence alone: `record` is empty and
-- `outcome` null. Rows that are there keep theirs, and are read as before.

-- What is rare about a decision leads to it like a tag. Such a mark begins with chr(1), and a client's
-- tag that begins with chr(1) has one more.
update decision_tag set tag = char(1) || tag where substr(tag, 1, 1) = char(1);

insert into decision_tag
select char(1) || 'open', d.made_ms, d.id from decision d
where d.attempt and d.status is null and d.made_ms is not null
union all
select char(1) || 'none', d.made_ms, d.id from decision d where not d.attempt and d.made_ms is not null
union all
select char(1) || 'far', d.made_ms, d.id from decision d where d.hop > 3 and d.made_ms is not null
union all
select char(1) || 'dear', d.made_ms, d.id from decision d
where d.cost_nano >= 100000000 and d.made_ms is not null
union all
select char(1) || 'slow', d.made_ms, d.id from decision d
where d.total_us >= 30000000 and d.made_ms is not null
union all
select char(1) || 'ended ' || d.status, d.made_ms, d.id from decision d
where d.status <> 'ok' and d.made_ms is not null
union all
select char(1) || 'fault ' || d.fault, d.made_ms, d.id from decision d
where d.fault is not null and d.made_ms is not null
on conflict do nothing;

drop index decision_open;
drop index decision_no_attempt;
drop index decision_far_hop;
drop index decision_dear;
drop index decision_slow;
drop index decision_status;
drop index decision_fault;

-- Attempts without an outcome are in no sum any more: a question about usage counts them where they are.
update usage_bucket set decisions = 0, attempts = 0
where series in (select s.series from usage_series s where s.status = 'open');
