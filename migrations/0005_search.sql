-- Search: the database finds candidates and says how common the words are; the ranking is the
-- worker's (memory/ranking.py), the same for every back end.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '15min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

-- The lexemes of a text, each with the first eight digits of the person's id before it: the
-- index then holds each person's words apart, and a search costs nothing for other people.
-- (Two people may share eight digits: every query names its user as well.) Punctuation is
-- taken out, because the parser would see hosts, paths and versions where the ranking sees words.
create or replace function voice_agent.person_words(p_user uuid, p_text text)
returns tsvector
language sql
immutable
parallel safe
set search_path = ''
as $$
    select array_to_tsvector(coalesce(array_agg(left(p_user::text, 8) || ':' || lexeme), '{}'))
    from unnest(tsvector_to_array(to_tsvector(
        'english'::regconfig,
        translate(p_text, '_-/\.,:;@#%&*+=~''’"`<>()[]{}|!?$^', repeat(' ', 40))
    ))) as lexeme
    where octet_length(lexeme) < 2000
$$;

-- Whoever writes a row computes its words.
revoke execute on function voice_agent.person_words(uuid, text) from public, anon;
grant execute on function voice_agent.person_words(uuid, text) to service_role, authenticated;

-- An older column of that name goes with its index. Writing it anew holds the table's lock.
do $$
begin
    if not exists (
        select from pg_catalog.pg_attribute as columns
        join pg_catalog.pg_attrdef as made
            on made.adrelid = columns.attrelid and made.adnum = columns.attnum
        where columns.attrelid = 'public.memory'::regclass
            and columns.attname = 'search'
            and pg_get_expr(made.adbin, made.adrelid) ~ 'person_words'
    ) then
        alter table public.memory
            drop column if exists search,
            add column search tsvector generated always as (
                voice_agent.person_words(user_id, key || ' ' || value)
            ) stored;
    end if;
end
$$;

-- Without fastupdate: a search would read through what it has put off.
-- squawk-ignore require-concurrent-index-creation
create index if not exists memory_search on public.memory using gin (search)
    with (fastupdate = off);

-- squawk-ignore ban-drop-function
drop function if exists public.search_memory(uuid, text[], integer);

-- Candidates for a question, as one JSON document:
--   total: how many current memories the person has
--   frequencies: for each word in order, how many of them hold it
--   found: [[id, created_at, session_id, place, is_hit, key, value, category, generation,
--            confidence, source_id, expires_at], ...], times in microseconds since the epoch
-- Hits are the p_limit best by the rarity of what they share with the question; the others
-- stand up to p_reach places beside a hit in its session.
--   p_words: for each word its forms, separated by spaces; any of them counts.
-- Runs with its owner's rights: under row level security the index on search would not be used,
-- as @@ is not leakproof. So it checks the caller, and names the user in every condition.
create or replace function public.search_memory(
    p_user uuid, p_words text[], p_limit integer, p_reach integer default 2
)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
set enable_seqscan = off
as $$
declare
    terms tsquery[];
    answer jsonb;
begin
    if voice_agent.may_act_for(p_user) is not true then
        raise exception 'the caller may not search for this user' using errcode = '42501';
    end if;

    select array_agg(
        (
            select coalesce(string_agg(format('%L', lexeme), ' | '), '')::tsquery
            from unnest(tsvector_to_array(voice_agent.person_words(p_user, word.forms))) as lexeme
        )
        order by word.position
    ) into terms
    from unnest(p_words[1:32]) with ordinality as word (forms, position);

    with all_of_them as (
        select count(*) as total from public.memory
        where user_id = p_user and superseded_at is null
    ),
    shared as materialized (
        select told.id, told.created_at, told.session_id, told.place, term.position
        from unnest(terms) with ordinality as term (query, position)
        join public.memory as told on told.search @@ term.query
        where numnode(term.query) > 0
            and told.user_id = p_user
            and told.superseded_at is null
            and (told.expires_at is null or told.expires_at > now())
    ),
    frequencies as materialized (
        select position, count(*) as held from shared group by position
    ),
    hits as materialized (
        select shared.id, shared.session_id, shared.place
        from shared
        join frequencies using (position)
        cross join all_of_them
        group by shared.id, shared.created_at, shared.session_id, shared.place
        order by
            sum(ln(1 + greatest(total - held, 0) / (held + 0.5)::double precision)) desc,
            shared.created_at desc,
            shared.id
        limit least(greatest(p_limit, 0), 1000)
    ),
    found as materialized (
        select id, true as is_hit from hits
        union all
        (
            select beside.id, false
            from hits
            join public.memory as beside
                on beside.user_id = p_user
                and beside.session_id = hits.session_id
                and beside.place between hits.place - least(p_reach, 10)
                and hits.place + least(p_reach, 10)
            where beside.superseded_at is null
                and (beside.expires_at is null or beside.expires_at > now())
            except
            select id, false from hits
        )
    )
    select jsonb_build_object(
        'total', (select total from all_of_them),
        'frequencies', (
            select coalesce(
                jsonb_agg(coalesce(frequencies.held, 0) order by term.position), '[]'::jsonb
            )
            from unnest(terms) with ordinality as term (query, position)
            left join frequencies using (position)
        ),
        'found', coalesce(
            (
                select jsonb_agg(jsonb_build_array(
                    told.id, (extract(epoch from told.created_at) * 1000000)::bigint,
                    told.session_id, told.place, found.is_hit, told.key, told.value,
                    told.category, told.generation, told.confidence, told.source_id,
                    (extract(epoch from told.expires_at) * 1000000)::bigint
                ))
                from found join public.memory as told using (id)
            ),
            '[]'::jsonb
        )
    ) into answer;
    return answer;
end
$$;

revoke execute on function public.search_memory(uuid, text[], integer, integer)
    from public, anon;
grant execute on function public.search_memory(uuid, text[], integer, integer)
    to service_role, authenticated;

insert into voice_agent.schema_migrations (version, name)
values ('0005', 'search')
on conflict (version) do nothing;

commit;
