-- What the application keeps itself. Names begin with app_, so that they stand beside guestlist's.
-- Statements end with a semicolon, and only they have one.
create table if not exists app_users (
  id text primary key,
  email text not null unique,
  display_name text not null,
  -- The organization whose identity provider this person signs in through.
  single_sign_on text,
  created_at bigint not null,
  last_seen_at bigint
);

-- What a bearer token or a session stands for: only its hash is kept.
create table if not exists app_credentials (
  hash text primary key,
  kind text not null,
  user_id text not null,
  organization text,
  created_at bigint not null,
  expires_at bigint
);

-- The names of users whom an organization made itself.
create table if not exists app_user_names (
  organization text not null,
  user_name text not null,
  user_id text not null unique,
  primary key (organization, user_name)
);

-- The data that the application is for: texts under keys, of one organization each. An exact_text
-- is compared byte for byte, which each engine says in its own way.
create table if not exists app_memories (
  organization text not null,
  key_name exact_text not null,
  description text not null,
  value text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (organization, key_name)
);

-- Which organizations there are, so that the dashboard can name them.
create table if not exists app_organizations (
  id text primary key,
  name text not null,
  created_at bigint not null
);

-- Teams are guestlist's groups, and what guestlist has no word for is here.
create table if not exists app_team_owners (
  organization text not null,
  team text not null,
  user_id text not null,
  primary key (organization, team, user_id)
);
