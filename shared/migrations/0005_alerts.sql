-- Alerts, what happened to them, and what operators asked to be quiet about.

-- One row for each template and entity that was ever pending; the same fault comes back as the same row.
create table alerts (
    id text primary key,
    template text not null,
    family text not null,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    entity text not null,
    kind text not null check (kind in ('service', 'relation')),
    state text not null check (state in ('pending', 'firing', 'resolved')),
    title text not null,
    meaning text not null default '',
    next_steps text[] not null default '{}',
    value double precision not null default 0,
    threshold double precision not null default 0,
    unit text not null default '',
    started timestamptz not null,
    held timestamptz not null,            -- end of the last window in which the condition held
    fired timestamptz,
    resolved timestamptz,
    updated timestamptz not null,
    acknowledged_by text not null default '',
    acknowledged timestamptz,
    silenced boolean not null default false,
    occurrences integer not null default 1,
    group_key text not null default '',   -- alerts that are told together
    notified_state text not null default ''  -- the state that the channels were last told, empty for none
);
create index alerts_by_update on alerts (updated desc, id);
create index alerts_open on alerts (state) where state <> 'resolved';

-- Every step of every alert.
create table alert_changes (
    alert text not null references alerts (id) on delete cascade,
    at timestamptz not null,
    was text not null,
    state text not null,
    value double precision not null,
    title text not null,
    primary key (alert, at, state)
);
create index alert_changes_by_time on alert_changes (at);

-- Until *until*, alerts that match are kept but not told.
create table silences (
    id text primary key,
    template text not null default '*',
    entity text not null default '*',
    until timestamptz not null,
    by text not null,
    comment text not null default '',
    created timestamptz not null default now()
);

-- The last window that was judged: an older one that comes again changes nothing.
-- *facts* is the last hour in the service's own form, so that a restart does not forget the burn rates.
create table alert_progress (
    only_row boolean primary key default true check (only_row),
    window_end timestamptz not null,
    facts bytea not null default ''
);

grant select, insert, update, delete on alerts, alert_changes, silences, alert_progress to meshlens_alert_manager;
grant select on alerts, alert_changes, silences to meshlens_query_api;
