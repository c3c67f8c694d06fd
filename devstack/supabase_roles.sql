-- What a hosted Supabase project has before its first migration, as far as a schema behind
-- PostgREST can tell: roles, the schemas auth and extensions, the functions that read the
-- caller's token, permissive default privileges, and PostgREST's reload after DDL.
--
-- Roles belong to the whole server and the rest to one database, so that every statement
-- about a role may find it there already. For Postgres 15 and newer, run as a superuser.
--
-- Not as hosted: there, postgres is no superuser (it does bypass row level security), and
-- some extensions come installed.

do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit bypassrls'),
            ('authenticator', 'login noinherit')
        ) as roles (name, options)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
            execute format('create role %I %s', wanted.name, wanted.options);
        end if;
    end loop;
end
$$;

grant anon, authenticated, service_role to authenticator;

-- PostgREST applies the settings of the role it switches to; these are the hosted limits.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

create schema if not exists extensions;
grant usage on schema extensions to anon, authenticated, service_role;

create schema if not exists auth;
grant usage on schema auth to anon, authenticated, service_role;

create table if not exists auth.users (
    id uuid primary key default gen_random_uuid(),
    aud text,
    role text,
    email text unique,
    raw_app_meta_data jsonb not null default '{}',
    raw_user_meta_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
alter table auth.users enable row level security;

-- Each claim is looked for under its own name first, where PostgREST before version 9 put
-- it, then in the one object that newer versions pass. Neither may be set at all.
create or replace function auth.jwt() returns jsonb
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;

create or replace function auth.uid() returns uuid
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

create or replace function auth.role() returns text
language sql stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

-- Whatever a migration makes in public is open to every role of the API until the migration
-- itself closes it: a test that anon reaches nothing has something to prove.
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public
    grant all on sequences to anon, authenticated, service_role;

-- PostgREST learns of new tables and functions by itself, a moment after the commit.
create or replace function extensions.notify_postgrest() returns event_trigger
language plpgsql
as $$
begin
    notify pgrst, 'reload schema';
end
$$;

do $$
begin
    if not exists (select from pg_catalog.pg_event_trigger where evtname = 'postgrest_ddl') then
        create event trigger postgrest_ddl on ddl_command_end
            execute function extensions.notify_postgrest();
    end if;
    if not exists (select from pg_catalog.pg_event_trigger where evtname = 'postgrest_drop') then
        create event trigger postgrest_drop on sql_drop
            execute function extensions.notify_postgrest();
    end if;
end
$$;
