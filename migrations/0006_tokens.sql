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
grant execute on function public.search_memory(uuid, text[], integer) to authenticated;
grant execute on function public.update_user_profile(uuid, jsonb, bigint) to authenticated;
grant execute on function public.update_onboarding_details(uuid, jsonb, bigint)
    to authenticated;

-- This runs before the policies are asked, and with its owner's rights. Who writes for somebody
-- else is left to the policies: that the row was dropped would tell that the person was erased.
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
    if new.generation < voice_agent.generation_of(new.user_id) then
        return null;
    end if;
    return new;
end
$$;

insert into voice_agent.schema_migrations (version, name)
values ('0006', 'tokens')
on conflict (version) do nothing;

commit;
