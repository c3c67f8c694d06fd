-- Everything held about one person: erased, moved, copied, kept for a while, or not
-- remembered at all. The fence says the last, so that it outlives an erasure.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

alter table public.profiles add column if not exists last_seen_at timestamptz;
alter table public.person_fences
    add column if not exists remembered boolean not null default true;

-- Who was never erased has generation 0, and may still not want to be remembered.
-- squawk-ignore ban-drop-constraint
alter table public.person_fences drop constraint if exists person_fences_generation_positive;
-- squawk-ignore ban-drop-constraint
alter table public.person_fences drop constraint if exists person_fences_generation_counts;
alter table public.person_fences
    -- The table is small, and the lock is bounded by lock_timeout.
    -- squawk-ignore constraint-missing-not-valid
    add constraint person_fences_generation_counts check (generation >= 0);

-- The generation that a write must have at least: 0 until the person is erased for the first
-- time, null while they are not remembered, as then no write is new enough.
create or replace function voice_agent.generation_of(p_user uuid)
returns bigint
language sql
stable
set search_path = ''
as $$
    select case when coalesce(bool_and(remembered), true)
        then coalesce(max(person_fences.generation), 0) end
    from public.person_fences where user_id = p_user
$$;

-- Who writes for somebody else is left to the policies: that the row was dropped would tell
-- something about the person.
create or replace function voice_agent.drop_write_of_older_generation()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if not voice_agent.may_act_for(new.user_id) then
        return new;
    end if;
    perform pg_catalog.pg_advisory_xact_lock_shared(
        pg_catalog.hashtextextended(new.user_id::text, 0)
    );
    if new.generation >= voice_agent.generation_of(new.user_id) then
        return new;
    end if;
    return null;
end
$$;

-- Nothing is written of who is not remembered, whoever writes it.
create or replace function voice_agent.drop_write_of_unremembered()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    person uuid := (to_jsonb(new) ->> tg_argv[0])::uuid;
begin
    if voice_agent.may_act_for(person) and voice_agent.generation_of(person) is null then
        return null;
    end if;
    return new;
end
$$;

create or replace trigger profiles_remembered before insert on public.profiles
    for each row execute function voice_agent.drop_write_of_unremembered('id');
create or replace trigger user_profiles_remembered before insert or update on public.user_profiles
    for each row execute function voice_agent.drop_write_of_unremembered('user_id');
create or replace trigger onboarding_details_remembered
    before insert or update on public.onboarding_details
    for each row execute function voice_agent.drop_write_of_unremembered('user_id');

-- Makes the person's row where there is none and they are remembered, notes that they came,
-- and reads the generation that everything written from now on carries.
-- squawk-ignore ban-drop-function
drop function if exists public.bind_person(uuid, text);
create or replace function public.bind_person(p_user uuid, p_email text)
returns table (created boolean, generation bigint, remembered boolean)
language plpgsql
security invoker
set search_path = ''
as $$
begin
    created := coalesce(public.ensure_profile(p_user, p_email), false);
    select person_fences.generation, person_fences.remembered into generation, remembered
    from public.person_fences where user_id = p_user;
    generation := coalesce(generation, 0);
    remembered := coalesce(remembered, true);
    -- To the day, so that coming often costs nothing.
    update public.profiles as present set last_seen_at = now()
    where present.id = p_user
        and bind_person.remembered
        and (present.last_seen_at is null or present.last_seen_at < now() - interval '1 day');
    return next;
end
$$;

-- When the person last came or told anything; null where nothing is held of them.
create or replace function voice_agent.last_activity(p_user uuid)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select greatest(
        profiles.created_at,
        profiles.last_seen_at,
        (select max(memory.created_at) from public.memory where memory.user_id = p_user)
    )
    from public.profiles where profiles.id = p_user
$$;

