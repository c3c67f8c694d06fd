-- What was said, word for word, by both sides, where the operator keeps it. A transcript is
-- no memory: nothing is recalled from it, and it goes when it is as old as the operator says.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

create table if not exists public.turns (
    id uuid primary key,
    user_id uuid not null references public.profiles (id) on delete cascade,
    session_id text not null,
    role text not null,
    text text not null,
    said_at timestamptz not null,
    generation bigint not null default 0,
    constraint turns_role_known check (role in ('user', 'assistant')),
    constraint turns_text_length check (char_length(text) between 1 and 10000)
);

-- squawk-ignore require-concurrent-index-creation
create index if not exists turns_in_order on public.turns (user_id, said_at, id);
-- squawk-ignore require-concurrent-index-creation
create index if not exists turns_of_session on public.turns (user_id, session_id, said_at, id);
-- squawk-ignore require-concurrent-index-creation
create index if not exists turns_by_age on public.turns (said_at);

revoke all on table public.turns from public, anon, authenticated;
grant select, insert, update, delete on table public.turns to service_role;
grant select, insert, delete on table public.turns to authenticated;
alter table public.turns enable row level security;
alter table public.turns force row level security;

drop policy if exists turns_own_rows on public.turns;
create policy turns_own_rows on public.turns
    for all to authenticated
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));

create or replace trigger turns_fenced before insert on public.turns
    for each row execute function voice_agent.drop_write_of_older_generation();

-- Keeps turns of one person's sessions, and returns the ids of those that are held now: not
-- of those from before an erasure, and of none where the person is not remembered.
--   p_turns: [{id, session_id, role, text, said_at, generation}, ...]
--   generation: the person's as the writer knew it; null means now.
create or replace function public.keep_turns(p_user uuid, p_turns jsonb)
returns setof uuid
language plpgsql
security invoker
set search_path = ''
as $$
declare
    fence bigint;
begin
    if p_user is null then
        raise exception 'a turn needs a user' using errcode = '22004';
    end if;

    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));
    fence := voice_agent.generation_of(p_user);

    if exists (
        select from jsonb_to_recordset(p_turns) as given (generation bigint)
        where coalesce(given.generation, fence) >= fence
    ) then
        insert into public.profiles (id) values (p_user) on conflict (id) do nothing;
    end if;

    insert into public.turns (id, user_id, session_id, role, text, said_at, generation)
    select distinct on (given.id)
        given.id, p_user, given.session_id, given.role, given.text, given.said_at,
        coalesce(given.generation, fence)
    from jsonb_to_recordset(p_turns) as given (
        id uuid, session_id text, role text, text text, said_at timestamptz, generation bigint
    )
    where coalesce(given.generation, fence) >= fence
        and not exists (
            select from public.turns as held
            where held.id = given.id and held.user_id = p_user
        );

    return query
        select distinct held.id
        from public.turns as held
        join jsonb_to_recordset(p_turns) as given (id uuid) on held.id = given.id
        where held.user_id = p_user;
end
$$;

-- Deletes at most p_limit turns that were said before p_before, whoever's they are.
create or replace function public.delete_turns_before(p_before timestamptz, p_limit integer)
returns bigint
language plpgsql
security invoker
set search_path = ''
as $$
declare
    gone bigint;
begin
    delete from public.turns where turns.id in (
        select old.id from public.turns as old where old.said_at < p_before limit p_limit
    );
    get diagnostics gone = row_count;
    return gone;
end
$$;

-- Makes everything of one person another's, who keeps what they said themselves where both
-- said something; of two values of one key the newer one is current. The source is then
-- erased. A second run finds nothing to move. p_email: of the target, where there is one.
-- p_limit: how many memories, and how many turns, at most, so that a call ends in time; where
-- not all are done, call again. As in 0007_people.sql, and turns move too.
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
    update public.turns set
        user_id = p_target, generation = voice_agent.generation_of(p_target)
    where turns.id in (
        select said.id from public.turns as said where said.user_id = p_source limit p_limit
    );
    done := not exists (select from public.memory where memory.user_id = p_source)
        and not exists (select from public.turns where turns.user_id = p_source);

    if not wanted then
        perform public.set_remembering(p_target, false);
    end if;
    if done then
        select erased.generation into generation from public.erase_person(p_source) as erased;
    end if;
    return next;
end
$$;

revoke execute on function
    public.keep_turns(uuid, jsonb),
    public.delete_turns_before(timestamptz, integer),
    public.move_person(uuid, uuid, text, integer)
from public, anon, authenticated;
grant execute on function
    public.keep_turns(uuid, jsonb),
    public.delete_turns_before(timestamptz, integer),
    public.move_person(uuid, uuid, text, integer)
to service_role;
grant execute on function public.keep_turns(uuid, jsonb) to authenticated;

insert into voice_agent.schema_migrations (version, name)
values ('0008', 'transcripts')
on conflict (version) do nothing;

commit;
