-- What the anomaly-detector found: the colours now, how they changed, and the times during which something was wrong.
-- Levels are 0 grey, 1 green, 2 yellow, 3 orange, 4 red. *reasons* is a JSON list in the form of `anomaly.Reason`.

-- The newest verdict of every service and relation.
create table verdicts (
    entity text not null,
    kind text not null check (kind in ('service', 'relation')),
    at timestamptz not null,              -- end of the window that was judged
    since timestamptz not null,           -- since when *own* and *inherited* are as they are
    own smallint not null check (own between 0 and 4),
    inherited smallint not null check (inherited between 0 and 4),
    learning boolean not null,
    reasons jsonb not null default '[]',
    culprits text[] not null default '{}',
    primary key (kind, entity)
);

-- Every change of a colour: the state at a past time is the newest row at or before it.
create table colour_changes (
    entity text not null,
    kind text not null,
    at timestamptz not null,
    own smallint not null check (own between 0 and 4),
    inherited smallint not null check (inherited between 0 and 4),
    learning boolean not null,
    culprits text[] not null default '{}',
    primary key (kind, entity, at)
);
create index colour_changes_by_time on colour_changes (at);

-- A time during which an entity's own state was yellow or worse; *ended* is null while it lasts.
create table episodes (
    id bigint generated always as identity primary key,
    entity text not null,
    kind text not null check (kind in ('service', 'relation')),
    level smallint not null check (level between 2 and 4),   -- the worst that it reached
    started timestamptz not null,
    ended timestamptz,
    reasons jsonb not null default '[]',                     -- those of its worst window
    unique (kind, entity, started)
);
create index episodes_by_start on episodes (started desc, id desc);
create unique index episodes_open on episodes (kind, entity) where ended is null;

-- The history of every entity, in the detectors' own form, so that a restart does not begin to learn again.
create table baselines (
    entity text not null,
    kind text not null,
    saved timestamptz not null,           -- end of the last window that is in it
    state bytea not null,
    primary key (kind, entity)
);

-- The last window that was judged: an older one that comes again changes nothing.
create table anomaly_progress (
    only_row boolean primary key default true check (only_row),
    window_end timestamptz not null
);

grant select, insert, update, delete on verdicts, colour_changes, episodes, baselines, anomaly_progress
    to meshlens_anomaly_detector;
grant select on verdicts, colour_changes, episodes to meshlens_query_api;