-- Deletes everything held of the person and raises their generation, for the service role
-- and the person themselves. With p_idle_since only where they have not come since, which is
-- looked at under the lock; otherwise nothing is done and nothing returned.
create or replace function public.erase_person(
    p_user uuid, p_idle_since timestamptz default null
)
returns table (
    generation bigint, memories bigint, profile boolean, user_profile boolean,
    onboarding_details boolean
)
language plpgsql
security definer
set search_path = ''
as $$
begin
    if not voice_agent.may_act_for(p_user) then
        raise exception 'only the person may erase themselves' using errcode = '42501';
    end if;
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user::text, 0));
    if p_idle_since is not null
        and coalesce(voice_agent.last_activity(p_user) >= p_idle_since, true) then
        return;
    end if;
    select count(*) into memories from public.memory where memory.user_id = p_user;
    user_profile := exists (select from public.user_profiles as held where held.user_id = p_user);
    onboarding_details := exists (
        select from public.onboarding_details as held where held.user_id = p_user
    );
    delete from public.profiles where profiles.id = p_user;
    profile := found;
    insert into public.person_fences as fence (user_id, generation) values (p_user, 1)
    on conflict (user_id) do update set generation = fence.generation + 1
    returning fence.generation into generation;
    return next;
end
$$;

-- Says whether the person is remembered, and returns their generation. Who is not any more
-- has a new one: what was told before and arrives from now on is dropped.
create or replace function public.set_remembering(p_user uuid, p_on boolean)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    raised bigint;
begin
    if not voice_agent.may_act_for(p_user) then
        raise exception 'only the person may say so' using errcode = '42501';
    end if;
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user::text, 0));
    insert into public.person_fences as fence (user_id, generation, remembered)
    values (p_user, case when p_on then 0 else 1 end, p_on)
    on conflict (user_id) do update set
        generation = fence.generation
            + case when fence.remembered and not excluded.remembered then 1 else 0 end,
        remembered = excluded.remembered
    returning fence.generation into raised;
    return raised;
end
$$;

-- Deletes one write; the value that it superseded takes its place in the history again.
create or replace function public.withdraw_memory(p_user uuid, p_id uuid)
returns boolean
language plpgsql
security invoker
set search_path = ''
as $$
declare
    gone public.memory;
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    delete from public.memory where memory.id = p_id and memory.user_id = p_user
    returning * into gone;
    if not found then
        return false;
    end if;
    update public.memory as earlier set superseded_at = gone.superseded_at
    where earlier.id = (
        select before.id from public.memory as before
        where before.user_id = p_user
            and before.category = gone.category
            and before.key = gone.key
            and (before.created_at, before.id) < (gone.created_at, gone.id)
        order by before.created_at desc, before.id desc
        limit 1
    ) and earlier.superseded_at = gone.created_at;
    return true;
end
$$;

-- Adds what p_person holds to what is held already, which wins where both say something.
--   p_person: {profile: {email, is_first_login, created_at, last_seen_at},
--              user_profile: {profile_text, language, time_zone},
--              onboarding_details: {first_name, occupation, interests}}, each may be null
create or replace function voice_agent.merge_person(p_user uuid, p_person jsonb)
returns void
language plpgsql
security invoker
set search_path = ''
as $$
begin
    insert into public.profiles as held (id, email, is_first_login, created_at, last_seen_at)
    select p_user, given.email, given.is_first_login, given.created_at, given.last_seen_at
    from jsonb_to_record(nullif(p_person -> 'profile', 'null')) as given (
        email text, is_first_login boolean, created_at timestamptz, last_seen_at timestamptz
    )
    where given.created_at is not null
    on conflict (id) do update set
        email = coalesce(held.email, excluded.email),
        is_first_login = held.is_first_login and excluded.is_first_login,
        created_at = least(held.created_at, excluded.created_at),
        last_seen_at = greatest(held.last_seen_at, excluded.last_seen_at);

    insert into public.user_profiles as held (user_id, profile_text, language, time_zone)
    select p_user, coalesce(given.profile_text, ''), given.language, given.time_zone
    from jsonb_to_record(nullif(p_person -> 'user_profile', 'null')) as given (
        profile_text text, language text, time_zone text
    )
    where jsonb_typeof(p_person -> 'user_profile') = 'object'
    on conflict (user_id) do update set
        profile_text = coalesce(nullif(held.profile_text, ''), excluded.profile_text),
        language = coalesce(held.language, excluded.language),
        time_zone = coalesce(held.time_zone, excluded.time_zone);

    insert into public.onboarding_details as held (user_id, first_name, occupation, interests)
    select p_user, given.first_name, given.occupation, coalesce(given.interests, '{}')
    from jsonb_to_record(nullif(p_person -> 'onboarding_details', 'null')) as given (
        first_name text, occupation text, interests text[]
    )
    where jsonb_typeof(p_person -> 'onboarding_details') = 'object'
    on conflict (user_id) do update set
        first_name = coalesce(held.first_name, excluded.first_name),
        occupation = coalesce(held.occupation, excluded.occupation),
        interests = coalesce(nullif(held.interests, '{}'), excluded.interests);
