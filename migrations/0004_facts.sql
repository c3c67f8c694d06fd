-- What a memory was derived from, how sure we are of it, until when it holds, and where in
-- its session it stands. And the fence: erasing a person raises their generation, and a
-- write of an older generation is dropped, however late it comes and whoever sends it.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

alter table public.memory add column if not exists place bigint;
alter table public.memory add column if not exists generation bigint not null default 0;
alter table public.memory add column if not exists confidence real;
alter table public.memory add column if not exists source_id uuid;
alter table public.memory add column if not exists expires_at timestamptz;

update public.memory set place = numbered.place
from (
    select told.id, row_number() over (
        partition by told.user_id, told.session_id order by told.created_at, told.id
    ) as place
    from public.memory as told where told.session_id is not null
) as numbered
where memory.id = numbered.id and memory.place is null;

-- The table is locked by this transaction already, and lock_timeout bounds the wait.
-- squawk-ignore require-concurrent-index-creation
create index if not exists memory_place on public.memory (user_id, session_id, place);
-- squawk-ignore require-concurrent-index-creation
create index if not exists memory_source on public.memory (source_id)
    where source_id is not null;

-- No foreign key: the fence outlives everything else that was known of the person.
create table if not exists public.person_fences (
    user_id uuid primary key,
    generation bigint not null,
    constraint person_fences_generation_positive check (generation > 0)
);

revoke all on table public.person_fences from public, anon, authenticated;
grant select, insert, update, delete on table public.person_fences to service_role;
alter table public.person_fences enable row level security;
alter table public.person_fences force row level security;

drop policy if exists person_fences_own_row on public.person_fences;
create policy person_fences_own_row on public.person_fences
    for select to authenticated
    using (user_id = (select auth.uid()));

-- Whether the caller may read and write as that person: the person themselves, or whoever
-- is, or without another role may become, the service role. For SECURITY DEFINER functions,
-- which row level security does not check.
create or replace function voice_agent.may_act_for(p_user uuid)
returns boolean
language sql
stable
set search_path = ''
as $$
    select p_user is not null and coalesce(
        case current_setting('role', true)
            when 'service_role' then true
            when 'none' then pg_catalog.pg_has_role(session_user, 'service_role', 'member')
            else (select auth.uid()) = p_user
        end,
        false
    )
$$;

-- The person's generation: 0 until they are erased for the first time.
create or replace function voice_agent.generation_of(p_user uuid)
returns bigint
language sql
stable
set search_path = ''
as $$
    select coalesce(
        (select person_fences.generation from public.person_fences where user_id = p_user), 0
    )
$$;

-- An erasure holds the person's lock while it raises the generation. Whoever writes holds it
-- too, so that a write is either seen by the erasure or sees the generation it raised.
create or replace function voice_agent.drop_write_of_older_generation()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform pg_catalog.pg_advisory_xact_lock_shared(
        pg_catalog.hashtextextended(new.user_id::text, 0)
    );
    if new.generation < voice_agent.generation_of(new.user_id) then
        return null;
    end if;
    return new;
end
$$;

create or replace trigger memory_fenced before insert on public.memory
    for each row execute function voice_agent.drop_write_of_older_generation();

grant usage on schema voice_agent to service_role;
revoke execute on function voice_agent.may_act_for(uuid) from public, anon, authenticated;
revoke execute on function voice_agent.generation_of(uuid) from public, anon, authenticated;
revoke execute on function voice_agent.drop_write_of_older_generation()
    from public, anon, authenticated;
grant execute on function voice_agent.generation_of(uuid) to service_role;

-- Makes the person's row where there is none, and reads the generation that everything
-- written from now on carries. Dropped first: a later file has it return more.
-- squawk-ignore ban-drop-function
drop function if exists public.bind_person(uuid, text);
create or replace function public.bind_person(p_user uuid, p_email text)
returns table (created boolean, generation bigint)
language plpgsql
security invoker
set search_path = ''
as $$
begin
    created := public.ensure_profile(p_user, p_email);
    generation := voice_agent.generation_of(p_user);
    return next;
end
$$;

