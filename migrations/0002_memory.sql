-- What people told us. A new value of the same category and key supersedes the old one,
-- which stays as history. Every write carries an id: delivering it twice changes nothing.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

create table if not exists public.memory (
    id uuid primary key,
    user_id uuid not null references public.profiles (id) on delete cascade,
    category text not null,
    key text not null,
    value text not null,
    created_at timestamptz not null default now(),
    superseded_at timestamptz,
    session_id text,
    search tsvector generated always as (
        to_tsvector('english'::regconfig, translate(key, '_', ' ') || ' ' || value)
    ) stored,
    constraint memory_category_known check (
        category in (
            'FACT', 'GOAL', 'INTEREST', 'PREFERENCE', 'OPINION', 'EXPERIENCE', 'PLAN',
            'RELATIONSHIP', 'CAMPAIGNS', 'LORE', 'PRESENTATION'
        )
    ),
    constraint memory_key_length check (char_length(key) between 1 and 200),
    constraint memory_value_length check (char_length(value) between 1 and 10000)
);

create unique index if not exists memory_current
    on public.memory (user_id, category, key) where superseded_at is null;
create index if not exists memory_history
    on public.memory (user_id, category, key, created_at desc, id desc);
create index if not exists memory_recent
    on public.memory (user_id, created_at desc, id desc) where superseded_at is null;
create index if not exists memory_key on public.memory (user_id, key);
create index if not exists memory_search on public.memory using gin (search);

revoke all on table public.memory from public, anon, authenticated;
grant select, insert, update, delete on table public.memory to service_role;
alter table public.memory enable row level security;
alter table public.memory force row level security;

drop policy if exists memory_own_rows on public.memory;
create policy memory_own_rows on public.memory
    for all to authenticated
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));

-- Stores memories of one person, in the order given, and returns them as they are stored.
--   p_memories: [{id, category, key, value, created_at, session_id, next_free_key}, ...]
--   next_free_key: the key ends in a millisecond count, which moves on while the key is taken.
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
begin
    if p_user is null then
        raise exception 'a memory needs a user' using errcode = '22004';
    end if;

    insert into public.profiles (id) values (p_user) on conflict (id) do nothing;
    perform pg_advisory_xact_lock(hashtextextended(p_user::text, 0));

    for item in
        select given.*
        from jsonb_to_recordset(p_memories) as given (
            id uuid, category text, key text, value text, created_at timestamptz,
            session_id text, next_free_key boolean
        )
    loop
        select * into stored from public.memory where memory.id = item.id;
        if found then
            if stored.user_id <> p_user then
                raise exception 'the write id belongs to another user' using errcode = '23505';
            end if;
            return next stored;
            continue;
        end if;

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
            id, user_id, category, key, value, created_at, superseded_at, session_id
        ) values (
            item.id, p_user, item.category, free_key, item.value, item.created_at,
            closed_at, item.session_id
        )
        returning * into stored;
        return next stored;
    end loop;
end
$$;

-- Current memories of one person that share a word with the query, best first.
create or replace function public.search_memory(p_user uuid, p_words text[], p_limit integer)
returns setof public.memory
language sql
stable
security invoker
set search_path = ''
as $$
    with query as (
        select string_agg(part.words::text, ' | ')::tsquery as words
        from (
            select plainto_tsquery('english'::regconfig, word) as words
            from unnest(p_words) as word
        ) as part
        where numnode(part.words) > 0
    )
    select memory.*
    from public.memory, query
    where memory.user_id = p_user
        and memory.superseded_at is null
        and memory.search @@ query.words
    order by ts_rank_cd(memory.search, query.words) desc, memory.created_at desc, memory.id
    limit least(greatest(p_limit, 0), 200);
$$;

revoke execute on function public.remember(uuid, jsonb) from public, anon, authenticated;
revoke execute on function public.search_memory(uuid, text[], integer)
    from public, anon, authenticated;
grant execute on function public.remember(uuid, jsonb) to service_role;
grant execute on function public.search_memory(uuid, text[], integer) to service_role;

insert into voice_agent.schema_migrations (version, name)
values ('0002', 'memory')
on conflict (version) do nothing;

commit;