end
$$;

-- Makes everything of one person another's, who keeps what they said themselves where both
-- said something; of two values of one key the newer one is current. The source is then
-- erased. A second run finds nothing to move. p_email: of the target, where there is one.
-- p_limit: how many memories at most, so that a call ends in time; where not all are done,
-- call again.
create or replace function public.move_person(
    p_source uuid, p_target uuid, p_email text, p_limit integer
)
returns table (
    moved boolean, memories bigint, merged_keys bigint, generation bigint, done boolean
)
language plpgsql
security invoker
set search_path = ''
as $$
declare
    wanted boolean;
begin
    if p_source is null or p_target is null or p_source = p_target then
        raise exception 'a move needs two people' using errcode = '22023';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(least(p_source, p_target)::text, 0));
    perform pg_advisory_xact_lock(hashtextextended(greatest(p_source, p_target)::text, 0));

    memories := 0;
    merged_keys := 0;
    done := true;
    moved := exists (select from public.profiles where profiles.id = p_source);
    if not moved then
        select coalesce(max(fence.generation), 0) into generation
        from public.person_fences as fence where fence.user_id = p_source;
        return next;
        return;
    end if;

    -- Who does not want to be remembered under one name does not under the other. Until all
    -- is moved the target's fence lets it pass.
    select coalesce(bool_and(fence.remembered), true) into wanted
    from public.person_fences as fence where fence.user_id in (p_source, p_target);
    update public.person_fences set remembered = true where user_id = p_target;

    perform voice_agent.merge_person(p_target, jsonb_build_object(
        'profile', (
            select to_jsonb(held) || jsonb_build_object('email', p_email)
            from public.profiles as held where held.id = p_source
        ),
        'user_profile', (
            select to_jsonb(held) from public.user_profiles as held where held.user_id = p_source
        ),
        'onboarding_details', (
            select to_jsonb(held) from public.onboarding_details as held
            where held.user_id = p_source
        )
    ));

    select count(*) into merged_keys from (
        select 1 from public.memory where memory.user_id in (p_source, p_target)
        group by memory.category, memory.key having count(distinct memory.user_id) = 2
    ) as both_have;

    -- First closed, then moved: at no moment are there two current values of a key.
    update public.memory set superseded_at = history.closed_at
    from (
        select told.id, least(told.superseded_at, lead(told.created_at) over (
            partition by told.category, told.key order by told.created_at, told.id
        )) as closed_at
        from public.memory as told where told.user_id in (p_source, p_target)
    ) as history
    where memory.id = history.id and memory.superseded_at is distinct from history.closed_at;

    update public.memory set
        user_id = p_target, generation = voice_agent.generation_of(p_target)
    where memory.id in (
        select told.id from public.memory as told where told.user_id = p_source limit p_limit
    );
    get diagnostics memories = row_count;
    done := not exists (select from public.memory where memory.user_id = p_source);

    if not wanted then
        perform public.set_remembering(p_target, false);
    end if;
    if done then
        select erased.generation into generation from public.erase_person(p_source) as erased;
    end if;
    return next;
end
$$;

-- Writes memories as another store holds them, with their places and ends, and returns how
-- many of them are held now: fewer where the fence, or the person, does not let them in.
--   p_memories: as remember takes them, with superseded_at and place
create or replace function public.restore_memories(p_user uuid, p_memories jsonb)
returns bigint
language plpgsql
security invoker
set search_path = ''
as $$
declare
    held bigint;
begin
    perform public.remember(p_user, p_memories);
    update public.memory set
        place = coalesce(given.place, memory.place),
        superseded_at = least(memory.superseded_at, given.superseded_at)
    from jsonb_to_recordset(p_memories) as given (
        id uuid, place bigint, superseded_at timestamptz
    )
    where memory.id = given.id and memory.user_id = p_user;
    get diagnostics held = row_count;
    return held;
end
$$;

