"""The SQL that Supabase's Postgres needs, in order, and `apply`, which applies it."""
