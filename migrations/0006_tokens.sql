-- What somebody may do with a token of their own, role authenticated: read, write and delete
-- their own rows. Which rows are theirs, the policies of 0001 to 0003 say. anon gets nothing,
-- and a profile's e-mail address is written by the service role alone.

begin;

set local lock_timeout = '10s';
set local statement_timeout = '5min';
select pg_advisory_xact_lock(hashtextextended('voice_agent.schema_migrations', 0));

-- An upsert of the id and another column needs the right to both.
grant select, insert (id, is_first_login), update (id, is_first_login)
    on table public.profiles to authenticated;
grant select, insert, delete, update (superseded_at) on table public.memory to authenticated;
grant select, insert, update, delete on table public.user_profiles, public.onboarding_details
    to authenticated;

-- The functions look up the fence as their caller, who may see their own and raise none.
grant usage on schema voice_agent to authenticated;
grant execute on function voice_agent.generation_of(uuid) to authenticated;
grant select on table public.person_fences to authenticated;

-- These run with the caller's rights, so that the policies hold inside of them.
-- bind_person and ensure_profile stay with the service role: they write the e-mail address.
grant execute on function public.remember(uuid, jsonb) to authenticated;
grant execute on function public.update_user_profile(uuid, jsonb, bigint) to authenticated;
grant execute on function public.update_onboarding_details(uuid, jsonb, bigint)
    to authenticated;

-- Searching, whichever arguments the version that is there takes.
do $$
declare
    search regprocedure;
begin
    for search in
        select oid::regprocedure from pg_catalog.pg_proc
        where pronamespace = 'public'::regnamespace and proname = 'search_memory'
    loop
        execute format('grant execute on function %s to authenticated', search);
    end loop;
end
$$;

-- This runs before the policies are asked, with its owner's rights. To whoever writes for somebody
-- else it answers as the policies would: a row that is dropped without a word would tell them that
-- the person was erased.
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
    if new.generation >= voice_agent.generation_of(new.user_id) then
        return new;
    end if;
    if voice_agent.may_act_for(new.user_id) then
        return null;
    end if;
    raise exception 'new row violates row-level security policy for table "%"', tg_table_name
        using errcode = '42501';
end
$$;

insert into voice_agent.schema_migrations (version, name)
values ('0006', 'tokens')
on conflict (version) do nothing;

commit;