-- Adds what another store holds beside memories, as merge_person does, where the person's
-- generation there is not older than here.
create or replace function public.restore_person(
    p_user uuid, p_person jsonb, p_generation bigint
)
returns boolean
language plpgsql
security invoker
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    if p_generation >= voice_agent.generation_of(p_user) then
        perform voice_agent.merge_person(p_user, p_person);
        return true;
    end if;
    return false;
end
$$;

-- Raises the person's fence to that of another store; never lowers it. Who is not remembered
-- in one of them is in none.
create or replace function public.raise_fence(
    p_user uuid, p_generation bigint, p_remembered boolean
)
returns void
language plpgsql
security invoker
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    insert into public.person_fences as fence (user_id, generation, remembered)
    values (p_user, p_generation, p_remembered)
    on conflict (user_id) do update set
        generation = greatest(fence.generation, excluded.generation),
        remembered = fence.remembered and excluded.remembered;
end
$$;

-- Everybody of whom anything is known, be it that they were erased, by id.
create or replace function public.list_people(p_after uuid, p_limit integer)
returns table (user_id uuid)
language sql
stable
security invoker
set search_path = ''
as $$
    select people.user_id from (
        select profiles.id as user_id from public.profiles
        union
        select person_fences.user_id from public.person_fences
    ) as people
    where p_after is null or people.user_id > p_after
    order by people.user_id
    limit p_limit
$$;

-- Those who have not come since p_since, by id.
create or replace function public.list_idle_people(
    p_since timestamptz, p_after uuid, p_limit integer
)
returns table (user_id uuid)
language sql
stable
security invoker
set search_path = ''
as $$
    select profiles.id from public.profiles
    where (p_after is null or profiles.id > p_after)
        and profiles.created_at < p_since
        and (profiles.last_seen_at is null or profiles.last_seen_at < p_since)
        and not exists (
            select from public.memory
            where memory.user_id = profiles.id and memory.created_at >= p_since
        )
    order by profiles.id
    limit p_limit
$$;

-- squawk-ignore require-concurrent-index-creation
create index if not exists memory_expiry on public.memory (expires_at)
    where expires_at is not null;

-- Deletes at most p_limit memories that hold no longer, whoever's they are.
create or replace function public.delete_expired_memories(p_limit integer)
returns bigint
language plpgsql
security invoker
set search_path = ''
as $$
declare
    gone bigint;
begin
    delete from public.memory where memory.id in (
        select expired.id from public.memory as expired
        where expired.expires_at <= now() limit p_limit
    );
    get diagnostics gone = row_count;
    return gone;
end
$$;

revoke execute on function
    voice_agent.drop_write_of_unremembered(),
    voice_agent.last_activity(uuid),
    voice_agent.merge_person(uuid, jsonb),
    public.bind_person(uuid, text),
    public.erase_person(uuid, timestamptz),
    public.set_remembering(uuid, boolean),
    public.withdraw_memory(uuid, uuid),
    public.move_person(uuid, uuid, text, integer),
    public.restore_memories(uuid, jsonb),
    public.restore_person(uuid, jsonb, bigint),
    public.raise_fence(uuid, bigint, boolean),
    public.list_people(uuid, integer),
    public.list_idle_people(timestamptz, uuid, integer),
    public.delete_expired_memories(integer)
from public, anon, authenticated;
grant execute on function
    voice_agent.last_activity(uuid),
    voice_agent.merge_person(uuid, jsonb),
    public.bind_person(uuid, text),
    public.erase_person(uuid, timestamptz),
    public.set_remembering(uuid, boolean),
    public.withdraw_memory(uuid, uuid),
    public.move_person(uuid, uuid, text, integer),
    public.restore_memories(uuid, jsonb),
    public.restore_person(uuid, jsonb, bigint),
    public.raise_fence(uuid, bigint, boolean),
    public.list_people(uuid, integer),
    public.list_idle_people(timestamptz, uuid, integer),
    public.delete_expired_memories(integer)
to service_role;
-- What the person may do themselves; each checks who calls, or row level security does.
grant execute on function
    public.erase_person(uuid, timestamptz),
    public.set_remembering(uuid, boolean),
    public.withdraw_memory(uuid, uuid)
to authenticated;

insert into voice_agent.schema_migrations (version, name)
values ('0007', 'people')
on conflict (version) do nothing;

commit;
