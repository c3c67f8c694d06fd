-- What the agent knows of a person at a glance: a text about them with their language and
-- time zone, and the details of the first conversation.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

create table if not exists public.user_profiles (
    user_id uuid primary key references public.profiles (id) on delete cascade,
    profile_text text not null default '',
    language text,
    time_zone text,
    updated_at timestamptz not null default now(),
    constraint user_profiles_text_length check (char_length(profile_text) <= 10000)
);

create table if not exists public.onboarding_details (
    user_id uuid primary key references public.profiles (id) on delete cascade,
    first_name text,
    occupation text,
    interests text[] not null default '{}',
    updated_at timestamptz not null default now(),
    constraint onboarding_details_lengths check (
        char_length(first_name) <= 200 and char_length(occupation) <= 200
        and cardinality(interests) <= 100
    )
);

revoke all on table public.user_profiles, public.onboarding_details
    from public, anon, authenticated;
grant select, insert, update, delete on table public.user_profiles, public.onboarding_details
    to service_role;
alter table public.user_profiles enable row level security;
alter table public.user_profiles force row level security;
alter table public.onboarding_details enable row level security;
alter table public.onboarding_details force row level security;

drop policy if exists user_profiles_own_row on public.user_profiles;
create policy user_profiles_own_row on public.user_profiles
    for all to authenticated
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));

drop policy if exists onboarding_details_own_row on public.onboarding_details;
create policy onboarding_details_own_row on public.onboarding_details
    for all to authenticated
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));

-- Changes the columns that p_changes names and leaves the others as they are.
create or replace function public.update_user_profile(p_user uuid, p_changes jsonb)
returns setof public.user_profiles
language plpgsql
security invoker
set search_path = ''
as $$
begin
    insert into public.profiles (id) values (p_user) on conflict (id) do nothing;
    insert into public.user_profiles (user_id) values (p_user) on conflict (user_id) do nothing;
    return query
        update public.user_profiles as mine
        set profile_text = case
                when p_changes ? 'profile_text' then coalesce(p_changes ->> 'profile_text', '')
                else mine.profile_text
            end,
            language = case
                when p_changes ? 'language' then p_changes ->> 'language' else mine.language
            end,
            time_zone = case
                when p_changes ? 'time_zone' then p_changes ->> 'time_zone' else mine.time_zone
            end,
            updated_at = now()
        where mine.user_id = p_user
        returning mine.*;
end
$$;

create or replace function public.update_onboarding_details(p_user uuid, p_changes jsonb)
returns setof public.onboarding_details
language plpgsql
security invoker
set search_path = ''
as $$
begin
    insert into public.profiles (id) values (p_user) on conflict (id) do nothing;
    insert into public.onboarding_details (user_id) values (p_user)
        on conflict (user_id) do nothing;
    return query
        update public.onboarding_details as mine
        set first_name = case
                when p_changes ? 'first_name' then p_changes ->> 'first_name'
                else mine.first_name
            end,
            occupation = case
                when p_changes ? 'occupation' then p_changes ->> 'occupation'
                else mine.occupation
            end,
            interests = case
                when p_changes ? 'interests' then array(
                    select jsonb_array_elements_text(p_changes -> 'interests')
                )
                else mine.interests
            end,
            updated_at = now()
        where mine.user_id = p_user
        returning mine.*;
end
$$;

revoke execute on function public.update_user_profile(uuid, jsonb)
    from public, anon, authenticated;
revoke execute on function public.update_onboarding_details(uuid, jsonb)
    from public, anon, authenticated;
grant execute on function public.update_user_profile(uuid, jsonb) to service_role;
grant execute on function public.update_onboarding_details(uuid, jsonb) to service_role;

insert into voice_agent.schema_migrations (version, name)
values ('0003', 'user_profiles')
on conflict (version) do nothing;

commit;
