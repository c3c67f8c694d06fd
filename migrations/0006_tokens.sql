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

-- These run with the caller's rights, so that the policies hold inside of them.
-- ensure_profile stays with the service role: it writes the e-mail address.
grant execute on function public.remember(uuid, jsonb) to authenticated;
grant execute on function public.search_memory(uuid, text[], integer) to authenticated;
grant execute on function public.update_user_profile(uuid, jsonb) to authenticated;
grant execute on function public.update_onboarding_details(uuid, jsonb) to authenticated;

insert into voice_agent.schema_migrations (version, name)
values ('0006', 'tokens')
on conflict (version) do nothing;

commit;