-- Stores memories of one person, in the order given, and returns them as they are stored.
--   p_memories: [{id, category, key, value, created_at, session_id, next_free_key,
--                 generation, confidence, source_id, expires_at}, ...]
--   next_free_key: the key ends in a millisecond count, which moves on while the key is taken.
--   generation: the person's as the writer knew it; null means now. What is older than the
--     fence is dropped and not returned.
create or replace function public.remember(p_user uuid, p_memories jsonb)
returns setof public.memory
language plpgsql
security invoker
set search_path = ''
as $$
declare
    item record;
    stored public.memory;
    free_key text;
    closed_at timestamptz;
    fence bigint;
begin
    if p_user is null then
        raise exception 'a memory needs a user' using errcode = '22004';
    end if;

    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    fence := voice_agent.generation_of(p_user);

    for item in
        select given.*
        from jsonb_to_recordset(p_memories) as given (
            id uuid, category text, key text, value text, created_at timestamptz,
            session_id text, next_free_key boolean, generation bigint, confidence real,
            source_id uuid, expires_at timestamptz
        )
        where coalesce(given.generation, fence) >= fence
    loop
        select * into stored from public.memory where memory.id = item.id;
        if found then
            if stored.user_id <> p_user then
                raise exception 'the write id belongs to another user' using errcode = '23505';
            end if;
            return next stored;
            continue;
        end if;

        insert into public.profiles (id) values (p_user) on conflict (id) do nothing;

        free_key := item.key;
        while item.next_free_key and exists (
            select 1 from public.memory where memory.user_id = p_user and memory.key = free_key
        ) loop
            free_key := regexp_replace(free_key, '\d+$', '')
                || (substring(free_key from '\d+$')::bigint + 1)::text;
        end loop;

        -- The value before this one ends where this one begins; a later one ends it.
        update public.memory set superseded_at = item.created_at
        where memory.user_id = p_user
            and memory.category = item.category
            and memory.key = free_key
            and (memory.created_at, memory.id) < (item.created_at, item.id)
            and (memory.superseded_at is null or memory.superseded_at > item.created_at);

        select min(memory.created_at) into closed_at
        from public.memory
        where memory.user_id = p_user
            and memory.category = item.category
            and memory.key = free_key
            and (memory.created_at, memory.id) > (item.created_at, item.id);

        insert into public.memory (
            id, user_id, category, key, value, created_at, superseded_at, session_id, place,
            generation, confidence, source_id, expires_at
        ) values (
            item.id, p_user, item.category, free_key, item.value, item.created_at,
            closed_at, item.session_id,
            case when item.session_id is not null then 1 + coalesce((
                select max(memory.place) from public.memory
                where memory.user_id = p_user and memory.session_id = item.session_id
            ), 0) end,
            coalesce(item.generation, fence), item.confidence, item.source_id, item.expires_at
        )
        returning * into stored;
        return next stored;
    end loop;
end
$$;

-- The two updates below take the generation as remember does. Older workers call them
-- without one, which means now.
-- squawk-ignore ban-drop-function
drop function if exists public.update_user_profile(uuid, jsonb);
-- squawk-ignore ban-drop-function
drop function if exists public.update_onboarding_details(uuid, jsonb);

-- Changes the columns that p_changes names and leaves the others as they are.
create or replace function public.update_user_profile(
    p_user uuid, p_changes jsonb, p_generation bigint default null
)
returns setof public.user_profiles
language plpgsql
security invoker
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    if p_generation < voice_agent.generation_of(p_user) then
        return;
    end if;
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

create or replace function public.update_onboarding_details(
    p_user uuid, p_changes jsonb, p_generation bigint default null
)
returns setof public.onboarding_details
language plpgsql
security invoker
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    if p_generation < voice_agent.generation_of(p_user) then
        return;
    end if;
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

revoke execute on function public.bind_person(uuid, text) from public, anon, authenticated;
revoke execute on function public.update_user_profile(uuid, jsonb, bigint)
    from public, anon, authenticated;
revoke execute on function public.update_onboarding_details(uuid, jsonb, bigint)
    from public, anon, authenticated;
grant execute on function public.bind_person(uuid, text) to service_role;
grant execute on function public.update_user_profile(uuid, jsonb, bigint) to service_role;
grant execute on function public.update_onboarding_details(uuid, jsonb, bigint) to service_role;

insert into voice_agent.schema_migrations (version, name)
values ('0004', 'facts')
on conflict (version) do nothing;

commit;
