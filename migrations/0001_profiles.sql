-- Who has ever talked to the agent: one row a person, its id the uuid5 of their identity.
-- Applies to a new database and to one that already has an older public.profiles; its rows
-- and its other columns stay. Safe to run again, and from two places at once.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
set local timezone = 'UTC';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

create schema if not exists voice_agent;

create table if not exists voice_agent.schema_migrations (
    version text primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

create table if not exists public.profiles (
    id uuid primary key,
    email text,
    is_first_login boolean not null default true,
    created_at timestamptz not null default now()
);

alter table public.profiles add column if not exists email text;
alter table public.profiles add column if not exists is_first_login boolean;
alter table public.profiles add column if not exists created_at timestamptz;

-- The person is known by a LiveKit identity, not by a row in auth.users: no foreign key.
-- The e-mail address is a note, not a key: two identities may carry the same one.
-- squawk-ignore ban-drop-constraint
alter table public.profiles drop constraint if exists profiles_id_fkey;

do $$
declare
    old record;
begin
    for old in
        select constraints.conname
        from pg_catalog.pg_constraint as constraints
        where constraints.conrelid = 'public.profiles'::regclass
            and (
                (constraints.contype = 'f' and constraints.confrelid = to_regclass('auth.users'))
                or (constraints.contype = 'u' and pg_get_constraintdef(oid) ~ '\memail\M')
            )
    loop
        execute format('alter table public.profiles drop constraint %I', old.conname);
    end loop;

    for old in
        select indexes.indexrelid::regclass as name
        from pg_catalog.pg_index as indexes
        where indexes.indrelid = 'public.profiles'::regclass
            and indexes.indisunique
            and not indexes.indisprimary
            and pg_get_indexdef(indexes.indexrelid) ~ '\(.*\memail\M'
    loop
        execute format('drop index %s', old.name);
    end loop;

    -- We know only the id and perhaps the e-mail address: what an older deployment required
    -- beside them can no longer be required.
    for old in
        select columns.attname
        from pg_catalog.pg_attribute as columns
        where columns.attrelid = 'public.profiles'::regclass
            and columns.attnum > 0
            and columns.attnotnull
            and not columns.atthasdef
            and columns.attidentity = ''
            and columns.attname not in ('id', 'is_first_login', 'created_at')
    loop
        execute format('alter table public.profiles alter column %I drop not null', old.attname);
    end loop;

    -- Only where they differ: a type cannot be set, not even to itself, under a view.
    for old in
        select columns.attname, wanted.type
        from (values ('email', 'text'), ('created_at', 'timestamptz')) as wanted (name, type)
        join pg_catalog.pg_attribute as columns on columns.attname = wanted.name
        where columns.attrelid = 'public.profiles'::regclass
            and columns.atttypid <> wanted.type::regtype
    loop
        execute format(
            'alter table public.profiles alter column %I drop default, alter column %I type %s',
            old.attname, old.attname, old.type
        );
    end loop;
end
$$;

-- squawk-ignore ban-drop-not-null
alter table public.profiles alter column email drop not null;
-- squawk-ignore ban-drop-default
alter table public.profiles alter column email drop default;

update public.profiles set is_first_login = true where is_first_login is null;
update public.profiles set created_at = now() where created_at is null;

alter table public.profiles alter column is_first_login set default true;
-- The table is small, a row a person, and the lock is bounded by lock_timeout.
-- squawk-ignore adding-not-nullable-field
alter table public.profiles alter column is_first_login set not null;
alter table public.profiles alter column created_at set default now();
-- squawk-ignore adding-not-nullable-field
alter table public.profiles alter column created_at set not null;

-- Nothing is granted to anon or authenticated; Supabase's defaults granted them everything.
revoke all on table public.profiles from public, anon, authenticated;
grant select, insert, update, delete on table public.profiles to service_role;
alter table public.profiles enable row level security;
alter table public.profiles force row level security;

-- Policies are alternatives: a wide one of an older deployment would open every row.
do $$
declare
    old record;
begin
    for old in
        select policies.policyname from pg_catalog.pg_policies as policies
        where policies.schemaname = 'public' and policies.tablename = 'profiles'
    loop
        execute format('drop policy %I on public.profiles', old.policyname);
    end loop;
end
$$;

create policy profiles_own_row on public.profiles
    for all to authenticated
    using (id = (select auth.uid()))
    with check (id = (select auth.uid()));

-- True for the one caller whose call made the row. A row that was made without an e-mail
-- address, by a memory that came first, gets it here.
create or replace function public.ensure_profile(p_user uuid, p_email text)
returns boolean
language sql
security invoker
set search_path = ''
as $$
    insert into public.profiles as present (id, email)
    values (p_user, p_email)
    on conflict (id) do update set email = coalesce(present.email, excluded.email)
    returning xmax = 0;
$$;

revoke execute on function public.ensure_profile(uuid, text) from public, anon, authenticated;
grant execute on function public.ensure_profile(uuid, text) to service_role;

insert into voice_agent.schema_migrations (version, name)
values ('0001', 'profiles')
on conflict (version) do nothing;

commit;
